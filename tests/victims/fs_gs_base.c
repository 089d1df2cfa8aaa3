/* The bases of the FS and GS segments of each thread. */
#include "victim.h"

#include <asm/prctl.h>

static _Thread_local uint64_t local_number;

static void thread(void *argument)
{
	uint64_t cell = (uint64_t)argument * 12345, value;
	unsigned long fs, gs;

	local_number = cell + 1;
	must(syscall(SYS_arch_prctl, ARCH_SET_GS, &cell));
	must(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
	victim_ready();
	if (victim_spoiled())
		must(syscall(SYS_arch_prctl, ARCH_SET_GS, 0));
	while (victim_next()) {
		unsigned long now;

		must(syscall(SYS_arch_prctl, ARCH_GET_FS, &now));
		check_int((long long)now, (long long)fs, "FS base");
		must(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
		check_int((long long)gs, (long long)&cell, "GS base");
		if (gs == (unsigned long)&cell) {
			__asm__ volatile("movq %%gs:0, %0" : "=r"(value));
			check_int((long long)value, (long long)cell, "the word at %%gs:0");
		}
		check_int((long long)local_number, (long long)cell + 1, "thread-local number");
	}
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	start_thread("one", thread, (void *)1);
	start_thread("two", thread, (void *)2);
	victim_ready();
	while (victim_next()) {
		check_part("one");
		check_part("two");
	}
	return 0;
}
