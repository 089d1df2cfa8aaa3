/* The harmless devices: null, zero, full, random, urandom. */
#include "victim.h"

#include <sys/sysmacros.h>

/* libc says that O_LARGEFILE is 0; the kernel sets it in every open(2) all the same. */
#define LARGEFILE 0100000

static const struct {
	const char *path;
	int flags;
	unsigned minor;
} devices[] = {{"/dev/null", O_RDWR, 3}, {"/dev/zero", O_RDONLY, 5},
	{"/dev/full", O_RDWR | O_APPEND, 7}, {"/dev/random", O_RDONLY | O_NONBLOCK, 8},
	{"/dev/urandom", O_RDONLY, 9}};

int main(int argc, char **argv)
{
	int fds[array_size(devices)];

	victim_begin(argc, argv);
	for (size_t i = 0; i < array_size(devices); i++)
		fds[i] = (int)must(open(devices[i].path, devices[i].flags));
	victim_ready();
	if (victim_spoiled())
		must(dup2(fds[0], fds[1]));
	while (victim_next()) {
		char bytes[16];

		for (size_t i = 0; i < array_size(devices); i++) {
			struct stat status;

			must(fstat(fds[i], &status));
			check(S_ISCHR(status.st_mode) && major(status.st_rdev) == 1 &&
					minor(status.st_rdev) == devices[i].minor,
				"%s is another file", devices[i].path);
			check_int(fcntl(fds[i], F_GETFL) & ~LARGEFILE, devices[i].flags,
				"flags of %s", devices[i].path);
		}
		memset(bytes, 1, sizeof(bytes));
		check_int(read(fds[0], bytes, 1), 0, "read of /dev/null");
		check_int(write(fds[0], "x", 1), 1, "write to /dev/null");
		check_int(read(fds[1], bytes, 16), 16, "read of /dev/zero");
		check(!bytes[0] && !bytes[15], "/dev/zero gives something else");
		check(write(fds[2], "x", 1) == -1 && errno == ENOSPC, "/dev/full is not");
		check_int(read(fds[4], bytes, 16), 16, "read of /dev/urandom");
	}
	return 0;
}
