/* Sealed areas (mseal, since 6.10) can be neither unmapped, moved nor changed. */
#include "victim.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

enum { SIZE = 4 * PAGE };

int main(int argc, char **argv)
{
	char *area, *plain;

	victim_begin(argc, argv);
	area = must_ptr(
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	plain = must_ptr(mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	fill_pattern(area, SIZE, 3);
	if (!victim_spoiled() && syscall(SYS_mseal, area, SIZE, 0) == -1)
		victim_skip("mseal: %s", strerror(errno));
	victim_ready();
	while (victim_next()) {
		check_pattern(area, SIZE, 3, "sealed area");
		check(mprotect(area, SIZE, PROT_READ) == -1 && errno == EPERM,
			"a sealed area can be changed");
		check(mprotect(plain, SIZE, PROT_NONE) == 0 &&
				mprotect(plain, SIZE, PROT_READ) == 0,
			"an area is sealed that was not");
	}
	return 0;
}
