/* Locked memory: mlock, mlock2 on fault, and mlockall for what is mapped later. */
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

/* Everything mapped from now on is locked. */
static void future(void *unused)
{
	(void)unused;
	if (mlockall(MCL_FUTURE) == -1)
		victim_skip("mlockall: %s", strerror(errno));
	victim_ready();
	while (victim_next()) {
		char *area = separate();

		check(vm_flag(area, "lo"), "a new area is not locked");
		munmap(area, SIZE);
	}
}

static void all_on_fault(void *unused)
{
	(void)unused;
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == -1)
		victim_skip("mlockall: %s", strerror(errno));
	victim_ready();
	while (victim_next()) {
		char *area = separate(), *locked = status_field("VmLck");

		check(vm_flag(area, "lo"), "a new area is not locked");
		munmap(area, SIZE);
		check(locked && atol(locked) > 1000, "VmLck is %s", locked);
	}
}

int main(int argc, char **argv)
{
	char *locked, *on_fault, *plain, *text;

	victim_begin(argc, argv);
	start_task("future", future, NULL);
	start_task("all-on-fault", all_on_fault, NULL);
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
		check_part("future");
		check_part("all-on-fault");
	}
	return 0;
}
