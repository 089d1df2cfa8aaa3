/* 65,000 areas, close to what the kernel allows one process. */
#include "victim.h"

enum { AREAS = 65000 };

static int count_areas(void)
{
	char *text = read_file("/proc/self/maps");
	int n = 0;

	for (char *p = text; *p; p++)
		n += *p == '\n';
	free(text);
	return n;
}

int main(int argc, char **argv)
{
	char *area;
	int before;

	victim_begin(argc, argv);
	area = must_ptr(mmap(NULL, AREAS * PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	for (int i = 0; i < AREAS; i += 2) {
		if (i % 100 == 0)
			*(int *)(area + (size_t)i * PAGE) = i + 1;
		if (mprotect(area + (size_t)i * PAGE, PAGE, PROT_READ) == -1)
			victim_skip("%d areas at most (vm.max_map_count)", i);
	}
	read_file("/proc/self/maps"); /* grows the heap now, not later */
	before = count_areas();
	victim_ready();
	if (victim_spoiled())
		must(mprotect(area + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	while (victim_next()) {
		for (int i = 0; i < AREAS; i += 100)
			check_int(*(int *)(area + (size_t)i * PAGE), i + 1, "area %d", i);
		check_int(count_areas(), before, "number of areas");
	}
	return 0;
}
