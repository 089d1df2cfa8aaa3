#pragma once
/*
 * The option table. Everything that knows options comes from it: getopt (cli/parse.c),
 * configuration files (cli/config.c), --help (cli/help.c), the completion and the manual page
 * (cli/make_docs.c); the column `rpc` names the member of a service request that asks for the same.
 *
 * To add an option: a member in model/job.h, a row in cli/options.c. Nothing else.
 */
#include "base/error.h"
#include "model/job.h"

/* The commands, as a set. */
enum command_set {
	CMD_DUMP = 1 << 0,
	CMD_PRE_DUMP = 1 << 1,
	CMD_RESTORE = 1 << 2,
	CMD_CHECK = 1 << 3,
	CMD_PAGE_SERVER = 1 << 4,
	CMD_SERVICE = 1 << 5,
	CMD_SWRK = 1 << 6,
	CMD_LAZY_PAGES = 1 << 7,
	CMD_DEDUP = 1 << 8,
	CMD_CPUINFO = 1 << 9,
	CMD_INSPECT = 1 << 10,
	CMD_SHOW = 1 << 11,
	CMD_VERIFY = 1 << 12,
	CMD_CLEANUP = 1 << 13,
	CMD_ALL = (1 << 14) - 1,
};

enum option_group {
	GROUP_GENERIC,
	GROUP_TASKS,
	GROUP_RESOURCES,
	GROUP_EXTERNAL,
	GROUP_CGROUPS,
	GROUP_MEMORY,
	GROUP_SERVER,
	GROUP_CHECK,
	GROUP_LOGGING,
	GROUP_PROGRAM,
	GROUP_COUNT,
};

enum option_type {
	OPTION_FLAG, /* bool; --no-NAME takes it back */
	OPTION_STRING, /* const char * */
	OPTION_LIST, /* struct string_list; each use appends */
	OPTION_PID, /* pid_t > 0 */
	OPTION_FD, /* int >= 0 */
	OPTION_UINT, /* unsigned */
	OPTION_SIZE, /* uint64_t with K, M, G */
	OPTION_WORD, /* an enum, from `words` */
	OPTION_CUSTOM, /* `set` */
	OPTION_ACTION, /* `action`, for the command line only */
};

enum option_action { ACTION_NONE, ACTION_HELP, ACTION_VERSION, ACTION_CONFIG, ACTION_NO_DEFAULTS };

enum option_argument { ARGUMENT_NONE, ARGUMENT_REQUIRED, ARGUMENT_OPTIONAL };

struct option_word {
	const char *word; /* NULL ends the list */
	int value;
};

struct option_row {
	const char *name;
	char letter; /* 0: none */
	bool built; /* false: refused with one sentence where it would matter */
	enum option_type type;
	enum option_argument argument;
	enum option_group group;
	unsigned commands; /* enum command_set, or-ed */
	size_t offset; /* in struct job */
	const struct option_word *words;
	enum option_action action;
	int (*set)(struct job *job, const char *value, bool on, struct error *err);
	const char *placeholder; /* of the argument, in help and manual */
	const char *help; /* what it does: a phrase, no full stop */
	const char *rpc; /* member of criu_opts; NULL: none */
};

extern const struct option_row option_table[];
extern const size_t option_count;
extern const char *const option_group_titles[GROUP_COUNT];

/* Finds a row by its whole name ("leave-running"). "no-NAME" finds NAME where it is a flag and sets
 * *ret_on to false. NULL when there is none. */
const struct option_row *option_by_name(const char *name, bool *ret_on);

/* Finds a row by its letter. Where two rows share one (-d), that of the command wins. */
const struct option_row *option_by_letter(char letter, unsigned command);

/* Puts a value into the job. value is NULL when there was none; on is false for --no-NAME. Fails
 * with ERROR_USAGE and a sentence that names the option. */
int option_apply(const struct option_row *row, const char *value, bool on, struct job *job,
	struct error *err);

/* The setters of OPTION_CUSTOM rows (cli/option_values.c). */
int option_set_verbosity(struct job *job, const char *value, bool on, struct error *err);
int option_set_cpu_cap(struct job *job, const char *value, bool on, struct error *err);
int option_set_manage_cgroups(struct job *job, const char *value, bool on, struct error *err);
int option_set_ext_unix_sk(struct job *job, const char *value, bool on, struct error *err);
int option_set_ext_mount_map(struct job *job, const char *value, bool on, struct error *err);
int option_set_empty_ns(struct job *job, const char *value, bool on, struct error *err);
int option_set_exec_cmd(struct job *job, const char *value, bool on, struct error *err);
int option_set_inherit_fd(struct job *job, const char *value, bool on, struct error *err);
int option_set_close(struct job *job, const char *value, bool on, struct error *err);
