/* Mappings of a deleted file: shared between two tasks, and private with copied pages. */
#include "victim.h"

enum { SIZE = 16 * PAGE };

static char *shared;

static void child(void *unused)
{
	(void)unused;
	victim_ready();
	for (uint64_t round = 1; victim_next(); round++) {
		await_file("written");
		check_pattern(shared, PAGE, round, "what the parent wrote");
	}
}

int main(int argc, char **argv)
{
	static char content[SIZE];
	uint64_t round = 1;
	char *private;
	int fd;

	victim_begin(argc, argv);
	fill_pattern(content, SIZE, 1);
	write_file(victim_path("deleted"), content, SIZE);
	fd = (int)must(open(victim_path("deleted"), O_RDWR | O_CLOEXEC));
	shared = must_ptr(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	private = must_ptr(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	close(fd);
	must(unlink(victim_path("deleted")));
	fill_pattern(private + 2 * PAGE, PAGE, 2);
	start_task("child", child, NULL);
	victim_ready();
	if (victim_spoiled())
		shared[5 * PAGE]++;
	while (victim_next()) {
		fill_pattern(shared, PAGE, round);
		write_file(victim_path("written"), "", 0);
		check_bytes(shared + PAGE, content + PAGE, SIZE - PAGE, "shared mapping");
		check_pattern(private, PAGE, round, "private page that follows the file");
		check_pattern(private + 2 * PAGE, PAGE, 2, "copied page");
		check_bytes(private + 3 * PAGE, content + 3 * PAGE, PAGE, "page of the file");
		check_part("child");
		must(unlink(victim_path("written")));
		check(access(victim_path("deleted"), F_OK) == -1,
			"the deleted file has a name again");
		round++;
	}
	return 0;
}
