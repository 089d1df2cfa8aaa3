#pragma once
/* --pidfile: made before the work begins, so that a directory that does not take it is no surprise
 * after it, and filled when the pid is known. */
#include "base/error.h"
#include "model/job.h"

struct pidfile {
	int fd; /* -1: none was asked for */
	int dirfd;
	const char *name; /* borrowed from the job */
};

#define PIDFILE_INIT ((struct pidfile){.fd = -1, .dirfd = -1})

/* Creates the file in the work directory (which is the images directory unless asked otherwise).
 * One that exists is refused: somebody may be running under its number. */
int pidfile_open(struct pidfile *file, const struct job *job, struct error *err);
int pidfile_write(struct pidfile *file, pid_t pid, struct error *err);
/* Closes; an unfilled file is removed. */
void pidfile_close(struct pidfile *file);
