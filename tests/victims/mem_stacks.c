/* Stacks that grow downwards: the main one while 3 MB deep, and one of MAP_GROWSDOWN. */
#include "victim.h"

enum { GROWN = 24 };

static char *downwards;

static void __attribute__((noinline)) touch_down(int from, int to)
{
	for (int i = from; i < to; i++)
		*(volatile char *)(downwards - (long)i * (long)PAGE) = (char)i;
}

static void verify(int grown)
{
	for (int i = 0; i < grown; i++)
		check_int(downwards[-(long)i * (long)PAGE], (char)i, "page %d of the growing area",
			i);
}

static void __attribute__((noinline)) deep(int depth)
{
	volatile uint64_t local[1024];
	int grown = GROWN;

	for (size_t i = 0; i < array_size(local); i++)
		local[i] = (uint64_t)depth * 10007 + i;
	if (depth > 0) {
		deep(depth - 1);
	} else {
		victim_ready();
		if (victim_spoiled())
			local[17]++;
		while (victim_next()) {
			verify(grown);
			/* It grows on. */
			touch_down(grown, grown + 4);
			grown += 4;
			check(vm_flag(downwards - (long)(grown - 1) * (long)PAGE, "gd"),
				"the area does not grow downwards any more");
			for (size_t i = 0; i < array_size(local); i++)
				check_int((long long)local[i],
					(long long)((uint64_t)depth * 10007 + i), "local %zu", i);
		}
	}
	for (size_t i = 0; i < array_size(local); i++)
		if (depth > 0 && local[i] != (uint64_t)depth * 10007 + i)
			_exit(3);
}

int main(int argc, char **argv)
{
	char *space;

	victim_begin(argc, argv);
	/* Free space below for the area to grow into. */
	space = must_ptr(mmap(
		NULL, 4096 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	must(munmap(space, 4096 * PAGE));
	downwards = must_ptr(mmap(space + 4000 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0));
	touch_down(0, GROWN);
	deep(380);
	return 0;
}
