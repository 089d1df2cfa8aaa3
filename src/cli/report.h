#pragma once
/*
 * The one place where the outcome of a command is told (design.md, section 4): to the log as the
 * first line with the word Error, to standard error, with --json as one object on standard output,
 * and as the exit code.
 */
#include <jansson.h>

#include "base/error.h"
#include "model/job.h"

struct report {
	struct error err;
	struct problems problems; /* when there are several, all of them; `err` sums them up */
	json_t *result; /* owned; what --json adds to a success, or NULL */
	bool printed; /* the command has printed an object of its own */
};

#define REPORT_INIT ((struct report){.err = ERROR_INIT})

/* Sends the log where the job wants it: --log-file relative to the work directory, which is the
 * images directory unless asked otherwise; standard error without --log-file. */
int report_open_log(const struct job *job, struct error *err);

/* Tells the outcome. rc is what the command returned. Returns the exit code: 0, or the class of the
 * error; as CRIU, 1 for every failure. */
int report_finish(struct report *report, const struct job *job, bool as_criu, int rc);

/* An error as --json prints it: class, errno, message, pid, fd, object, hint. A new reference. */
json_t *report_error_json(const struct error *err);

void report_deinit(struct report *report);
