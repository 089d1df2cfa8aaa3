/* The vdso: at its place, and working, also for threads that hardly ever leave it. */
#include "victim.h"

#include <sys/auxv.h>
#include <sys/time.h>

static volatile uint64_t calls[2];
static volatile uint64_t backwards;

static void *run(void *argument)
{
	intptr_t i = (intptr_t)argument;
	uint64_t last = 0;

	for (;;) {
		uint64_t now = now_ns(i ? CLOCK_MONOTONIC : CLOCK_BOOTTIME);

		if (now < last)
			backwards++;
		last = now;
		calls[i]++;
	}
	return NULL;
}

/* The named area's first address. */
static unsigned long address_of(const char *name)
{
	char *text = read_file("/proc/self/maps"), *at = strstr(text, name);
	unsigned long address = 0;

	if (at) {
		while (at > text && at[-1] != '\n')
			at--;
		address = strtoul(at, NULL, 16);
	}
	free(text);
	return address;
}

static long realtime_by_kernel(void)
{
	struct timespec t;

	must(syscall(SYS_clock_gettime, CLOCK_REALTIME, &t));
	return t.tv_sec;
}

int main(int argc, char **argv)
{
	unsigned long vdso, vvar;
	pthread_t thread;

	victim_begin(argc, argv);
	vdso = address_of("[vdso]");
	vvar = address_of("[vvar]");
	if (!vdso || vdso != getauxval(AT_SYSINFO_EHDR))
		victim_skip("no vdso");
	for (intptr_t i = 0; i < 2; i++)
		if (pthread_create(&thread, NULL, run, (void *)i))
			victim_die("pthread_create");
	while (!calls[0] || !calls[1])
		msleep(1);
	victim_ready();
	if (victim_spoiled())
		backwards++;
	while (victim_next()) {
		struct timeval t;
		unsigned cpu, node;

		check_int((long long)address_of("[vdso]"), (long long)vdso, "address of the vdso");
		check_int((long long)address_of("[vvar]"), (long long)vvar, "address of its data");
		check(memcmp((void *)vdso, "\177ELF", 4) == 0, "the vdso is no ELF file");
		for (int i = 0; i < 2; i++) {
			uint64_t before = calls[i];

			for (int waited = 0; calls[i] == before && waited < 5000; waited++)
				msleep(1);
			check(calls[i] > before, "thread %d makes no progress", i);
		}
		check_int((long long)backwards, 0, "times that a clock went backwards");
		gettimeofday(&t, NULL);
		check(labs(t.tv_sec - realtime_by_kernel()) <= 1, "gettimeofday is wrong");
		check(labs(time(NULL) - realtime_by_kernel()) <= 1, "time is wrong");
		check(getcpu(&cpu, &node) == 0 && cpu < 4096, "getcpu is wrong");
	}
	return 0;
}
