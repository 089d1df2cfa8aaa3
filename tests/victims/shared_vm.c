/*
 * A task that shares memory and signal handlers without being a thread (CLONE_VM | CLONE_SIGHAND).
 * It shares its parent's thread-local storage too and therefore calls the kernel only, never libc.
 */
#include "victim.h"

#include <linux/kcmp.h>

static volatile unsigned long beats;
static volatile bool leave;
static char stack[65536] __attribute__((aligned(64)));

static long raw_nanosleep(const struct timespec *t)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(SYS_nanosleep), "D"(t), "S"(NULL)
			 : "rcx", "r11", "memory");
	return result;
}

static int run(void *unused)
{
	const struct timespec t = {0, 1000000};

	(void)unused;
	while (!leave) {
		raw_nanosleep(&t);
		beats++;
	}
	return 0;
}

int main(int argc, char **argv)
{
	pid_t pid;

	victim_begin(argc, argv);
	pid = (pid_t)must(
		clone(run, stack + sizeof(stack), CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL));
	victim_ready();
	if (victim_spoiled())
		kill(pid, SIGSTOP);
	while (victim_next()) {
		unsigned long before = beats;

		msleep(50);
		check(beats > before, "the other task's counter stands at %lu", before);
		check_int(syscall(SYS_kcmp, getpid(), pid, KCMP_VM, 0, 0), 0, "kcmp(VM)");
		check_int(syscall(SYS_kcmp, getpid(), pid, KCMP_SIGHAND, 0, 0), 0, "kcmp(SIGHAND)");
	}
	leave = true;
	kill(pid, SIGCONT);
	waitpid(pid, NULL, 0);
	return 0;
}
