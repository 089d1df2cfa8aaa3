#pragma once
/*
 * The one error object (design.md, section 4).
 *
 * A fallible function returns 0 (or a count) or a negative errno, and where it fails it fills the
 * error that it was given: a sentence that names what was being done and to which object, and a
 * hint that names the option or setting that helps. Callers put context in front (error_wrap) and
 * never log; the command reports once, at the top.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "base/util.h"

/* What kind of failure it is. The values are the program's exit codes (docs/exit-codes in
 * stasis(8)); 1 is also what CRIU returns for everything. */
enum error_class {
	ERROR_NONE = 0,
	ERROR_INTERNAL = 1, /* a system call failed that should not, or a defect of stasis */
	ERROR_USAGE = 2, /* the command line, a configuration file or a request is wrong */
	ERROR_CANNOT_DUMP = 3, /* the tree holds something that cannot be dumped (as asked) */
	ERROR_KERNEL_LACKS = 4, /* the running kernel or our privileges lack what is needed */
	ERROR_BAD_IMAGE = 5, /* an image is damaged, missing, or of an unknown format */
	ERROR_CONFLICT =
		6, /* the system to restore on differs: pid taken, file changed or missing */
	ERROR_GONE = 7, /* the task to dump does not exist (any more) */
	ERROR_TIMEOUT = 8, /* the time given with --timeout is over */
};

struct error {
	enum error_class class; /* ERROR_NONE while nothing has failed */
	int errnum; /* positive errno, 0 if none applies */
	pid_t pid; /* the task concerned, 0 if none */
	int fd; /* the descriptor in that task, -1 if none */
	char object[256]; /* path, address, image and entry; "" if none */
	char message[1024]; /* the sentence, context first */
	char hint[512]; /* what helps; "" if nothing is known to */
};

#define ERROR_INIT ((struct error){.fd = -1})

/* Starts over: the error says what failed. Returns -errnum, or -EINVAL when errnum is 0, so that
 * `return error_set(...)` is the usual way to fail. The errno's own text is appended when errnum is
 * not 0. The class is ERROR_INTERNAL until error_class() says otherwise. */
int error_set(struct error *err, int errnum, const char *format, ...) _printf_(3, 4);

/* The same with the class said at once and without the errno's text in the sentence. */
int error_refuse(struct error *err, enum error_class class, const char *format, ...) _printf_(3, 4);

/* Puts "context: " in front of the sentence. Returns rc, so that one can `return error_wrap(...)`.
 */
int error_wrap(struct error *err, int rc, const char *format, ...) _printf_(3, 4);

/* What helps: one sentence, names the option or setting. Replaces an earlier hint. Returns nothing
 * so that it can follow error_set: { error_set(...); error_hint(...); return -EPERM; } */
void error_hint(struct error *err, const char *format, ...) _printf_(2, 3);

void error_class(struct error *err, enum error_class class);
void error_about_task(struct error *err, pid_t pid);
void error_about_fd(struct error *err, pid_t pid, int fd);
void error_about_object(struct error *err, const char *format, ...) _printf_(2, 3);

static inline bool error_is_set(const struct error *err)
{
	return err->class != ERROR_NONE;
}

/* The name of a class as --json prints it: "cannot-dump", "bad-image", ... */
const char *error_class_name(enum error_class class);

/*
 * A list of errors: everything that stands in the way, found in one pass ("inspect", the looking
 * half of a dump, the planning half of a restore).
 */
struct problems {
	struct error *items;
	size_t count;
};

/* A fresh error at the end of the list. The pointer holds until the next call. */
struct error *problems_add(struct problems *problems);
/* Appends a copy. */
void problems_take(struct problems *problems, const struct error *err);
/* Folds the list into one error: the first one's class, and all sentences and hints when there are
 * several, a line each. Returns 0 when the list is empty, else -EINVAL or the first one's -errno.
 */
int problems_to_error(const struct problems *problems, struct error *err);
void problems_deinit(struct problems *problems);
