/* All sixteen limits, of root's tasks and of another user's, below what the restoring shell has. */
#include "victim.h"

#include <sys/resource.h>

#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))

/* A limit that can be lowered everywhere, for each resource. */
static struct rlimit lowered(int resource, rlim_t shift)
{
	struct rlimit now;

	must(getrlimit((__rlimit_resource_t)resource, &now));
	switch (resource) {
	case RLIMIT_CORE:
	case RLIMIT_RTPRIO:
	case RLIMIT_NICE:
		return (struct rlimit){0, 0};
	case RLIMIT_NOFILE:
		return (struct rlimit){500 + shift, MIN_OF(now.rlim_max, 1000 + shift)};
	case RLIMIT_NPROC:
		return (struct rlimit){2000 + shift, MIN_OF(now.rlim_max, 3000 + shift)};
	case RLIMIT_MEMLOCK:
	case RLIMIT_MSGQUEUE:
		return (struct rlimit){
			(16 + shift) << 12, MIN_OF(now.rlim_max, (32 + shift) << 12)};
	case RLIMIT_SIGPENDING:
		return (struct rlimit){100 + shift, MIN_OF(now.rlim_max, 200 + shift)};
	case RLIMIT_STACK:
		return (struct rlimit){(4 + shift) << 20, now.rlim_max};
	case RLIMIT_CPU:
	case RLIMIT_RTTIME:
		return (struct rlimit){100000000 + shift, 200000000 + shift};
	default:
		return (struct rlimit){(1ull << 40) + shift, (1ull << 41) + shift};
	}
}

static void hold(void *shift)
{
	struct rlimit before[RLIM_NLIMITS], now;

	for (int i = 0; i < RLIM_NLIMITS; i++) {
		before[i] = lowered(i, (rlim_t)(uintptr_t)shift);
		must(setrlimit((__rlimit_resource_t)i, &before[i]));
	}
	if (shift)
		must(setresuid(1000, 1000, 1000));
	victim_ready();
	if (victim_spoiled())
		must(setrlimit(RLIMIT_NOFILE, &(struct rlimit){400, 400}));
	while (victim_next())
		for (int i = 0; i < RLIM_NLIMITS; i++) {
			must(getrlimit((__rlimit_resource_t)i, &now));
			check_int((long long)now.rlim_cur, (long long)before[i].rlim_cur,
				"soft limit %d", i);
			check_int((long long)now.rlim_max, (long long)before[i].rlim_max,
				"hard limit %d", i);
		}
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	start_task("root", hold, NULL);
	start_task("user", hold, (void *)5);
	victim_ready();
	while (victim_next()) {
		check_part("root");
		check_part("user");
	}
	return 0;
}
