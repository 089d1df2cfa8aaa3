/* A working directory, and an open directory, that exist no more. */
#include "victim.h"

int main(int argc, char **argv)
{
	char path[600] = "";
	struct stat status;
	int fd;

	victim_begin(argc, argv);
	must(mkdir(victim_path("work"), 0711));
	must(mkdir(victim_path("open"), 0700));
	fd = (int)must(open(victim_path("open"), O_RDONLY | O_DIRECTORY));
	must(chdir(victim_path("work")));
	must(rmdir(victim_path("work")));
	must(rmdir(victim_path("open")));
	victim_ready();
	if (victim_spoiled())
		must(chdir("/"));
	while (victim_next()) {
		check(!getcwd(path, sizeof(path)) && errno == ENOENT, "the working directory is %s",
			path);
		must(stat(".", &status));
		check_int(status.st_nlink, 0, "its links");
		check_int(status.st_mode & 07777, 0711, "its mode");
		check(open("file", O_CREAT | O_WRONLY, 0600) == -1 && errno == ENOENT,
			"a file can be made in a deleted directory");
		must(fstat(fd, &status));
		check_int(status.st_nlink, 0, "links of the open directory");
		check(S_ISDIR(status.st_mode), "the open directory is none any more");
		check(access(victim_path("work"), F_OK) == -1, "the directory has a name again");
	}
	return 0;
}
