/*
 * POSIX timers: ids with gaps, several clocks, each way of notifying, one with overruns that waits
 * behind a blocked signal, and one that ticks.
 */
#include "victim.h"

enum { TIMERS = 9 };

static const struct kind {
	clockid_t clock;
	int notify, signal;
	long left, interval;
} kinds[TIMERS] = {
	{CLOCK_REALTIME, SIGEV_SIGNAL, 40, 5000, 7},
	{CLOCK_MONOTONIC, SIGEV_SIGNAL, 41, 6000, 0},
	{CLOCK_MONOTONIC, SIGEV_NONE, 0, 7000, 9},
	{CLOCK_BOOTTIME, SIGEV_SIGNAL, SIGUSR2, 8000, 1},
	{CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, 42, 9000, 2},
	{CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, 43, 9500, 3},
	{CLOCK_MONOTONIC, SIGEV_THREAD_ID, 44, 4000, 4},
	{CLOCK_REALTIME, SIGEV_NONE, 0, 0, 0},
	{CLOCK_MONOTONIC, SIGEV_SIGNAL, 45, 3000, 5},
};

static int ids[TIMERS], overrunning, ticking;
static volatile sig_atomic_t ticks;

static void tick(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_code == SI_TIMER && info->si_timerid == ticking)
		ticks++;
}

static int create(clockid_t clock, int notify, int signal)
{
	struct sigevent event = {.sigev_notify = notify, .sigev_signo = signal};
	int id = -1;

	event.sigev_value.sival_ptr = (void *)(0xabcd00000000 + (long)signal);
	if (notify == SIGEV_THREAD_ID)
		event._sigev_un._tid = get_tid();
	must(syscall(SYS_timer_create, clock, &event, &id));
	return id;
}

static void set(int id, long left, long left_ns, long interval, long interval_ns)
{
	struct itimerspec value = {{interval, interval_ns}, {left, left_ns}};

	must(syscall(SYS_timer_settime, id, 0, &value, NULL));
}

static void check_timer(int i)
{
	struct itimerspec now;

	if (syscall(SYS_timer_gettime, ids[i], &now) == -1) {
		victim_fail("timer %d of id %d: %s", i, ids[i], strerror(errno));
		return;
	}
	check_int(now.it_interval.tv_sec, kinds[i].interval, "interval of timer %d", i);
	check(now.it_value.tv_sec <= kinds[i].left && now.it_value.tv_sec >= kinds[i].left - 300,
		"timer %d has %ld s left of %ld", i, now.it_value.tv_sec, kinds[i].left);
}

/* A gap is an id that was never given again. */
static void create_all(void)
{
	for (int i = 0; i < TIMERS; i++) {
		int gap = create(CLOCK_MONOTONIC, SIGEV_NONE, 0);

		ids[i] = create(kinds[i].clock, kinds[i].notify, kinds[i].signal);
		set(ids[i], kinds[i].left, 0, kinds[i].interval, 0);
		must(syscall(SYS_timer_delete, gap));
	}
	overrunning = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 8);
	set(overrunning, 0, 2000000, 0, 2000000);
	ticking = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 9);
	set(ticking, 0, 5000000, 0, 5000000);
}

static void check_overruns(const sigset_t *set)
{
	const struct timespec limit = {5, 0};
	siginfo_t info;

	if (sigtimedwait(set, &info, &limit) == -1) {
		victim_fail("the blocked timer's signal is not pending: %s", strerror(errno));
		return;
	}
	check_int(info.si_code, SI_TIMER, "its code");
	check_int(info.si_timerid, overrunning, "its timer");
	check_int((long long)info.si_value.sival_ptr, 0xabcd00000000 + SIGRTMIN + 8, "its value");
	check(info.si_overrun > 0, "overruns are %d", info.si_overrun);
	msleep(20);
}

static void check_ticks(void)
{
	uint64_t limit = now_ns(CLOCK_MONOTONIC) + 5000000000;
	int before = ticks;

	while (ticks < before + 3 && now_ns(CLOCK_MONOTONIC) < limit)
		msleep(1);
	check(ticks >= before + 3, "the timer ticks no more");
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigset_t blocked;
	char *before;

	victim_begin(argc, argv);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGRTMIN + 8);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	must(sigaction(SIGRTMIN + 9, &action, NULL));
	create_all();
	before = read_file("/proc/self/timers");
	msleep(20);
	victim_ready();
	if (victim_spoiled())
		must(syscall(SYS_timer_delete, ids[3]));
	while (victim_next()) {
		char *now = read_file("/proc/self/timers");

		check_str(now, before, "/proc/self/timers");
		free(now);
		for (int i = 0; i < TIMERS; i++)
			check_timer(i);
		check_overruns(&blocked);
		check_ticks();
	}
	return 0;
}
