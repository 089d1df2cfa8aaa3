/*
 * Paths are never opened as such, but in a mount namespace: a descriptor of its root, and
 * openat2(2) with RESOLVE_IN_ROOT, so that neither ".." nor a symbolic link leads out of it. When
 * trees have mount namespaces of their own, `mnt` chooses the root.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "kinds/file/state.h"

int files_openat(int root_fd, int32_t mnt, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT,
	};
	int fd, tries = 0;

	(void)mnt;
	/* EAGAIN: a rename somewhere else disturbed the walk (openat2(2)). */
	do
		fd = (int)syscall(__NR_openat2, root_fd, path, &how, sizeof(how));
	while (fd < 0 && errno == EAGAIN && ++tries < 32);
	return fd < 0 ? -errno : fd;
}

int files_statat(int root_fd, int32_t mnt, const char *path, struct stat *ret_st)
{
	_cleanup_(close_fd) int fd = files_openat(root_fd, mnt, path, O_PATH | O_NOFOLLOW);

	if (fd < 0)
		return fd;
	return fstat(fd, ret_st) < 0 ? -errno : 0;
}

int files_reopen(int fd, int flags)
{
	char path[32];
	int result;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	result = open(path, flags | O_CLOEXEC | O_NOCTTY);
	return result < 0 ? -errno : result;
}
