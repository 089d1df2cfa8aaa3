#include "cli/pidfile.h"

#include <fcntl.h>

#include "base/io.h"

int pidfile_open(struct pidfile *file, const struct job *job, struct error *err)
{
	const char *dir = job->work_dir ?: job->images_dir ?: ".";

	*file = PIDFILE_INIT;
	if (!job->pidfile)
		return 0;
	file->name = job->pidfile;
	file->dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (file->dirfd >= 0)
		file->fd = openat(
			file->dirfd, file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file->fd >= 0)
		return 0;
	error_set(err, errno, "the pidfile %s cannot be made in %s", file->name, dir);
	error_class(err, ERROR_CONFLICT);
	error_about_object(err, "%s", file->name);
	if (err->errnum == EEXIST)
		error_hint(err, "remove it when nothing runs under its number any more");
	pidfile_close(file);
	return -err->errnum;
}

int pidfile_write(struct pidfile *file, pid_t pid, struct error *err)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", pid);
	int rc;

	if (file->fd < 0)
		return 0;
	rc = write_full(file->fd, text, (size_t)length);
	if (rc < 0)
		return error_set(err, -rc, "the pidfile %s cannot be written", file->name);
	close_fd(&file->fd);
	return 0;
}

void pidfile_close(struct pidfile *file)
{
	if (file->fd >= 0)
		unlinkat(file->dirfd, file->name, 0);
	close_fd(&file->fd);
	close_fd(&file->dirfd);
}
