/* An open file whose name is gone while another one exists (dump --link-remap): still the same file. */
#include "victim.h"

int main(int argc, char **argv)
{
	struct stat open_one, named;
	char content[32] = "";
	int fd;

	victim_begin(argc, argv);
	write_file(victim_path("name"), "linked elsewhere", 16);
	fd = (int)must(open(victim_path("name"), O_RDWR));
	must(link(victim_path("name"), victim_path("other-name")));
	must(unlink(victim_path("name")));
	must(lseek(fd, 6, SEEK_SET));
	victim_ready();
	if (victim_spoiled())
		must(dup2((int)must(open("/dev/null", O_RDWR)), fd));
	while (victim_next()) {
		must(fstat(fd, &open_one));
		must(stat(victim_path("other-name"), &named));
		check(open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev,
			"the open file is not the one with the other name");
		check_int(lseek(fd, 0, SEEK_CUR), 6, "offset");
		memset(content, 0, sizeof(content));
		must(pread(fd, content, sizeof(content) - 1, 0));
		check_str(content, "linked elsewhere", "content");
		check(access(victim_path("name"), F_OK) == -1, "the old name is there again");
	}
	return 0;
}
