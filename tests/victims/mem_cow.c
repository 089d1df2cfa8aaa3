/*
 * Pages shared by fork: parent, child and grandchild hold the same physical pages until one of them
 * writes. The frame numbers of /proc/PID/pagemap tell.
 */
#include "victim.h"

enum { PAGES = 96, WRITTEN_BY_CHILD = 32, WRITTEN_BY_GRANDCHILD = 64 };

static char *area;

/* So that a dump that stores shared pages twice is seen by its size (tests/e2e/test_lifecycle.py). */
static char ballast[8 << 20];

static uint64_t frame(pid_t pid, const char *address)
{
	uint64_t entry = 0;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, &entry, 8, (off_t)((uintptr_t)address / PAGE * 8)) != 8)
		entry = 0;
	close(fd);
	return entry >> 63 ? entry & ((1ull << 55) - 1) : 0;
}

/* What page i holds in the task of this depth (0: the parent). */
static uint64_t seed_of(int i, int depth)
{
	if (depth >= 1 && i >= WRITTEN_BY_CHILD && i < WRITTEN_BY_CHILD + 8)
		return 1000 + (uint64_t)i;
	if (depth >= 2 && i >= WRITTEN_BY_GRANDCHILD && i < WRITTEN_BY_GRANDCHILD + 8)
		return 2000 + (uint64_t)i;
	return (uint64_t)i;
}

static void check_content(int depth)
{
	for (int i = 0; i < PAGES; i++)
		check_pattern(area + (size_t)i * PAGE, PAGE, seed_of(i, depth), "page");
}

static void grandchild(void *unused)
{
	(void)unused;
	for (int i = WRITTEN_BY_GRANDCHILD; i < WRITTEN_BY_GRANDCHILD + 8; i++)
		fill_pattern(area + (size_t)i * PAGE, PAGE, 2000 + (uint64_t)i);
	victim_ready();
	while (victim_next())
		check_content(2);
}

static void child(void *ret_grandchild)
{
	for (int i = WRITTEN_BY_CHILD; i < WRITTEN_BY_CHILD + 8; i++)
		fill_pattern(area + (size_t)i * PAGE, PAGE, 1000 + (uint64_t)i);
	*(volatile pid_t *)ret_grandchild = start_task("grandchild", grandchild, NULL);
	victim_ready();
	while (victim_next()) {
		check_content(1);
		check_part("grandchild");
	}
}

static void check_frames(pid_t other, int depth)
{
	int shared = 0, expected = 0;

	for (int i = 0; i < PAGES; i++) {
		char *page = area + (size_t)i * PAGE;
		bool same = frame(getpid(), page) && frame(getpid(), page) == frame(other, page);

		shared += same;
		expected += seed_of(i, depth) == seed_of(i, 0);
		if (seed_of(i, depth) != seed_of(i, 0))
			check(!same, "page %d is shared with a task that has written it", i);
	}
	check_int(shared, expected, "pages shared with the task of depth %d", depth);
}

int main(int argc, char **argv)
{
	volatile pid_t *grandchild_pid;
	pid_t pid;

	victim_begin(argc, argv);
	area = must_ptr(mmap(
		NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	must(madvise(area, PAGES * PAGE, MADV_NOHUGEPAGE));
	for (int i = 0; i < PAGES; i++)
		fill_pattern(area + (size_t)i * PAGE, PAGE, (uint64_t)i);
	if (!frame(getpid(), area))
		victim_skip("frame numbers are hidden");
	grandchild_pid = must_ptr(
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	fill_pattern(ballast, sizeof(ballast), 3);
	pid = start_task("child", child, (void *)grandchild_pid);
	victim_ready();
	if (victim_spoiled())
		*(volatile char *)area = *area;
	while (victim_next()) {
		check_content(0);
		check_pattern(ballast, sizeof(ballast), 3, "ballast");
		check_frames(pid, 1);
		check_frames(*grandchild_pid, 2);
		check_part("child");
	}
	return 0;
}
