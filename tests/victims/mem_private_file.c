/* A private file mapping: pages that were written are ours, the others are still the file's. */
#include "victim.h"

enum { PAGES = 32 };

int main(int argc, char **argv)
{
	static char content[PAGES * PAGE];
	const size_t size = sizeof(content) - 1000; /* the last page is partly beyond the end */
	char *area, *later, byte;
	int fd;

	victim_begin(argc, argv);
	fill_pattern(content, sizeof(content), 1);
	write_file(victim_path("file"), content, size);
	fd = (int)must(open(victim_path("file"), O_RDWR | O_CLOEXEC));
	area = must_ptr(mmap(NULL, sizeof(content), PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	later = must_ptr(mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 8 * PAGE));
	close(fd);
	for (int i = 0; i < PAGES; i += 4)
		fill_pattern(area + (size_t)i * PAGE, PAGE, 100);
	memset(area + size, 0x55, 1000);
	byte = area[5 * PAGE]; /* read, not copied */
	victim_ready();
	if (victim_spoiled())
		area[4 * PAGE]++;
	for (int round = 1; victim_next(); round++) {
		check_int(area[5 * PAGE], byte, "a page that was only read");
		for (int i = 0; i < PAGES; i++) {
			char *page = area + (size_t)i * PAGE;

			if (i % 4 == 0)
				check_pattern(page, PAGE, 100, "copied page");
			else if (i < PAGES - 1)
				check_bytes(page, content + (size_t)i * PAGE, PAGE, "page %d", i);
		}
		check_int(area[size + 999], 0x55, "what was written beyond the end");
		check_bytes(later, content + 8 * PAGE, 4 * PAGE, "second mapping");
		/* A page that nobody has written follows the file. */
		fd = (int)must(open(victim_path("file"), O_RDWR | O_CLOEXEC));
		memset(content + 9 * PAGE, round, PAGE);
		must(pwrite(fd, content + 9 * PAGE, PAGE, 9 * PAGE));
		close(fd);
		check_bytes(area + 9 * PAGE, content + 9 * PAGE, PAGE,
			"page 9 after a write to the file");
		check_bytes(later + PAGE, content + 9 * PAGE, PAGE, "its second mapping");
	}
	return 0;
}
