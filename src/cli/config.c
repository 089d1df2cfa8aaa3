#include "cli/config.h"

#include <fcntl.h>

#include "base/io.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Takes the next word off *cursor, in place: quotes are removed, the word is terminated. *ret_word
 * is NULL at the end of the line or at a comment. */
static int next_word(char **cursor, char **ret_word, struct error *err)
{
	char *in = *cursor, *out;
	bool quoted;

	while (is_blank(*in))
		in++;
	*ret_word = NULL;
	*cursor = in;
	if (!*in || *in == '#')
		return 0;
	quoted = *in == '"';
	in += quoted;
	*ret_word = out = in;
	while (*in && (quoted ? *in != '"' : !is_blank(*in) && *in != '#')) {
		if (quoted && in[0] == '\\' && in[1] == '"')
			in++;
		*out++ = *in++;
	}
	if (quoted && *in != '"')
		return error_refuse(err, ERROR_USAGE, "the quote is not closed");
	/* A comment may follow a word at once: it has to be seen on the next call. */
	if (*in == '#') {
		memmove(out + 1, in, strlen(in) + 1);
		*cursor = out + 1;
	} else {
		*cursor = *in ? in + 1 : in;
	}
	*out = '\0';
	return 0;
}

static int parse_line(char *line, config_line_fn call, void *context, struct error *err)
{
	char *name, *value, *more;
	int rc = next_word(&line, &name, err);

	if (rc < 0 || !name)
		return rc;
	if (starts_with(name, "-"))
		return error_refuse(
			err, ERROR_USAGE, "'%s': options are written without dashes here", name);
	rc = next_word(&line, &value, err);
	if (rc < 0)
		return rc;
	if (value) {
		rc = next_word(&line, &more, err);
		if (rc < 0)
			return rc;
		if (more)
			return error_refuse(err, ERROR_USAGE,
				"'%s' after the argument of %s: an argument with blanks needs "
				"quotes",
				more, name);
	}
	return call(context, name, value, err);
}

int config_parse(const char *text, size_t size, const char *path, config_line_fn line,
	void *context, struct error *err)
{
	const char *end = text + size;

	for (unsigned number = 1; text < end; number++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t length = (size_t)((newline ?: end) - text);
		/* Two more: a comment right behind a word moves by one (next_word). */
		_cleanup_(free_ptr) char *copy = xcalloc(1, length + 2);
		int rc;

		memcpy(copy, text, length);
		if (memchr(copy, '\0', length))
			rc = error_refuse(err, ERROR_USAGE, "not a text file");
		else
			rc = parse_line(copy, line, context, err);
		if (rc < 0)
			return error_wrap(err, rc, "%s:%u", path, number);
		text = newline ? newline + 1 : end;
	}
	return 0;
}

int option_check_built(const struct option_row *row, bool on, unsigned command, struct error *err)
{
	if (row->built || !on || !(row->commands & command))
		return 0;
	return error_refuse(err, ERROR_USAGE, "--%s is not built yet", row->name);
}

struct application {
	struct job *job;
	unsigned command;
};

static int apply_line(void *context, const char *name, const char *value, struct error *err)
{
	struct application *application = context;
	bool on;
	const struct option_row *row = option_by_name(name, &on);
	int rc;

	if (!row)
		return error_refuse(err, ERROR_USAGE, "unknown option '%s'", name);
	rc = option_check_built(row, on, application->command, err);
	if (rc < 0)
		return rc;
	if (row->commands & application->command)
		return option_apply(row, value, on, application->job, err);

	/* Meant for another command: the value is still looked at, in a job of its own. */
	struct job other;

	job_init(&other);
	rc = option_apply(row, value, on, &other, err);
	job_deinit(&other);
	return rc;
}

int config_apply_file(
	const char *path, bool optional, unsigned command, struct job *job, struct error *err)
{
	struct application application = {.job = job, .command = command};
	_cleanup_(free_ptr) char *text = NULL;
	size_t size;
	int rc = read_text_file(AT_FDCWD, path, &text, &size);

	if ((rc == -ENOENT || rc == -ENOTDIR) && optional)
		return 0;
	if (rc < 0) {
		error_set(err, -rc, "the configuration file %s cannot be read", path);
		error_class(err, ERROR_USAGE);
		error_about_object(err, "%s", path);
		return rc;
	}
	return config_parse(text, size, path, apply_line, &application, err);
}

static int apply_default_files(unsigned command, struct job *job, struct error *err)
{
	static const char *const names[] = {"criu", "stasis"};
	const char *home = getenv("HOME");
	char path[4096];
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names) && rc == 0; i++) {
		snprintf(path, sizeof(path), "/etc/%s/default.conf", names[i]);
		rc = config_apply_file(path, true, command, job, err);
	}
	for (size_t i = 0; home && *home && i < ARRAY_SIZE(names) && rc == 0; i++) {
		snprintf(path, sizeof(path), "%s/.%s/default.conf", home, names[i]);
		rc = config_apply_file(path, true, command, job, err);
	}
	return rc;
}

int config_apply_defaults(bool no_defaults, unsigned command, struct job *job, struct error *err)
{
	const char *named = getenv("CRIU_CONFIG_FILE");
	int rc = no_defaults ? 0 : apply_default_files(command, job, err);

	if (rc == 0 && named && *named)
		rc = config_apply_file(named, false, command, job, err);
	return rc;
}
