/* Probes that need somebody to trace: one child for all of them. */
#include "kernel/feature_probes.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "kernel/uapi.h"

/* The child: says when its seccomp filter stands, and waits to be killed. Only system calls. */
static _Noreturn void child_main(int ready)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};
	char filtered;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	filtered = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
	if (write(ready, &filtered, 1) == 1)
		while (getppid() != 1)
			pause();
	_exit(0);
}

static unsigned ask_seccomp(pid_t pid)
{
	struct __ptrace_seccomp_metadata metadata = {};
	unsigned found = 0;

	if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL | PTRACE_O_SUSPEND_SECCOMP) == 0)
		found |= TRACED_SUSPEND_SECCOMP;
	if (ptrace(PTRACE_SECCOMP_GET_FILTER, pid, 0, NULL) == 1)
		found |= TRACED_GET_FILTER;
	if (ptrace(PTRACE_SECCOMP_GET_METADATA, pid, sizeof(metadata), &metadata) > 0)
		found |= TRACED_METADATA;
	return found;
}

static unsigned ask_stopped(pid_t pid)
{
	struct __ptrace_rseq_configuration rseq;
	struct ptrace_sud_config dispatch;
	unsigned found = TRACED_SEIZE;

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, pid, sizeof(rseq), &rseq) > 0)
		found |= TRACED_RSEQ;
	if (ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, pid, sizeof(dispatch), &dispatch) == 0)
		found |= TRACED_USER_DISPATCH;
	return found | ask_seccomp(pid);
}

static unsigned ask_child(pid_t pid)
{
	int status;

	if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL) < 0)
		return 0;
	if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 || waitpid(pid, &status, __WALL) != pid ||
		!WIFSTOPPED(status))
		return 0;
	return ask_stopped(pid);
}

static unsigned probe_with_child(void)
{
	int ready[2];
	unsigned found = 0;
	char filtered;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return 0;
	pid = fork();
	if (pid == 0)
		child_main(ready[1]);
	close(ready[1]);
	if (pid > 0) {
		if (read(ready[0], &filtered, 1) == 1)
			found = ask_child(pid);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, __WALL);
	}
	close(ready[0]);
	return found;
}

bool probe_traced(struct kernel_features *f, int bit)
{
	if (!f->traced_probed) {
		f->traced = probe_with_child();
		f->traced_probed = true;
	}
	return f->traced & (unsigned)bit;
}
