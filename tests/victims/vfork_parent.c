/* A task that waits for its vfork child, which lives on in the parent's memory. */
#include "victim.h"

static void parent(void *unused)
{
	pid_t pid;

	(void)unused;
	pid = vfork();
	if (pid == 0) {
		/* Far more than vfork allows, but the parent does not touch any of it afterwards.
		 */
		idle_part(NULL);
		_exit(0);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	pid_t pid;
	int status;

	victim_begin(argc, argv);
	pid = start_task("child", parent, NULL);
	await_syscall(pid, pid, SYS_vfork);
	victim_ready();
	if (victim_spoiled())
		kill(pid, SIGKILL);
	while (victim_next()) {
		check_int(waitpid(pid, &status, WNOHANG), 0,
			"the parent of vfork still waits: waitpid");
		check_part("child");
	}
	return 0;
}
