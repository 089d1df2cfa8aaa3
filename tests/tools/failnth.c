/*
 * failnth: runs a program and makes its N-th system call fail.
 *
 *	failnth N ERRNO PROGRAM [ARGUMENT...]	the N-th call returns -ERRNO and is not executed
 *	failnth count FILE PROGRAM [ARGUMENT...]	nothing fails; FILE gets the number of calls
 *
 * Counted are the calls of the program's main thread, from its first one after execve on. It is
 *done with ptrace and not with a seccomp filter, because a filter would be inherited by the
 *processes that a restore creates and would change what is being restored; children are not traced.
 *The conductor may well be traced and trace others at the same time. A signal that the program dies
 *of is passed on as exit status 128 + signal. Calls that cannot fail (exit, exit_group,
 *rt_sigreturn) are not touched.
 *
 * Standard error gets one line: "failnth: NR of call N" so that a report names what failed.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(99);
}

static struct user_regs_struct get_regs(pid_t pid)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) == -1 && errno != ESRCH)
		die("failnth: PTRACE_GETREGS");
	return regs;
}

static int can_fail(long nr)
{
	static const long sure[] = {SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_getpid,
		SYS_gettid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid,
		SYS_umask};

	for (size_t i = 0; i < sizeof(sure) / sizeof(sure[0]); i++)
		if (nr == sure[i])
			return 0;
	return 1;
}

/* True from the program's own first call on. */
static int is_started(long nr)
{
	static int rseq_seen, started;
	int was_started = started;

	rseq_seen |= nr == SYS_rseq;
	started |= rseq_seen && nr == SYS_munmap;
	return was_started;
}

/* At the entry stop: the call number becomes -1; at the exit stop the result becomes -errnum. */
static void fail_call(pid_t pid, int errnum)
{
	struct user_regs_struct regs = get_regs(pid), entry = regs;
	int status, is_brk = regs.orig_rax == SYS_brk;

	if (is_brk)
		regs.rdi = 0;
	else
		regs.orig_rax = -1ULL;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &regs) == -1 ||
		ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == -1)
		die("failnth: PTRACE_SETREGS");
	if (waitpid(pid, &status, __WALL) == -1 || !WIFSTOPPED(status))
		return;
	regs = get_regs(pid);
	if (is_brk)
		regs.rdi = entry.rdi;
	else
		regs.rax = (unsigned long long)-errnum;
	ptrace(PTRACE_SETREGS, pid, NULL, &regs);
}

static int leave(int status, const char *count_file, unsigned long calls)
{
	if (count_file) {
		FILE *f = fopen(count_file, "w");

		if (!f)
			die(count_file);
		fprintf(f, "%lu\n", calls);
		fclose(f);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	const char *count_file = argc > 3 && !strcmp(argv[1], "count") ? argv[2] : NULL;
	unsigned long target = count_file || argc < 4 ? 0 : strtoul(argv[1], NULL, 10), calls = 0;
	int errnum = argc > 3 ? atoi(argv[2]) : 0, status, entering = 1;
	pid_t pid;

	if (argc < 4) {
		fprintf(stderr, "usage: failnth {N ERRNO|count FILE} PROGRAM [ARGUMENT...]\n");
		return 99;
	}
	pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execvp(argv[3], argv + 3);
		die(argv[3]);
	}
	/* The stop after execve. Without TRACEFORK and TRACECLONE children run untraced. */
	if (waitpid(pid, &status, __WALL) == -1 || !WIFSTOPPED(status))
		return 99;
	ptrace(PTRACE_SETOPTIONS, pid, NULL,
		PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC);
	ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	for (;;) {
		int signal = 0;

		if (waitpid(pid, &status, __WALL) == -1)
			die("failnth: waitpid");
		if (!WIFSTOPPED(status))
			return leave(status, count_file, calls);
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			long nr = (long)get_regs(pid).orig_rax;

			if (entering && is_started(nr) && can_fail(nr) && ++calls == target) {
				fprintf(stderr, "failnth: system call %ld is call %lu\n", nr,
					calls);
				fail_call(pid, errnum);
				entering = 0;
			}
			entering = !entering;
		} else if (status >> 16 == 0) {
			signal = WSTOPSIG(status);
		}
		ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signal);
	}
}
