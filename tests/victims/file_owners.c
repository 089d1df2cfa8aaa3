/* Who gets a signal when something happens to a descriptor (F_SETOWN, F_SETSIG, O_ASYNC). */
#include "victim.h"

static volatile sig_atomic_t signals, signal_fd;

static void handle(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	signal_fd = info->si_fd;
	signals++;
}

struct owned {
	int ends[2];
	int flags, signal;
	struct f_owner_ex owner;
};

static struct owned pipes[5];

static void own(int i, int type, pid_t who, int signal)
{
	struct owned *o = &pipes[i];

	must(pipe(o->ends));
	o->owner = (struct f_owner_ex){type, who};
	o->signal = signal;
	must(fcntl(o->ends[0], F_SETOWN_EX, &o->owner));
	must(fcntl(o->ends[0], F_SETSIG, signal));
}

static void verify(int i)
{
	struct f_owner_ex owner = {0};
	struct owned *o = &pipes[i];

	must(fcntl(o->ends[0], F_GETOWN_EX, &owner));
	check_int(owner.type, o->owner.type, "type of owner %d", i);
	check_int(owner.pid, o->owner.pid, "owner %d", i);
	check_int(fcntl(o->ends[0], F_GETSIG), o->signal, "signal of %d", i);
	check_int(fcntl(o->ends[0], F_GETFL), o->flags, "flags of %d", i);
	check_int(fcntl(o->ends[1], F_GETOWN), 0, "owner of the writing end %d", i);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};
	pid_t child;

	victim_begin(argc, argv);
	must(sigaction(SIGRTMIN + 1, &action, NULL));
	child = start_task("child", idle_part, NULL);
	own(0, F_OWNER_PID, getpid(), SIGRTMIN + 1);
	must(fcntl(pipes[0].ends[0], F_SETFL, O_ASYNC));
	own(1, F_OWNER_PID, child, 0);
	own(2, F_OWNER_PGRP, getpgrp(), SIGUSR1);
	own(3, F_OWNER_TID, get_tid(), SIGIO);
	must(pipe(pipes[4].ends));
	for (int i = 0; i < 5; i++)
		pipes[i].flags = (int)must(fcntl(pipes[i].ends[0], F_GETFL));
	victim_ready();
	if (victim_spoiled())
		must(fcntl(pipes[1].ends[0], F_SETOWN, getpid()));
	while (victim_next()) {
		int before = signals;
		char byte;

		for (int i = 0; i < 4; i++)
			verify(i);
		check_int(fcntl(pipes[4].ends[0], F_GETOWN), 0, "owner of a pipe without one");
		must(write(pipes[0].ends[1], "x", 1));
		check_int(signals, before + 1, "signals");
		check_int(signal_fd, pipes[0].ends[0], "descriptor of the signal");
		must(read(pipes[0].ends[0], &byte, 1));
		check_part("child");
	}
	return 0;
}
