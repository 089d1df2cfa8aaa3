/* Holds files, directories and a mapped program that the tests change between a dump and a restore. */
#include "victim.h"

static void copy(const char *from, const char *to)
{
	char *content = must_ptr(malloc(16 << 20));
	int fd = (int)must(open(from, O_RDONLY | O_CLOEXEC));
	size_t size = (size_t)must(read(fd, content, 16 << 20));

	close(fd);
	write_file(to, content, size);
	free(content);
}

int main(int argc, char **argv)
{
	char *mapping;
	int one, two, library;

	victim_begin(argc, argv);
	must(mkdir(victim_path("work"), 0755));
	must(mkdir(victim_path("sub"), 0755));
	write_file(victim_path("one"), "first file", 10);
	write_file(victim_path("sub/two"), "second file", 11);
	copy("/proc/self/exe", victim_path("library"));
	one = (int)must(open(victim_path("one"), O_RDWR));
	two = (int)must(open(victim_path("sub/two"), O_RDONLY));
	library = (int)must(open(victim_path("library"), O_RDONLY | O_CLOEXEC));
	mapping = must_ptr(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, library, 0));
	close(library);
	must(chdir(victim_path("work")));
	victim_ready();
	while (victim_next()) {
		check(memcmp(mapping, "\177ELF", 4) == 0, "the mapped program differs");
		check(fcntl(one, F_GETFD) == 0 && fcntl(two, F_GETFD) == 0, "a file is closed");
	}
	return 0;
}
