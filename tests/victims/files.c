/* Plain open files: offsets, access modes, flags, close-on-exec, high numbers, directories, O_PATH. */
#include "victim.h"

static const struct {
	const char *name;
	int flags;
	long offset;
} files[] = {
	{"read-only", O_RDONLY, 17},
	{"write-only", O_WRONLY, 5},
	{"read-write", O_RDWR, 1000},
	{"append", O_WRONLY | O_APPEND, 0},
	{"nonblock", O_RDWR | O_NONBLOCK, 3},
	{"sync", O_WRONLY | O_SYNC, 0},
	{"dsync", O_WRONLY | O_DSYNC, 0},
	{"noatime", O_RDONLY | O_NOATIME, 1},
	{"far", O_RDWR, 3l << 32},
	{"path", O_PATH, 0},
	{"path-nofollow", O_PATH | O_NOFOLLOW, 0},
	{"cloexec", O_RDONLY | O_CLOEXEC, 2},
	{"direct", O_RDONLY | O_DIRECT, 0},
};

enum { FILES = array_size(files), HIGH = 9999 };

static int fds[FILES], flags[FILES], directory, high;

static void check_link(int fd, const char *expected)
{
	char path[64], target[600] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(readlink(path, target, sizeof(target) - 1));
	check_str(target, expected, "descriptor %d", fd);
}

static void open_all(void)
{
	for (int i = 0; i < FILES; i++) {
		write_file(victim_path(files[i].name), "0123456789012345678", 19);
		fds[i] = open(victim_path(files[i].name), files[i].flags);
		if (fds[i] < 0)
			continue; /* not every file system knows O_DIRECT */
		if (files[i].offset)
			must(lseek(fds[i], files[i].offset, SEEK_SET));
		flags[i] = (int)must(fcntl(fds[i], F_GETFL));
	}
	directory = (int)must(open(victim_path("."), O_RDONLY | O_DIRECTORY));
	high = (int)must(fcntl(fds[2], F_DUPFD_CLOEXEC, HIGH));
}

static void check_file(int i)
{
	char *real;

	if (fds[i] < 0)
		return;
	check_int(fcntl(fds[i], F_GETFL), flags[i], "flags of %s", files[i].name);
	check_int(fcntl(fds[i], F_GETFD), files[i].flags & O_CLOEXEC ? FD_CLOEXEC : 0,
		"descriptor flags of %s", files[i].name);
	if (!(files[i].flags & O_PATH))
		check_int(
			lseek(fds[i], 0, SEEK_CUR), files[i].offset, "offset of %s", files[i].name);
	real = realpath(victim_path(files[i].name), NULL);
	check_link(fds[i], real ? real : "?");
	free(real);
}

static void check_use(void)
{
	char bytes[2];
	struct stat status;

	check_int(read(fds[0], bytes, 2), 2, "bytes read");
	check_bytes(bytes, "78", 2, "what was read at offset 17");
	must(lseek(fds[0], -2, SEEK_CUR));
	check(read(fds[1], bytes, 1) == -1 && errno == EBADF, "a write-only file can be read");
	check(write(fds[0], "x", 1) == -1 && errno == EBADF, "a read-only file can be written");
	must(fstat(fds[3], &status));
	must(write(fds[3], "+", 1));
	check_int(lseek(fds[3], 0, SEEK_CUR), status.st_size + 1, "offset after appending");
	must(lseek(fds[3], 0, SEEK_SET));
	check(read(fds[9], bytes, 1) == -1 && errno == EBADF, "an O_PATH file can be read");
	check_int(
		syscall(SYS_kcmp, getpid(), getpid(), 0, fds[2], high), 0, "kcmp with a duplicate");
	check_int(fcntl(high, F_GETFD), FD_CLOEXEC, "descriptor flags of the duplicate");
	check(fcntl(high - 1, F_GETFD) == -1, "descriptor %d is open", high - 1);
	must(faccessat(directory, "append", R_OK, 0));
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	open_all();
	victim_ready();
	if (victim_spoiled())
		must(lseek(fds[4], 9, SEEK_SET));
	while (victim_next()) {
		for (int i = 0; i < FILES; i++)
			check_file(i);
		check_use();
	}
	return 0;
}
