/* Locked memory to come: mlockall for what is mapped later (MCL_FUTURE), also on fault. */
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
	if (victim_spoiled())
		munlockall();
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
	victim_begin(argc, argv);
	start_task("future", future, NULL);
	start_task("all-on-fault", all_on_fault, NULL);
	victim_ready();
	while (victim_next()) {
		check_part("future");
		check_part("all-on-fault");
	}
	return 0;
}
