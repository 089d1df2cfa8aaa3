/* From the text of an argument to the member of the job. */
#include "cli/options.h"

#include <limits.h>

#include "base/log.h"

static int bad_value(
	struct error *err, const struct option_row *row, const char *value, const char *wanted)
{
	return error_refuse(err, ERROR_USAGE, "--%s takes %s, not '%s'", row->name, wanted, value);
}

/* A decimal number of [0, max] and nothing else; *ret_rest points behind it when rest is allowed.
 */
static bool parse_number(const char *text, uint64_t max, uint64_t *ret, const char **ret_rest)
{
	char *end;
	unsigned long long number;

	/* strtoull() takes blanks and signs. */
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || number > max || (*end && !ret_rest))
		return false;
	*ret = number;
	if (ret_rest)
		*ret_rest = end;
	return true;
}

static bool parse_size(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "KMG";
	const char *rest, *suffix;
	uint64_t number;
	unsigned shift;

	if (!parse_number(text, UINT64_MAX, &number, &rest))
		return false;
	if (!*rest) {
		*ret = number;
		return true;
	}
	suffix = strchr(suffixes, *rest >= 'a' ? *rest - 32 : *rest);
	if (!suffix || rest[1])
		return false;
	shift = 10 * (unsigned)(suffix - suffixes + 1);
	if (number > UINT64_MAX >> shift)
		return false;
	*ret = number << shift;
	return true;
}

static int apply_word(
	const struct option_row *row, const char *value, int *target, struct error *err)
{
	char words[256] = "";
	size_t used = 0;

	for (const struct option_word *word = row->words; word->word; word++) {
		if (streq(word->word, value)) {
			*target = word->value;
			return 0;
		}
		used += (size_t)snprintf(words + used, sizeof(words) - used, "%s%s",
			used ? ", " : "one of ", word->word);
	}
	return bad_value(err, row, value, words);
}

static int apply_number(
	const struct option_row *row, const char *value, void *target, struct error *err)
{
	uint64_t number;

	switch (row->type) {
	case OPTION_PID:
		if (!parse_number(value, INT_MAX, &number, NULL) || !number)
			return bad_value(err, row, value, "a process id");
		*(pid_t *)target = (pid_t)number;
		return 0;
	case OPTION_FD:
		if (!parse_number(value, INT_MAX, &number, NULL))
			return bad_value(err, row, value, "a descriptor's number");
		*(int *)target = (int)number;
		return 0;
	case OPTION_SIZE:
		if (!parse_size(value, target))
			return bad_value(err, row, value, "a size in bytes, or with K, M or G");
		return 0;
	default:
		if (!parse_number(value, UINT_MAX, &number, NULL))
			return bad_value(err, row, value, "a number");
		*(unsigned *)target = (unsigned)number;
		return 0;
	}
}

/* What getopt would have seen to, for values from configuration files. */
static int check_argument(const struct option_row *row, const char *value, struct error *err)
{
	if (row->argument == ARGUMENT_REQUIRED && (!value || !*value))
		return error_refuse(err, ERROR_USAGE, "--%s needs %s", row->name, row->placeholder);
	if (row->argument == ARGUMENT_NONE && value)
		return error_refuse(
			err, ERROR_USAGE, "--%s takes no argument, but got '%s'", row->name, value);
	return 0;
}

int option_apply(const struct option_row *row, const char *value, bool on, struct job *job,
	struct error *err)
{
	void *target = (char *)job + row->offset;
	int rc = check_argument(row, value, err);

	if (rc < 0)
		return rc;
	switch (row->type) {
	case OPTION_FLAG:
		*(bool *)target = on;
		return 0;
	case OPTION_STRING:
		*(const char **)target = job_strdup(job, value);
		return 0;
	case OPTION_LIST:
		job_list_add(job, target, value);
		return 0;
	case OPTION_WORD:
		return apply_word(row, value, target, err);
	case OPTION_CUSTOM:
		return row->set(job, value, on, err);
	case OPTION_ACTION:
		return error_refuse(
			err, ERROR_USAGE, "--%s is for the command line only", row->name);
	default:
		return apply_number(row, value, target, err);
	}
}

/* "-v": one more; "-vv": as many more as there are; "-v4": that level. */
int option_set_verbosity(struct job *job, const char *value, bool on _unused_, struct error *err)
{
	uint64_t number;

	if (!value) {
		job->log_level++;
	} else if (strspn(value, "v") == strlen(value)) {
		job->log_level += (int)strlen(value) + 1;
	} else {
		if (!parse_number(value, INT_MAX, &number, NULL))
			return error_refuse(err, ERROR_USAGE,
				"--verbosity takes a number from 0 to 4, not '%s'", value);
		job->log_level = (int)MIN(number, LOG_DEBUG);
	}
	job->log_level = MIN(job->log_level, LOG_DEBUG);
	return 0;
}

int option_set_cpu_cap(struct job *job, const char *value, bool on _unused_, struct error *err)
{
	static const struct option_word caps[] = {{"cpu", CPU_CAP_CPU}, {"fpu", CPU_CAP_FPU},
		{"ins", CPU_CAP_INS}, {"all", CPU_CAP_ALL}, {"none", CPU_CAP_NONE}};
	const char *list = value ?: "all";
	unsigned set = CPU_CAP_DEFAULT;
	bool first = true;

	while (*list) {
		bool take_away = *list == '^';
		size_t length, i;

		list += take_away;
		length = strcspn(list, ",");
		for (i = 0; i < ARRAY_SIZE(caps); i++)
			if (strlen(caps[i].word) == length && !strncmp(list, caps[i].word, length))
				break;
		if (i == ARRAY_SIZE(caps))
			return error_refuse(err, ERROR_USAGE,
				"--cpu-cap takes a list of cpu, fpu, ins, all and none, not '%s'",
				value);
		/* What is named replaces the default; what is taken away is taken from it. */
		if (first && !take_away)
			set = 0;
		first = false;
		set = caps[i].value == CPU_CAP_NONE ? CPU_CAP_NONE
		      : take_away                   ? set & ~(unsigned)caps[i].value
						    : set | (unsigned)caps[i].value;
		list += length + (list[length] == ',');
	}
	job->cpu_cap = set;
	return 0;
}

int option_set_manage_cgroups(
	struct job *job, const char *value, bool on _unused_, struct error *err)
{
	static const struct option_word modes[] = {
		{"none", CGROUP_MODE_NONE},
		{"props", CGROUP_MODE_PROPS},
		{"soft", CGROUP_MODE_SOFT},
		{"full", CGROUP_MODE_FULL},
		{"strict", CGROUP_MODE_STRICT},
		{"ignore", CGROUP_MODE_IGNORE},
	};

	job->manage_cgroups = true;
	job->manage_cgroups_mode = CGROUP_MODE_SOFT;
	if (!value)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (!streq(value, modes[i].word))
			continue;
		job->manage_cgroups_mode = (enum cgroup_mode)modes[i].value;
		return 0;
	}
	return error_refuse(err, ERROR_USAGE,
		"--manage-cgroups takes none, props, soft, full, strict or ignore, not '%s'",
		value);
}

int option_set_ext_unix_sk(struct job *job, const char *value, bool on, struct error *err)
{
	uint64_t inode;

	job->ext_unix_sk = on;
	if (!value)
		return 0;
	if (!parse_number(value, UINT32_MAX, &inode, NULL))
		return error_refuse(err, ERROR_USAGE,
			"--ext-unix-sk takes the inode of a socket, not '%s'", value);
	job_list_add(job, &job->unix_sk_ino, value);
	return 0;
}

int option_set_ext_mount_map(
	struct job *job, const char *value, bool on _unused_, struct error *err)
{
	if (streq(value, "auto")) {
		job->auto_ext_mnt = true;
		return 0;
	}
	if (!strchr(value, ':'))
		return error_refuse(err, ERROR_USAGE,
			"--ext-mount-map takes KEY:VALUE or auto, not '%s'", value);
	job_list_add(job, &job->ext_mount_map, value);
	return 0;
}

int option_set_empty_ns(struct job *job, const char *value, bool on _unused_, struct error *err)
{
	if (!streq(value, "net"))
		return error_refuse(err, ERROR_USAGE, "--empty-ns takes net, not '%s'", value);
	job_list_add(job, &job->empty_ns, value);
	return 0;
}

int option_set_exec_cmd(
	struct job *job, const char *value _unused_, bool on, struct error *err _unused_)
{
	/* The command itself is what follows "--"; cli/parse.c puts it in. */
	job->exec_cmd = on ? arena_array(&job->arena, const char *, 1) : NULL;
	return 0;
}

int option_set_inherit_fd(struct job *job, const char *value, bool on _unused_, struct error *err)
{
	const char *rest;
	uint64_t fd;

	if (!starts_with(value, "fd[") || !parse_number(value + 3, INT_MAX, &fd, &rest) ||
		!starts_with(rest, "]:") || !rest[2])
		return error_refuse(err, ERROR_USAGE,
			"--inherit-fd takes fd[NUMBER]:RESOURCE, not '%s'", value);
	job_list_add(job, &job->inherit_fd, value);
	return 0;
}

int option_set_close(struct job *job, const char *value, bool on _unused_, struct error *err)
{
	uint64_t fd;

	if (!parse_number(value, INT_MAX, &fd, NULL))
		return error_refuse(
			err, ERROR_USAGE, "--close takes a descriptor's number, not '%s'", value);
	job_list_add(job, &job->close_fds, value);
	return 0;
}
