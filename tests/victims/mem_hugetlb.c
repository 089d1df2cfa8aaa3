/* Huge pages of hugetlbfs: private and shared anonymous. */
#include "victim.h"

enum { HUGE = 2 << 20 };

static char *map(int flags)
{
	char *area = mmap(
		NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_HUGETLB | flags, -1, 0);

	if (area == MAP_FAILED)
		victim_skip("no huge pages: %s", strerror(errno));
	return area;
}

static char *shared;

static void child(void *unused)
{
	(void)unused;
	victim_ready();
	for (uint64_t round = 1; victim_next(); round++) {
		await_file("written");
		check_pattern(shared, HUGE, round, "what the parent wrote");
	}
}

int main(int argc, char **argv)
{
	uint64_t round = 1;
	char *private;

	victim_begin(argc, argv);
	private = map(MAP_PRIVATE);
	shared = map(MAP_SHARED);
	fill_pattern(private, HUGE, 1);
	fill_pattern(shared + HUGE, HUGE, 2);
	start_task("child", child, NULL);
	victim_ready();
	if (victim_spoiled())
	private[12345]++;
	while (victim_next()) {
		fill_pattern(shared, HUGE, round++);
		write_file(victim_path("written"), "", 0);
		check_pattern(private, HUGE, 1, "private huge page");
		check_pattern(shared + HUGE, HUGE, 2, "shared huge page");
		check(vm_flag(private, "ht"), "the private area is not of huge pages");
		check(vm_flag(shared, "ht"), "the shared area is not of huge pages");
		check_part("child");
		must(unlink(victim_path("written")));
	}
	return 0;
}
