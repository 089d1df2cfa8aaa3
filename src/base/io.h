#pragma once
/* Whole reads and writes, and small files read at once. */
#include "base/error.h"

/* Reads until `size` bytes or end of file. Returns the bytes read or -errno. */
ssize_t read_full(int fd, void *buffer, size_t size);
ssize_t pread_full(int fd, void *buffer, size_t size, off_t offset);
/* Writes all or fails: 0 or -errno. */
int write_full(int fd, const void *buffer, size_t size);
int pwrite_full(int fd, const void *buffer, size_t size, off_t offset);

/* Reads a small text file (procfs, sysfs) whole. *ret_text ends in '\0', is malloc'ed and belongs
 * to the caller. dirfd as in openat(2). 0 or -errno. */
int read_text_file(int dirfd, const char *path, char **ret_text, size_t *ret_size);
/* Writes a short text into an existing file in one write(2). 0 or -errno. */
int write_text_file(int dirfd, const char *path, const char *text);

/* Moves fd to the lowest free number from `minimum` on, close-on-exec. Takes fd over also on
 * failure. Returns the new number or -errno. */
int move_fd_up(int fd, int minimum);
