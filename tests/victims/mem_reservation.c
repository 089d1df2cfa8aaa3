/* 16 TiB of address space with a thousand pages in it. */
#include "victim.h"

#define RESERVED (1ul << 44)

enum { SCATTERED = 1000 };

static char *page_at(char *area, uint64_t i)
{
	return area + (i * 0x9e3779b97f4a7c15u % (RESERVED / PAGE)) * PAGE;
}

int main(int argc, char **argv)
{
	char *area;

	victim_begin(argc, argv);
	area = mmap(NULL, RESERVED, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		victim_skip("16 TiB: %s", strerror(errno));
	must(madvise(area, RESERVED, MADV_NOHUGEPAGE));
	for (uint64_t i = 0; i < SCATTERED; i++)
		fill_pattern(page_at(area, i), PAGE, i);
	victim_ready();
	if (victim_spoiled())
		page_at(area, 500)[9]++;
	while (victim_next()) {
		char *text = smaps_of(area), *resident = text ? field_of(text, "Rss") : NULL;

		for (uint64_t i = 0; i < SCATTERED; i++)
			check_pattern(page_at(area, i), PAGE, i, "scattered page");
		check_str(resident, "4000 kB", "resident part");
		free(text);
	}
	return 0;
}
