/*
 * Tasks that change while they are being frozen: the last argument says how. A checkpoint either succeeds or
 * says why not, and the storm goes on: its counter moves at every verification.
 */
#include "victim.h"

static volatile uint64_t *beats;

static void *nothing(void *unused)
{
	return unused;
}

static void fork_storm(void)
{
	for (;; ++*beats) {
		pid_t pid = fork();

		if (pid == 0)
			_exit((int)(*beats & 127));
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
}

/* Each child forks the next one and leaves: the storm has a new pid all the time. */
static void chain_storm(void)
{
	for (;; ++*beats) {
		pid_t pid = fork();

		if (pid > 0)
			_exit(0);
	}
}

static void exec_storm(char **argv)
{
	++*beats;
	execl("/proc/self/exe", argv[0], argv[1], "exec-again", NULL);
	_exit(1);
}

static void thread_storm(void)
{
	for (;; ++*beats) {
		pthread_t threads[8];
		int n = 0;

		while (n < 8 && !pthread_create(&threads[n], NULL, nothing, NULL))
			n++;
		while (n > 0)
			pthread_join(threads[--n], NULL);
	}
}

static void map_storm(void)
{
	for (;; ++*beats) {
		size_t size = (1 + *beats % 64) * PAGE;
		char *area = mmap(
			NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (area == MAP_FAILED)
			continue;
		area[size - 1] = 1;
		mprotect(area, PAGE, PROT_READ);
		munmap(area, size);
	}
}

static void signal_storm(void)
{
	signal(SIGUSR1, SIG_IGN);
	for (;; ++*beats)
		kill(getpid(), SIGUSR1);
}

/* The counter lives in a file, so that it survives exec. */
static void map_beats(void)
{
	int fd = (int)must(open(victim_path("beats"), O_RDWR | O_CREAT | O_CLOEXEC, 0600));

	must(ftruncate(fd, PAGE));
	beats = must_ptr(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
}

static void rage(const char *kind, char **argv)
{
	if (!strcmp(kind, "fork"))
		fork_storm();
	else if (!strcmp(kind, "chain"))
		chain_storm();
	else if (!strcmp(kind, "exec"))
		exec_storm(argv);
	else if (!strcmp(kind, "thread"))
		thread_storm();
	else if (!strcmp(kind, "map"))
		map_storm();
	else if (!strcmp(kind, "signal"))
		signal_storm();
	_exit(1);
}

static void kill_all(pid_t child)
{
	kill(child, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 2 ? argv[2] : "";
	pid_t child;

	victim_begin(argc, argv);
	map_beats();
	if (!strcmp(kind, "exec-again"))
		exec_storm(argv);
	/* Orphans of the chain are ours to reap. */
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	child = (pid_t)must(fork());
	if (child == 0)
		rage(kind, argv);
	if (strcmp(kind, "chain") == 0)
		signal(SIGCHLD, SIG_IGN);
	victim_ready();
	while (victim_next()) {
		uint64_t before = *beats, limit = now_ns(CLOCK_MONOTONIC) + 10000000000;

		while (*beats < before + 5 && now_ns(CLOCK_MONOTONIC) < limit)
			msleep(1);
		check(*beats >= before + 5, "the storm is over");
	}
	kill_all(child);
	return 0;
}
