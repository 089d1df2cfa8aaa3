/* Short sleeps and timed waits, so that every checkpoint hits some: none may end early or with
 * EINTR. */
#include "victim.h"

#include <linux/futex.h>
#include <poll.h>

static volatile unsigned long rounds[3];
static volatile long trouble[3];

static long sleep_once(intptr_t kind)
{
	const struct timespec t = {0, 30000000};
	uint32_t word = 0;
	long result;

	if (kind == 0)
		return nanosleep(&t, NULL) == 0 ? 0 : -errno;
	if (kind == 1)
		return poll(NULL, 0, 30) == 0 ? 0 : -errno;
	result = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
	return result == -1 && errno == ETIMEDOUT ? 0 : -errno;
}

static void *run(void *argument)
{
	intptr_t kind = (intptr_t)argument;

	for (;;) {
		uint64_t begin = now_ns(CLOCK_MONOTONIC);
		long error = sleep_once(kind);

		if (error)
			trouble[kind] = error;
		else if (now_ns(CLOCK_MONOTONIC) - begin < 29000000)
			trouble[kind] = 1;
		rounds[kind]++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"nanosleep", "poll", "futex"};
	pthread_t thread;

	victim_begin(argc, argv);
	for (intptr_t i = 0; i < 3; i++)
		if (pthread_create(&thread, NULL, run, (void *)i))
			victim_die("pthread_create");
	for (int i = 0; i < 3; i++)
		while (!rounds[i])
			msleep(1);
	victim_ready();
	if (victim_spoiled())
		trouble[0] = 1;
	while (victim_next()) {
		for (int i = 0; i < 3; i++) {
			unsigned long before = rounds[i];

			while (rounds[i] < before + 2)
				msleep(2);
			check(trouble[i] <= 0, "%s ended early", names[i]);
			check(trouble[i] >= 0, "%s ended with %s", names[i],
				strerror((int)-trouble[i]));
		}
	}
	return 0;
}
