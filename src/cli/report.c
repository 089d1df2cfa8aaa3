#include "cli/report.h"

#include <fcntl.h>

#include "base/log.h"

int report_open_log(const struct job *job, struct error *err)
{
	const char *dir = job->work_dir ?: job->images_dir ?: ".";
	_cleanup_(close_fd) int dirfd = -1;
	enum log_level level = (enum log_level)job->log_level;
	int fd;

	if (!job->log_file || streq(job->log_file, "-")) {
		log_open(STDERR_FILENO, job->quiet ? MIN(level, LOG_ERROR) : level, false);
		return 0;
	}
	dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0) {
		error_set(err, errno, "the directory %s for the log cannot be opened", dir);
		error_class(err, ERROR_USAGE);
		error_about_object(err, "%s", dir);
		return -err->errnum;
	}
	/* A log that is there is written in place: podman labels its inode. */
	fd = openat(
		dirfd, job->log_file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0) {
		error_set(err, errno, "the log %s cannot be opened", job->log_file);
		error_class(err, ERROR_USAGE);
		error_about_object(err, "%s", job->log_file);
		return -err->errnum;
	}
	log_open(fd, level, !job->quiet);
	return 0;
}

/* Paths and task names may hold any bytes, JSON only UTF-8: other bytes become \xNN. */
static json_t *any_text(const char *text)
{
	_cleanup_(free_ptr) char *escaped = NULL;
	char *out;
	json_t *string = json_string(text);

	if (string)
		return string;
	out = escaped = xcalloc(strlen(text) + 1, 4);
	for (; *text; text++) {
		if ((unsigned char)*text < 0x80)
			*out++ = *text;
		else
			out += sprintf(out, "\\x%02x", (unsigned char)*text);
	}
	return json_string(escaped);
}

static json_t *text_or_null(const char *text)
{
	return *text ? any_text(text) : json_null();
}

json_t *report_error_json(const struct error *err)
{
	json_t *object = json_object();

	json_object_set_new(object, "class", json_string(error_class_name(err->class)));
	json_object_set_new(object, "errno", json_integer(err->errnum));
	json_object_set_new(object, "message", any_text(err->message));
	json_object_set_new(object, "pid", err->pid ? json_integer(err->pid) : json_null());
	json_object_set_new(object, "fd", err->fd >= 0 ? json_integer(err->fd) : json_null());
	json_object_set_new(object, "object", text_or_null(err->object));
	json_object_set_new(object, "hint", text_or_null(err->hint));
	return object;
}

static void print_json(const struct report *report, bool success)
{
	json_t *object = json_pack("{s:b}", "success", success);

	if (success) {
		if (report->result)
			json_object_update(object, report->result);
	} else {
		json_t *problems = json_array();

		for (size_t i = 0; i < report->problems.count; i++)
			json_array_append_new(
				problems, report_error_json(&report->problems.items[i]));
		json_object_set_new(object, "error", report_error_json(&report->err));
		json_object_set_new(object, "problems", problems);
		/* What a command found out is worth telling also when it is not good. */
		if (report->result)
			json_object_update_missing(object, report->result);
	}
	json_dumpf(object, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(object);
}

static void tell(const struct error *err, bool unheard)
{
	if (err->hint[0])
		log_error("%s (%s)", err->message, err->hint);
	else
		log_error("%s", err->message);
	/* -v0 and --quiet keep the log or standard error short, not the caller in the dark. */
	if (unheard)
		dprintf(STDERR_FILENO, "Error: %s\n", err->message);
}

int report_finish(struct report *report, const struct job *job, bool as_criu, int rc)
{
	bool to_stderr = log_get_fd() == STDERR_FILENO;
	bool unheard = log_get_level() < LOG_ERROR || (!to_stderr && job->quiet);

	if (rc < 0) {
		if (!error_is_set(&report->err) &&
			problems_to_error(&report->problems, &report->err) == 0)
			error_set(&report->err, -rc, "the command failed without a reason");
		/* The sum of several has a line for each behind its first one; each is told alone. */
		if (report->problems.count > 1)
			report->err.message[strcspn(report->err.message, "\n")] = '\0';
		tell(&report->err, unheard);
		for (size_t i = 0; report->problems.count > 1 && i < report->problems.count; i++)
			tell(&report->problems.items[i], unheard);
	}
	if (job->json && !(rc >= 0 && report->printed))
		print_json(report, rc >= 0);
	if (rc >= 0)
		return 0;
	return as_criu ? 1 : (int)report->err.class;
}

void report_deinit(struct report *report)
{
	problems_deinit(&report->problems);
	json_decref(report->result);
	report->result = NULL;
}
