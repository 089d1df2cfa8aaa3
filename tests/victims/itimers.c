/* The three interval timers: what is left, the interval, and that they go off. */
#include "victim.h"

#include <sys/time.h>

static volatile sig_atomic_t alarms;

static void count(int signal)
{
	(void)signal;
	alarms++;
}

static void check_timer(int which, long left, long interval, long interval_us)
{
	struct itimerval now;

	must(getitimer(which, &now));
	check_int(now.it_interval.tv_sec, interval, "interval of timer %d", which);
	check_int(now.it_interval.tv_usec, interval_us, "microseconds of timer %d", which);
	check(now.it_value.tv_sec <= left && now.it_value.tv_sec >= left - 300,
		"timer %d has %ld s left of %ld", which, now.it_value.tv_sec, left);
}

static void set(int which, long left, long interval, long interval_us)
{
	struct itimerval value = {{interval, interval_us}, {left, 0}};

	must(setitimer(which, &value, NULL));
}

static void ticking(void *unused)
{
	struct itimerval tick = {{0, 10000}, {0, 10000}};

	(void)unused;
	signal(SIGALRM, count);
	must(setitimer(ITIMER_REAL, &tick, NULL));
	victim_ready();
	while (victim_next()) {
		int before = alarms;
		uint64_t limit = now_ns(CLOCK_MONOTONIC) + 5000000000;

		while (alarms < before + 3 && now_ns(CLOCK_MONOTONIC) < limit)
			msleep(1);
		check(alarms >= before + 3, "the timer ticks no more");
	}
}

static void expired(void *unused)
{
	struct itimerval once = {{0, 0}, {0, 1000}};

	(void)unused;
	signal(SIGALRM, count);
	must(setitimer(ITIMER_REAL, &once, NULL));
	while (!alarms)
		msleep(1);
	victim_ready();
	while (victim_next()) {
		must(getitimer(ITIMER_REAL, &once));
		check(once.it_value.tv_sec == 0 && once.it_value.tv_usec == 0,
			"a timer that has gone off is set again");
		check_int(alarms, 1, "alarms");
	}
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	start_task("ticking", ticking, NULL);
	start_task("expired", expired, NULL);
	set(ITIMER_REAL, 7200, 11, 123456);
	set(ITIMER_VIRTUAL, 3600, 0, 500000);
	set(ITIMER_PROF, 5000, 3, 0);
	victim_ready();
	if (victim_spoiled())
		set(ITIMER_VIRTUAL, 0, 0, 0);
	while (victim_next()) {
		check_timer(ITIMER_REAL, 7200, 11, 123456);
		check_timer(ITIMER_VIRTUAL, 3600, 0, 500000);
		check_timer(ITIMER_PROF, 5000, 3, 0);
		check_part("ticking");
		check_part("expired");
	}
	return 0;
}
