#include "base/testpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/util.h"

#ifdef STASIS_TESTPOINTS

/* Children forked by the conductor inherit the environment; only the process that reached its first
 * point first is counted, so that a helper never takes the conductor's number. */
static _Atomic pid_t counted_pid;
static atomic_ulong reached;

static void note(const char *name)
{
	const char *path = getenv("STASIS_TEST_POINT_COUNT");
	char line[128];
	int fd, n;

	if (!path)
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	n = snprintf(line, sizeof(line), "%s\n", name);
	if (write(fd, line, (size_t)n) < 0)
		fprintf(stderr, "%s: cannot be written\n", path);
	close(fd);
}

/* "12:kill" matches the 12th point, "seized:kill" the point of that name. */
static bool is_meant(const char *wish, const char *name, unsigned long number)
{
	size_t length = strcspn(wish, ":");
	char *end;
	unsigned long wanted = strtoul(wish, &end, 10);

	if (end != wish)
		return wanted == number;
	return strlen(name) == length && !memcmp(wish, name, length);
}

int test_point(const char *name)
{
	const char *wish = getenv("STASIS_TEST_POINT");
	pid_t self = getpid(), expected = 0;
	unsigned long number;

	if (!atomic_compare_exchange_strong(&counted_pid, &expected, self) && expected != self)
		return 0;
	number = atomic_fetch_add(&reached, 1) + 1;
	note(name);
	if (!wish || !is_meant(wish, name, number))
		return 0;
	if (!strcmp(wish + strcspn(wish, ":"), ":kill"))
		kill(self, SIGKILL);
	return -EIO;
}

#endif
