/* Small services on directories and files of this room. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#define XXH_STATIC_LINKING_ONLY /* for a state on the stack */
#include <xxhash.h>

#include "base/io.h"
#include "image/internal.h"

/* Stays in the second-level cache: the copy is read again at once. */
#define CHECKSUM_CHUNK ((size_t)256 * 1024)

#define MAP_WINDOW ((uint64_t)64 << 20)

int open_subdir(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

int for_each_name(int dirfd, int (*each)(void *context, const char *name), void *context)
{
	/* A descriptor of its own: the position is shared between duplicates. */
	_cleanup_(close_fd) int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(close_dir) DIR *dir = NULL;
	struct dirent *entry;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	take_fd(&fd);
	while ((errno = 0, entry = readdir(dir))) {
		int rc;

		if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
			continue;
		rc = each(context, entry->d_name);
		if (rc < 0)
			return rc;
	}
	return -errno;
}

static int unlink_one(void *context, const char *name)
{
	return unlinkat(*(int *)context, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int remove_flat_dir(int dirfd, const char *name)
{
	_cleanup_(close_fd) int fd = open_subdir(dirfd, name);
	int rc;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	rc = for_each_name(fd, unlink_one, &fd);
	if (rc < 0)
		return rc;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static int open_regular(int dirfd, const char *name, struct stat *ret_stat)
{
	/* O_NONBLOCK: a fifo of this name must not make us wait. */
	_cleanup_(close_fd) int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, ret_stat) < 0)
		return -errno;
	if (!S_ISREG(ret_stat->st_mode))
		return -EBADMSG;
	return take_fd(&fd);
}

int open_image_file(const struct image_dir *dir, const char *name, struct stat *ret_stat)
{
	/* A running commit moves files in this direction only, so one of the two has it. */
	if (dir->staging_fd >= 0) {
		int fd = open_regular(dir->staging_fd, name, ret_stat);

		if (fd != -ENOENT)
			return fd;
	}
	return open_regular(dir->fd, name, ret_stat);
}

int checksum_own_file(int fd, uint64_t size, uint64_t *ret_checksum)
{
	XXH3_state_t state;

	XXH3_64bits_reset(&state);
	for (uint64_t done = 0; done < size; done += MAP_WINDOW) {
		size_t length = MIN(size - done, MAP_WINDOW);
		void *window = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, (off_t)done);

		if (window == MAP_FAILED)
			return checksum_file(fd, size, ret_checksum);
		XXH3_64bits_update(&state, window, length);
		munmap(window, length);
	}
	*ret_checksum = XXH3_64bits_digest(&state);
	return 0;
}

int checksum_file(int fd, uint64_t size, uint64_t *ret_checksum)
{
	_cleanup_(free_ptr) void *buffer = NULL;
	XXH3_state_t state;
	uint64_t done = 0;

	buffer = xcalloc(1, MIN(size, CHECKSUM_CHUNK));
	XXH3_64bits_reset(&state);
	while (done < size) {
		ssize_t n = pread_full(fd, buffer, MIN(size - done, CHECKSUM_CHUNK), (off_t)done);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return -ENODATA;
		XXH3_64bits_update(&state, buffer, (size_t)n);
		done += (uint64_t)n;
	}
	*ret_checksum = XXH3_64bits_digest(&state);
	return 0;
}
