/* Tasks that job control has stopped stay stopped, go on with SIGCONT, and what the parent has not
 * waited for yet can still be waited for. */
#include "victim.h"

struct shared {
	volatile unsigned long beats;
};

static struct shared *shared;

static void beat(void *unused)
{
	(void)unused;
	must(setpgid(0, 0));
	victim_ready();
	while (victim_next())
		shared->beats++;
}

static char state_of(pid_t pid)
{
	char path[64], *text, state;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	text = read_file(path);
	state = strrchr(text, ')') ? strrchr(text, ')')[2] : '?';
	free(text);
	return state;
}

static void stop_and_wait(pid_t pid)
{
	int status;

	must(kill(pid, SIGSTOP));
	must(waitpid(pid, &status, WUNTRACED));
	if (!WIFSTOPPED(status))
		victim_die("the child did not stop: %x", status);
}

/* A tracer that died has let go a stopped task by waking it: it stops again before its first
 * instruction, as soon as it gets a CPU. */
static char settled_state_of(pid_t pid)
{
	for (int i = 0; i < 1000 && state_of(pid) == 'R'; i++)
		msleep(1);
	return state_of(pid);
}

static void check_unwaited(pid_t pid, int signal)
{
	siginfo_t info = {0};

	must(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT | WNOHANG));
	check_int(info.si_pid, pid, "pid of the stop that nobody waited for");
	check_int(info.si_code, CLD_STOPPED, "its code");
	check_int(info.si_status, signal, "the signal that stopped it");
	check(settled_state_of(pid) == 'T', "the second child is %c, not stopped", state_of(pid));
}

int main(int argc, char **argv)
{
	pid_t child, unwaited;

	victim_begin(argc, argv);
	shared = must_ptr(
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	child = start_task("child", beat, NULL);
	unwaited = start_task("unwaited", beat, NULL);
	stop_and_wait(child);
	must(kill(unwaited, SIGTSTP));
	while (state_of(unwaited) != 'T')
		msleep(1);
	victim_ready();
	if (victim_spoiled())
		must(kill(child, SIGCONT));
	while (victim_next()) {
		unsigned long beats = shared->beats;

		check(settled_state_of(child) == 'T', "the child is %c, not stopped",
			state_of(child));
		check_unwaited(unwaited, SIGTSTP);
		msleep(20);
		check_int((long long)shared->beats, (long long)beats, "a stopped task's counter");
		must(kill(child, SIGCONT));
		check_part("child");
		stop_and_wait(child);
	}
	kill(child, SIGCONT);
	kill(unwaited, SIGCONT);
	return 0;
}
