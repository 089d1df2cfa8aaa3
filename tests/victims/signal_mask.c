/* Signal masks and alternate stacks of each thread, also while a handler runs on one. */
#include "victim.h"

static char stacks[4][65536];

static sigset_t make_mask(int i)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP + i);
	sigaddset(&mask, SIGRTMIN + 2 + i);
	sigaddset(&mask, SIGRTMAX - i);
	return mask;
}

static void verify(const sigset_t *mask, const stack_t *stack, bool on_stack)
{
	sigset_t now;
	stack_t alternate;

	pthread_sigmask(SIG_BLOCK, NULL, &now);
	for (int signal = 1; signal <= SIGRTMAX; signal++)
		check_int(sigismember(&now, signal), sigismember(mask, signal), "signal %d blocked",
			signal);
	must(sigaltstack(NULL, &alternate));
	check_int((long long)alternate.ss_sp, (long long)stack->ss_sp, "alternate stack");
	check_int((long long)alternate.ss_size, (long long)stack->ss_size, "its size");
	check_int(alternate.ss_flags, stack->ss_flags | (on_stack ? SS_ONSTACK : 0), "its flags");
}

static void masked(void *argument)
{
	int i = (int)(intptr_t)argument;
	sigset_t mask = make_mask(i), other = make_mask(i + 1);
	stack_t stack = {stacks[i], i == 1 ? (int)(1u << 31) /* SS_AUTODISARM */ : 0,
		sizeof(stacks[i]) - 4096 * (size_t)i};

	must(sigaltstack(&stack, NULL));
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	victim_ready();
	if (victim_spoiled())
		pthread_sigmask(SIG_SETMASK, &other, NULL);
	while (victim_next())
		verify(&mask, &stack, false);
}

static void handler(int signal)
{
	stack_t stack = {stacks[3], 0, sizeof(stacks[3])};
	sigset_t mask;
	char here;

	(void)signal;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGUSR2);
	victim_ready();
	while (victim_next()) {
		verify(&mask, &stack, true);
		check(&here >= stacks[3] && &here < stacks[3] + sizeof(stacks[3]),
			"the handler is not on its stack");
	}
}

static void handling(void *unused)
{
	stack_t stack = {stacks[3], 0, sizeof(stacks[3])};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};

	(void)unused;
	must(sigaltstack(&stack, NULL));
	sigaddset(&action.sa_mask, SIGUSR1);
	must(sigaction(SIGUSR2, &action, NULL));
	pthread_kill(pthread_self(), SIGUSR2);
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	start_thread("plain", masked, (void *)0);
	start_thread("autodisarm", masked, (void *)1);
	start_thread("third", masked, (void *)2);
	start_thread("handling", handling, NULL);
	victim_ready();
	while (victim_next()) {
		check_part("plain");
		check_part("autodisarm");
		check_part("third");
		check_part("handling");
	}
	return 0;
}
