/* Mappings of a memfd whose descriptor is closed: shared by two tasks, private, and sealed. */
#include "victim.h"

enum { SIZE = 8 * PAGE };

static char *shared;

static int reopen(const void *area, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)area,
		(unsigned long)area + size);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void child(void *unused)
{
	(void)unused;
	victim_ready();
	for (uint64_t round = 1; victim_next(); round++) {
		await_file("written");
		check_pattern(shared + PAGE, PAGE, round, "what the parent wrote");
	}
}

int main(int argc, char **argv)
{
	char *private, *sealed, *area;
	uint64_t round = 1;
	int fd;

	victim_begin(argc, argv);
	fd = (int)must(memfd_create("a name", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	must(ftruncate(fd, SIZE));
	shared = must_ptr(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	fill_pattern(shared, SIZE, 77);
	private = must_ptr(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	fill_pattern(private + 2 * PAGE, PAGE, 78);
	close(fd);
	fd = (int)must(memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	must(ftruncate(fd, SIZE));
	area = must_ptr(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	fill_pattern(area, SIZE, 79);
	must(munmap(area, SIZE));
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
	sealed = must_ptr(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0));
	close(fd);
	start_task("child", child, NULL);
	victim_ready();
	if (victim_spoiled())
	private[2 * PAGE]++;
	while (victim_next()) {
		fill_pattern(shared + PAGE, PAGE, round);
		write_file(victim_path("written"), "", 0);
		check_pattern(shared, PAGE, 77, "shared memory");
		check_pattern(private + 2 * PAGE, PAGE, 78, "privately written page");
		check_pattern(private + PAGE, PAGE, round, "a page never written privately");
		check_pattern(sealed, SIZE, 79, "sealed memory");
		fd = reopen(sealed, SIZE);
		check(fd >= 0, "the sealed file cannot be opened: %s", strerror(errno));
		if (fd >= 0)
			check_int(fcntl(fd, F_GET_SEALS),
				F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, "seals");
		close(fd);
		check_part("child");
		must(unlink(victim_path("written")));
		round++;
	}
	return 0;
}
