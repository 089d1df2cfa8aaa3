/* Shared file mappings: writes reach the file and everyone who maps it. */
#include "victim.h"

enum { SIZE = 16 * PAGE };

static void child(void *area)
{
	victim_ready();
	for (int round = 1; victim_next(); round++) {
		char *bytes = area;

		await_file("written");
		check_int(bytes[7 * PAGE + 5], round, "what the parent wrote");
	}
}

int main(int argc, char **argv)
{
	static char content[SIZE];
	char *area, *read_only, byte;
	int fd;

	victim_begin(argc, argv);
	fill_pattern(content, SIZE, 1);
	write_file(victim_path("file"), content, SIZE);
	fd = (int)must(open(victim_path("file"), O_RDWR | O_CLOEXEC));
	area = must_ptr(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
	fd = (int)must(open(victim_path("file"), O_RDONLY | O_CLOEXEC));
	read_only = must_ptr(mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 6 * PAGE));
	close(fd);
	start_task("child", child, area);
	fill_pattern(area + 2 * PAGE, PAGE, 2);
	fill_pattern(content + 2 * PAGE, PAGE, 2);
	victim_ready();
	if (victim_spoiled())
		area[3]++;
	for (int round = 1; victim_next(); round++) {
		check_bytes(area, content, SIZE, "the area");
		area[7 * PAGE + 5] = content[7 * PAGE + 5] = (char)round;
		write_file(victim_path("written"), "", 0);
		check_int(read_only[PAGE + 5], round, "the same page in the read-only mapping");
		check(mprotect(read_only, PAGE, PROT_READ | PROT_WRITE) == -1,
			"the read-only mapping may become writable");
		fd = (int)must(open(victim_path("file"), O_RDONLY | O_CLOEXEC));
		must(pread(fd, &byte, 1, 7 * PAGE + 5));
		close(fd);
		check_int(byte, round, "the byte in the file");
		check_part("child");
		unlink(victim_path("written"));
	}
	return 0;
}
