/* How each thread is scheduled: policy, priority, nice, I/O priority, timer slack, processors,
 * name. */
#include "victim.h"

#include <sys/resource.h>

enum { IOPRIO_CLASS_BE = 2, IOPRIO_CLASS_IDLE = 3, IOPRIO_WHO_PROCESS = 1 };

struct setting {
	const char *name;
	int policy, priority, nice, ioprio, cpu;
	unsigned long slack;
};

static const struct setting settings[] = {
	{"nice", SCHED_OTHER, 0, 7, IOPRIO_CLASS_BE << 13 | 6, -1, 50000},
	{"minus", SCHED_OTHER, 0, -5, 0, 0, 1},
	{"batch", SCHED_BATCH, 0, 3, IOPRIO_CLASS_IDLE << 13, -1, 123456},
	{"idle", SCHED_IDLE, 0, 0, 0, -1, 777},
	{"fifo", SCHED_FIFO, 3, 0, IOPRIO_CLASS_BE << 13 | 1, -1, 50000},
	{"rr-not-forked", SCHED_RR | SCHED_RESET_ON_FORK, 9, 0, 0, 0, 50000},
	{"fifteen letters", SCHED_OTHER, 0, 19, 0, -1, 4000000000},
};

static cpu_set_t processors(void)
{
	cpu_set_t set;

	must(sched_getaffinity(0, sizeof(set), &set));
	return set;
}

static void set_up(const struct setting *setting)
{
	struct sched_param param = {setting->priority};
	cpu_set_t set;

	pthread_setname_np(pthread_self(), setting->name);
	must(setpriority(PRIO_PROCESS, (id_t)get_tid(), setting->nice));
	must(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, setting->ioprio));
	must(prctl(PR_SET_TIMERSLACK, setting->slack));
	if (setting->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(setting->cpu, &set);
		must(sched_setaffinity(0, sizeof(set), &set));
	}
	if (sched_setscheduler(get_tid(), setting->policy, &param) == -1)
		victim_skip("policy %d: %s", setting->policy, strerror(errno));
}

static void thread(void *argument)
{
	const struct setting *setting = argument;
	struct sched_param param;
	cpu_set_t before, now;
	char name[16], comm[16];
	long slack;

	set_up(setting);
	before = processors();
	slack = must(prctl(PR_GET_TIMERSLACK));
	victim_ready();
	if (victim_spoiled())
		setpriority(PRIO_PROCESS, (id_t)get_tid(), 11);
	while (victim_next()) {
		check_int(sched_getscheduler(get_tid()), setting->policy, "policy");
		must(sched_getparam(get_tid(), &param));
		check_int(param.sched_priority, setting->priority, "priority");
		errno = 0;
		check_int(getpriority(PRIO_PROCESS, (id_t)get_tid()), setting->nice, "nice");
		check_int(
			syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0), setting->ioprio, "ioprio");
		check_int(prctl(PR_GET_TIMERSLACK), slack, "timer slack");
		now = processors();
		check(CPU_EQUAL(&now, &before), "processors differ");
		pthread_getname_np(pthread_self(), name, sizeof(name));
		check_str(name, setting->name, "name");
		must(prctl(PR_GET_NAME, comm));
		check_str(comm, setting->name, "PR_GET_NAME");
	}
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	for (size_t i = 0; i < array_size(settings); i++)
		start_thread(settings[i].name, thread, (void *)&settings[i]);
	victim_ready();
	while (victim_next())
		for (size_t i = 0; i < array_size(settings); i++)
			check_part(settings[i].name);
	return 0;
}
