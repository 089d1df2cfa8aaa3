/*
 * Anonymous memory that is shared: inherited over fork, mapped in parts, and got hold of by a task
 * that never inherited it (through /proc/PID/map_files).
 */
#include "victim.h"

enum { PAGES = 64, SIZE = PAGES * PAGE };

struct words {
	volatile uint32_t beat[4];
};

static char *area;

/* Increments its word when the main task has asked for round n. */
static void answer(struct words *words, int own)
{
	victim_ready();
	while (victim_next()) {
		words->beat[own]++;
		check_pattern(area + 8 * PAGE, PAGE, 8, "page 8");
	}
}

static void heir(void *unused)
{
	(void)unused;
	/* Only a part is left here. */
	must(munmap(area + 32 * PAGE, 32 * PAGE));
	answer((struct words *)area, 1);
}

/* Forked before the memory existed. */
static void stranger(void *unused)
{
	char path[128], range[64];
	char *text;
	int fd;

	(void)unused;
	victim_ready();
	await_file("address");
	text = read_file(victim_path("address"));
	snprintf(range, sizeof(range), "%s", text);
	free(text);
	snprintf(path, sizeof(path), "/proc/%d/map_files/%s", getppid(), range);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		victim_die("%s: %s", path, strerror(errno));
	area = must_ptr(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
	victim_become("stranger-mapped");
	answer((struct words *)area, 2);
}

int main(int argc, char **argv)
{
	struct words *words;
	char range[64], *again;

	victim_begin(argc, argv);
	start_task("stranger", stranger, NULL);
	area = must_ptr(
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	words = (struct words *)area;
	for (size_t i = 8; i < PAGES; i += 8)
		fill_pattern(area + i * PAGE, PAGE, i);
	start_task("heir", heir, NULL);
	snprintf(range, sizeof(range), "%lx-%lx", (unsigned long)area, (unsigned long)area + SIZE);
	write_file(victim_path("address.tmp"), range, strlen(range));
	must(rename(victim_path("address.tmp"), victim_path("address")));
	await_part("stranger-mapped");
	/* A second view of the same memory in this task. */
	again = must_ptr(mremap(area, 0, SIZE, MREMAP_MAYMOVE));
	victim_ready();
	if (victim_spoiled())
		area[16 * PAGE]++;
	while (victim_next()) {
		check_part("heir");
		check_part("stranger-mapped");
		for (size_t i = 8; i < PAGES; i += 8)
			check_pattern(area + i * PAGE, PAGE, i, "shared page");
		check_int(words->beat[1], words->beat[3] + 1, "the heir's word");
		check_int(words->beat[2], words->beat[3] + 1, "the stranger's word");
		words->beat[3]++;
		check_int(((struct words *)again)->beat[3], words->beat[3], "the second view");
	}
	return 0;
}
