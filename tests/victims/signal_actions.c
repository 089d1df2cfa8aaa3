/* What happens on each of the 64 signals: handler, flags, mask and restorer, as the kernel has
 * them. */
#include "victim.h"

enum { SIGNALS = 64 };

struct kernel_action {
	uint64_t handler, flags, restorer, mask;
};

static struct kernel_action before[SIGNALS + 1];

static void handler_a(int signal)
{
	(void)signal;
}

static void handler_b(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	(void)context;
}

static int change(int signal, const struct kernel_action *set, struct kernel_action *ret_now)
{
	return (int)syscall(SYS_rt_sigaction, signal, set, ret_now, 8);
}

static struct kernel_action choose(int i, uint64_t restorer)
{
	static const uint64_t flags[] = {
		0, SA_RESTART, SA_NODEFER, SA_RESETHAND, SA_NOCLDSTOP, SA_NOCLDWAIT, SA_ONSTACK};
	struct kernel_action action = {.flags = flags[i % 7] | 0x04000000 /* SA_RESTORER */,
		.restorer = restorer + (uint64_t)(i % 3 == 2),
		.mask = 0x9e3779b97f4a7c15u * (uint64_t)i};

	switch (i % 4) {
	case 0:
		action.handler = (uint64_t)handler_a;
		break;
	case 1:
		action.handler = (uint64_t)handler_b;
		action.flags |= SA_SIGINFO;
		break;
	case 2:
		action.handler = (uint64_t)SIG_IGN;
		break;
	default:
		action.handler = (uint64_t)SIG_DFL;
	}
	return action;
}

static void verify(void)
{
	for (int i = 1; i <= SIGNALS; i++) {
		struct kernel_action now;

		must(change(i, NULL, &now));
		check_int((long long)now.handler, (long long)before[i].handler, "handler of %d", i);
		check_int((long long)now.flags, (long long)before[i].flags, "flags of %d", i);
		check_int((long long)now.mask, (long long)before[i].mask, "mask of %d", i);
		check_int((long long)now.restorer, (long long)before[i].restorer, "restorer of %d",
			i);
	}
}

static void set_all(int shift)
{
	struct sigaction any = {.sa_handler = handler_a};
	struct kernel_action found;

	/* libc's own restorer. */
	must(sigaction(SIGUSR1, &any, NULL));
	must(change(SIGUSR1, NULL, &found));
	for (int i = 1; i <= SIGNALS; i++) {
		struct kernel_action action = choose(i + shift, found.restorer);

		if (i == SIGKILL || i == SIGSTOP)
			continue;
		must(change(i, &action, NULL));
	}
	for (int i = 1; i <= SIGNALS; i++)
		must(change(i, NULL, &before[i]));
}

static void child(void *unused)
{
	(void)unused;
	set_all(1);
	victim_ready();
	while (victim_next())
		verify();
}

int main(int argc, char **argv)
{
	struct kernel_action other = {.handler = (uint64_t)handler_b};

	victim_begin(argc, argv);
	set_all(0);
	start_task("child", child, NULL);
	victim_ready();
	if (victim_spoiled())
		change(45, &other, NULL);
	while (victim_next()) {
		verify();
		check_part("child");
	}
	return 0;
}
