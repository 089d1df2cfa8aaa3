#pragma once
/* The commands: one const table, one file for each command. */
#include "cli/options.h"
#include "cli/report.h"

struct command;

/* A command line, taken apart. */
struct invocation {
	const char *program; /* the name we were called by, for what is printed */
	bool as_criu; /* called by the name criu: answer as CRIU 4.2 would */
	const struct command *command;
	struct job job;
	const char **arguments; /* what is not an option, after the command; borrowed from argv */
	size_t argument_count;
	bool wants_help, wants_version;
};

struct command {
	const char *name;
	unsigned bit; /* enum command_set */
	const char *arguments; /* placeholder of what follows that is not an option, or NULL */
	size_t argument_min, argument_max;
	const char *summary;
	/* Runs it. Returns 0 or -errno; then report->err or report->problems says why. NULL: known
	 * and not built yet. */
	int (*run)(const struct invocation *invocation, struct report *report);
};

extern const struct command command_table[];
extern const size_t command_count;

const struct command *command_by_name(const char *name);

int command_dump(const struct invocation *invocation, struct report *report);
int command_restore(const struct invocation *invocation, struct report *report);
int command_inspect(const struct invocation *invocation, struct report *report);
int command_check(const struct invocation *invocation, struct report *report);
int command_verify(const struct invocation *invocation, struct report *report);
int command_cleanup(const struct invocation *invocation, struct report *report);
/* `check --kinds` (cli/kinds.c). */
int check_kinds(const struct invocation *invocation, struct report *report);
