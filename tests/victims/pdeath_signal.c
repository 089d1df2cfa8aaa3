/* The signal that a thread gets when its parent dies, and that it comes. */
#include "victim.h"

static void child(void *signal)
{
	int now;

	must(prctl(PR_SET_PDEATHSIG, (int)(intptr_t)signal));
	victim_ready();
	if (victim_spoiled())
		prctl(PR_SET_PDEATHSIG, 0);
	while (victim_next()) {
		must(prctl(PR_GET_PDEATHSIG, &now));
		check_int(now, (intptr_t)signal, "signal on the parent's death");
	}
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	start_task("usr1", child, (void *)SIGUSR1);
	start_task("kill", child, (void *)SIGKILL);
	start_thread("thread", child, (void *)SIGWINCH);
	victim_ready();
	while (victim_next()) {
		check_part("usr1");
		check_part("kill");
		check_part("thread");
	}
	return 0;
}
