#include "base/io.h"

#include <fcntl.h>

ssize_t read_full(int fd, void *buffer, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (char *)buffer + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t pread_full(int fd, void *buffer, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, (char *)buffer + done, size - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int write_full(int fd, const void *buffer, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(fd, (const char *)buffer + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		/* Not an error for the kernel, but no progress either: /proc/PID/mem of a dead task. */
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

int pwrite_full(int fd, const void *buffer, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n =
			pwrite(fd, (const char *)buffer + done, size - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		/* Not an error for the kernel, but no progress either: /proc/PID/mem of a dead task. */
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

int read_text_file(int dirfd, const char *path, char **ret_text, size_t *ret_size)
{
	_cleanup_(close_fd) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	_cleanup_(free_ptr) char *text = NULL;
	size_t size = 0, capacity = 4096;

	if (fd < 0)
		return -errno;
	text = xcalloc(1, capacity);
	for (;;) {
		ssize_t n = read_full(fd, text + size, capacity - size - 1);

		if (n < 0)
			return (int)n;
		size += (size_t)n;
		if (size < capacity - 1)
			break;
		capacity *= 2;
		text = xreallocarray(text, capacity, 1);
	}
	text[size] = '\0';
	*ret_text = take_ptr(text);
	if (ret_size)
		*ret_size = size;
	return 0;
}

int write_text_file(int dirfd, const char *path, const char *text)
{
	_cleanup_(close_fd) int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n < 0)
		return -errno;
	return (size_t)n == strlen(text) ? 0 : -EIO;
}

int move_fd_up(int fd, int minimum)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, minimum);
	int rc = moved < 0 ? -errno : moved;

	close(fd);
	return rc;
}
