#pragma once
/*
 * Configuration files (criu(8), CONFIGURATION FILES): one option a line, as on the command line but
 * without the dashes, its argument after white space, in double quotes if need be (\" is a quote
 * there, every other escape stands for itself), # begins a comment.
 */
#include "cli/options.h"

/* One option of a file. `value` is NULL when there was none. */
typedef int (*config_line_fn)(
	void *context, const char *name, const char *value, struct error *err);

/* Takes a text apart and calls `line` for each option; ends at the first that fails. Errors are
 * ERROR_USAGE and begin with "PATH:LINE: ". */
int config_parse(const char *text, size_t size, const char *path, config_line_fn line,
	void *context, struct error *err);

/* Applies one file to the job. Options of other commands than `command` are checked and have no
 * effect on it. Where `optional`, a file that does not exist is fine. */
int config_apply_file(
	const char *path, bool optional, unsigned command, struct job *job, struct error *err);

/* Applies the default files, unless no_defaults, and the one that CRIU_CONFIG_FILE names; the later
 * ones win: /etc/criu/default.conf, /etc/stasis/default.conf, $HOME/.criu/default.conf,
 * $HOME/.stasis/default.conf, $CRIU_CONFIG_FILE. */
int config_apply_defaults(bool no_defaults, unsigned command, struct job *job, struct error *err);

/* Refuses an option that is not built, where it would have an effect on the command. */
int option_check_built(const struct option_row *row, bool on, unsigned command, struct error *err);
