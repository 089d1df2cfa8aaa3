/* Open files whose name, or whose directory's name, has changed since. */
#include "victim.h"

static void check_link(int fd, const char *name)
{
	char path[64], target[600] = "", *real = realpath(victim_path(name), NULL);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(readlink(path, target, sizeof(target) - 1));
	check_str(target, real, "descriptor %d", fd);
	free(real);
}

int main(int argc, char **argv)
{
	int renamed, below, replaced;
	char byte;

	victim_begin(argc, argv);
	write_file(victim_path("old"), "abc", 3);
	renamed = (int)must(open(victim_path("old"), O_RDONLY));
	must(rename(victim_path("old"), victim_path("new name")));
	must(mkdir(victim_path("directory"), 0755));
	write_file(victim_path("directory/file"), "def", 3);
	below = (int)must(open(victim_path("directory/file"), O_RDONLY));
	must(rename(victim_path("directory"), victim_path("directory-now")));
	/* Another file has taken the name of this one. */
	write_file(victim_path("taken"), "ghi", 3);
	replaced = (int)must(open(victim_path("taken"), O_RDONLY));
	write_file(victim_path("taking"), "GHI", 3);
	must(rename(victim_path("taking"), victim_path("taken")));
	must(lseek(renamed, 1, SEEK_SET));
	victim_ready();
	if (victim_spoiled())
		must(lseek(renamed, 2, SEEK_SET));
	while (victim_next()) {
		check_link(renamed, "new name");
		check_link(below, "directory-now/file");
		check_int(lseek(renamed, 0, SEEK_CUR), 1, "offset");
		must(pread(replaced, &byte, 1, 0));
		check_int(byte, 'g', "first byte of the file whose name was taken");
	}
	return 0;
}
