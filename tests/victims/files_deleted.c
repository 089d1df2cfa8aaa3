/* Deleted files that are open: small, sparse with holes, unnamed from the start, opened twice, empty. */
#include "victim.h"

enum { SPARSE = 8 << 20 };

static int make(const char *name, const char *content)
{
	int fd = (int)must(open(victim_path(name), O_RDWR | O_CREAT | O_EXCL, 0640));

	must(write(fd, content, strlen(content)));
	return fd;
}

static void check_content(int fd, const char *expected, mode_t mode, uid_t uid)
{
	char content[100] = "";
	struct stat status;

	must(pread(fd, content, sizeof(content) - 1, 0));
	check_str(content, expected, "content of descriptor %d", fd);
	must(fstat(fd, &status));
	check_int(status.st_nlink, 0, "links of descriptor %d", fd);
	check_int(status.st_mode & 07777, mode, "mode of descriptor %d", fd);
	check_int(status.st_uid, uid, "owner of descriptor %d", fd);
	check_int(status.st_mtime, 1000000000, "time of change of descriptor %d", fd);
}

static int make_sparse(void)
{
	static char block[65536];
	int fd = make("sparse", "begin");

	must(ftruncate(fd, SPARSE));
	fill_pattern(block, sizeof(block), 1);
	must(pwrite(fd, block, sizeof(block), 3 << 20));
	must(unlink(victim_path("sparse")));
	return fd;
}

static void check_sparse(int fd)
{
	static char block[65536];
	struct stat status;

	must(fstat(fd, &status));
	check_int(status.st_size, SPARSE, "size of the sparse file");
	check(status.st_blocks * 512 < 1 << 20, "the sparse file has %ld blocks",
		(long)status.st_blocks);
	must(pread(fd, block, sizeof(block), 3 << 20));
	check_pattern(block, sizeof(block), 1, "data of the sparse file");
	check_int(lseek(fd, 1 << 20, SEEK_DATA), 3 << 20, "where its data begins");
	check_int(lseek(fd, 3 << 20, SEEK_HOLE), (3 << 20) + 65536, "where the hole begins");
	must(lseek(fd, 12345, SEEK_SET));
}

static ino_t inode(int fd)
{
	struct stat status;

	must(fstat(fd, &status));
	return status.st_ino;
}

int main(int argc, char **argv)
{
	const struct timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
	int small, sparse, unnamed, twice, again, empty;

	victim_begin(argc, argv);
	small = make("small", "a few bytes");
	must(fchmod(small, 0604));
	must(fchown(small, 1234, 5678));
	sparse = make_sparse();
	unnamed = open(victim_path("."), O_TMPFILE | O_RDWR, 0600);
	if (unnamed >= 0)
		must(write(unnamed, "never had a name", 16));
	twice = make("twice", "opened twice");
	again = (int)must(open(victim_path("twice"), O_RDONLY));
	must(lseek(again, 3, SEEK_SET));
	empty = make("empty", "");
	must(unlink(victim_path("small")));
	must(unlink(victim_path("twice")));
	must(unlink(victim_path("empty")));
	must(lseek(small, 4, SEEK_SET));
	must(lseek(sparse, 12345, SEEK_SET));
	must(futimens(small, times));
	must(futimens(twice, times));
	must(futimens(empty, times));
	if (unnamed >= 0)
		must(futimens(unnamed, times));
	victim_ready();
	if (victim_spoiled())
		must(pwrite(small, "A", 1, 0));
	while (victim_next()) {
		check_content(small, "a few bytes", 0604, 1234);
		check_int(lseek(small, 0, SEEK_CUR), 4, "offset of the small one");
		check_int(lseek(sparse, 0, SEEK_CUR), 12345, "offset of the sparse one");
		check_sparse(sparse);
		if (unnamed >= 0)
			check_content(unnamed, "never had a name", 0600, 0);
		check_content(twice, "opened twice", 0640, 0);
		check_content(again, "opened twice", 0640, 0);
		check(inode(twice) == inode(again), "one file has become two");
		check_int(lseek(again, 0, SEEK_CUR), 3, "offset of the second open");
		check_content(empty, "", 0640, 0);
		check(access(victim_path("small"), F_OK) == -1, "a deleted file has a name again");
	}
	return 0;
}
