/* Areas of one page each, all with content; every second one is read-only, so that no two merge. */
#include <sys/mman.h>

#include "victim.h"

int main(int argc, char **argv)
{
	size_t n = number(argc, argv), page = (size_t)sysconf(_SC_PAGESIZE);
	char *area =
		mmap(NULL, n * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		err(1, "mmap");
	for (size_t i = 0; i < n; i++) {
		area[i * page] = 1;
		if (i % 2 && mprotect(area + i * page, page, PROT_READ) < 0)
			err(1, "mprotect");
	}
	ready_and_wait();
}
