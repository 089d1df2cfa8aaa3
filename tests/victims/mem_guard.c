/* Guard regions inside an area (MADV_GUARD_INSTALL, since 6.13): touching them is SIGSEGV. */
#include "victim.h"

#include <sys/uio.h>

enum { PAGES = 16, GUARD_INSTALL = 102, GUARD_REMOVE = 103 };

static bool readable(const char *address)
{
	char byte;
	struct iovec local = {&byte, 1}, remote = {(void *)address, 1};

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

static bool guarded(int page)
{
	return page == 3 || page == 4 || page == 9;
}

int main(int argc, char **argv)
{
	char *area;

	victim_begin(argc, argv);
	area = must_ptr(mmap(
		NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < PAGES; i++)
		if (!guarded(i) && i != 12)
			fill_pattern(area + (size_t)i * PAGE, PAGE, (uint64_t)i);
	if (madvise(area + 3 * PAGE, 2 * PAGE, GUARD_INSTALL) == -1)
		victim_skip("MADV_GUARD_INSTALL: %s", strerror(errno));
	must(madvise(area + 9 * PAGE, PAGE, GUARD_INSTALL));
	victim_ready();
	if (victim_spoiled())
		must(madvise(area + 9 * PAGE, PAGE, GUARD_REMOVE));
	while (victim_next()) {
		for (int i = 0; i < PAGES; i++) {
			char *page = area + (size_t)i * PAGE;

			check_int(readable(page), !guarded(i), "page %d can be read", i);
			if (!guarded(i) && i != 12)
				check_pattern(page, PAGE, (uint64_t)i, "page beside a guard");
		}
		/* A guard can be taken away and set again. */
		must(madvise(area + 9 * PAGE, PAGE, GUARD_REMOVE));
		check_int(area[9 * PAGE], 0, "the page below a guard");
		must(madvise(area + 9 * PAGE, PAGE, GUARD_INSTALL));
	}
	return 0;
}
