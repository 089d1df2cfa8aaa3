/* Private anonymous memory: full, sparse, never touched, read-only by now, and the heap. */
#include "victim.h"

enum { SMALL = 16 * PAGE, LARGE = 4096 * PAGE };

static char *map(size_t size, int flags)
{
	return must_ptr(mmap(
		NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0));
}

static bool all_zero(const char *memory, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (memory[i])
			return false;
	return true;
}

int main(int argc, char **argv)
{
	char *full, *sparse, *untouched, *constant, *heap, *read_only_zero;
	char *brk_before;
	uint64_t seed = 1;

	victim_begin(argc, argv);
	full = map(SMALL, 0);
	fill_pattern(full, SMALL, seed);
	sparse = map(LARGE, MAP_NORESERVE);
	for (size_t i = 0; i < LARGE / PAGE; i += 37)
		fill_pattern(sparse + i * PAGE, PAGE, i);
	untouched = map(SMALL, 0);
	read_only_zero = map(SMALL, 0);
	check_int(read_only_zero[3 * PAGE], 0, "fresh memory"); /* the zero page is mapped now */
	constant = map(SMALL, 0);
	fill_pattern(constant, SMALL, 3);
	must(mprotect(constant, SMALL, PROT_READ));
	heap = must_ptr(malloc(100000));
	fill_pattern(heap, 100000, 4);
	must(brk((char *)sbrk(0) + 123));
	brk_before = sbrk(0);
	victim_ready();
	if (victim_spoiled())
		sparse[37 * PAGE + 100]++;
	while (victim_next()) {
		check_pattern(full, SMALL, seed, "full area");
		for (size_t i = 0; i < LARGE / PAGE; i++)
			if (i % 37 == 0)
				check_pattern(sparse + i * PAGE, PAGE, i, "sparse page");
			else if (i % 37 < 3)
				check(all_zero(sparse + i * PAGE, PAGE), "page %zu is not zero", i);
		check(all_zero(untouched, SMALL), "untouched memory is not zero");
		check(all_zero(read_only_zero, SMALL), "zero pages are not zero");
		check_pattern(constant, SMALL, 3, "read-only area");
		check_pattern(heap, 100000, 4, "heap");
		check(sbrk(0) == brk_before, "the break is %p, was %p", sbrk(0),
			(void *)brk_before);
		must(brk(brk_before + PAGE));
		memset(brk_before, 7, PAGE);
		must(brk(brk_before));
		/* Something new for the next generation. */
		fill_pattern(full, SMALL, ++seed);
	}
	return 0;
}
