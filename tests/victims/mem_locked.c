/* Locked memory: mlock, and mlock2 on fault. */
#include "victim.h"

enum { SIZE = 8 * PAGE };

static void *separate(void)
{
	char *area = must_ptr(mmap(
		NULL, SIZE + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	must(munmap(area, PAGE));
	must(munmap(area + PAGE + SIZE, PAGE));
	return area + PAGE;
}

int main(int argc, char **argv)
{
	char *locked, *on_fault, *plain, *text;

	victim_begin(argc, argv);
	locked = separate();
	must(mlock(locked, SIZE));
	on_fault = separate();
	must(mlock2(on_fault, SIZE, MLOCK_ONFAULT));
	fill_pattern(on_fault + PAGE, PAGE, 5);
	plain = separate();
	fill_pattern(locked, SIZE, 6);
	victim_ready();
	if (victim_spoiled())
		must(munlock(on_fault, SIZE));
	while (victim_next()) {
		check(vm_flag(locked, "lo"), "the locked area is not");
		check(vm_flag(on_fault, "lo"), "the area locked on fault is not");
		check(!vm_flag(plain, "lo"), "an area is locked that was not");
		text = smaps_of(on_fault);
		/* Locked on fault: the pages never touched are not there. */
		check_str(text ? field_of(text, "Rss") : NULL, "4 kB",
			"resident part of the area locked on fault");
		free(text);
		check_pattern(locked, SIZE, 6, "locked area");
		check_pattern(on_fault + PAGE, PAGE, 5, "page locked on fault");
		check_str(status_field("VmLck"), "64 kB", "VmLck");
	}
	return 0;
}
