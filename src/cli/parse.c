/*
 * The command may stand anywhere among the options, and which row a letter means and whether an
 * option fits depends on it. So getopt's findings are kept as a list of uses first; configuration
 * files come between reading the list and applying it, for the command line wins over them.
 */
#include "cli/parse.h"

#include <getopt.h>

#include "base/log.h"
#include "cli/config.h"

/* getopt's answer for a long option: row << 1 | negated, above every letter. */
#define LONG_BASE 0x1000

struct use {
	const struct option_row *row; /* NULL: by `letter` */
	char letter;
	bool on;
	const char *value;
};

struct uses {
	struct use *items;
	size_t count;
};

static void uses_deinit(struct uses *uses)
{
	free(uses->items);
}

static struct option long_row(size_t index, const char *name, bool on)
{
	static const int has_arg[] = {
		[ARGUMENT_NONE] = no_argument,
		[ARGUMENT_REQUIRED] = required_argument,
		[ARGUMENT_OPTIONAL] = optional_argument,
	};

	return (struct option){.name = name,
		.has_arg = on ? has_arg[option_table[index].argument] : no_argument,
		.val = LONG_BASE + (int)(index << 1) + !on};
}

/* Both forms that getopt wants, in the arena. */
static struct option *make_getopt(struct arena *arena, char *letters)
{
	struct option *longs = arena_array(arena, struct option, 2 * option_count + 1);
	size_t count = 0;

	/* '-' would return the command in order; ':' gives a missing argument its own answer. */
	*letters++ = ':';
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];

		longs[count++] = long_row(i, row->name, true);
		if (row->type == OPTION_FLAG)
			longs[count++] =
				long_row(i, arena_printf(arena, "no-%s", row->name), false);
		if (!row->letter)
			continue;
		*letters++ = row->letter;
		if (row->argument != ARGUMENT_NONE)
			*letters++ = ':';
		if (row->argument == ARGUMENT_OPTIONAL)
			*letters++ = ':';
	}
	*letters = '\0';
	return longs;
}

static int refuse_getopt(int answer, char **argv, struct error *err)
{
	const char *culprit = optind > 0 ? argv[optind - 1] : "";

	if (answer == ':')
		return error_refuse(err, ERROR_USAGE, "%s needs an argument", culprit);
	if (optopt && optopt < LONG_BASE)
		return error_refuse(err, ERROR_USAGE, "unknown option -%c", optopt);
	if (optopt)
		return error_refuse(err, ERROR_USAGE, "%s takes no argument", culprit);
	return error_refuse(err, ERROR_USAGE, "unknown or ambiguous option %s", culprit);
}

static int collect(struct uses *uses, int argc, char **argv, struct error *err)
{
	struct arena arena = {};
	char letters[4 * 128];
	struct option *longs = make_getopt(&arena, letters);
	int answer, rc = 0;

	optind = 0;
	opterr = 0;
	while (rc == 0 && (answer = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		struct use use = {.letter = (char)answer, .on = true, .value = optarg};

		if (answer == '?' || answer == ':') {
			rc = refuse_getopt(answer, argv, err);
			break;
		}
		if (answer >= LONG_BASE) {
			use.row = &option_table[(answer - LONG_BASE) >> 1];
			use.on = !((answer - LONG_BASE) & 1);
		}
		uses->items = xreallocarray(uses->items, uses->count + 1, sizeof(use));
		uses->items[uses->count++] = use;
	}
	arena_deinit(&arena);
	return rc;
}

/* Letters become rows; help and version are noted. */
static void resolve(struct uses *uses, struct invocation *invocation)
{
	for (size_t i = 0; i < uses->count; i++) {
		struct use *use = &uses->items[i];

		if (!use->row)
			use->row = option_by_letter(use->letter,
				invocation->command ? invocation->command->bit : CMD_ALL);
		invocation->wants_help |= use->row->action == ACTION_HELP;
		invocation->wants_version |= use->row->action == ACTION_VERSION;
	}
}

static int apply_files(const struct uses *uses, struct invocation *invocation, struct error *err)
{
	unsigned command = invocation->command->bit;
	bool no_defaults = false;
	int rc;

	for (size_t i = 0; i < uses->count; i++)
		no_defaults |= uses->items[i].row->action == ACTION_NO_DEFAULTS;
	rc = config_apply_defaults(no_defaults, command, &invocation->job, err);
	for (size_t i = 0; i < uses->count && rc == 0; i++)
		if (uses->items[i].row->action == ACTION_CONFIG)
			rc = config_apply_file(
				uses->items[i].value, false, command, &invocation->job, err);
	return rc;
}

static int apply_uses(const struct uses *uses, struct invocation *invocation, struct error *err)
{
	const struct command *command = invocation->command;

	for (size_t i = 0; i < uses->count; i++) {
		const struct use *use = &uses->items[i];
		int rc;

		if (use->row->type == OPTION_ACTION)
			continue;
		rc = option_check_built(use->row, use->on, command->bit, err);
		/* CRIU takes any option with any command, and people's scripts rely on it. */
		if (rc == 0 && !(use->row->commands & command->bit) && !invocation->as_criu)
			rc = error_refuse(err, ERROR_USAGE, "--%s is not an option of %s",
				use->row->name, command->name);
		if (rc == 0)
			rc = option_apply(use->row, use->value, use->on, &invocation->job, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* What follows "--" after --exec-cmd, as execv(3) wants it. */
static int take_exec_cmd(struct invocation *invocation, struct error *err)
{
	struct job *job = &invocation->job;

	if (!job->exec_cmd)
		return 0;
	if (!invocation->argument_count)
		return error_refuse(err, ERROR_USAGE, "--exec-cmd needs a command after --");
	job->exec_cmd = arena_array(&job->arena, const char *, invocation->argument_count + 1);
	for (size_t i = 0; i < invocation->argument_count; i++)
		job->exec_cmd[i] = job_strdup(job, invocation->arguments[i]);
	invocation->argument_count = 0;
	return 0;
}

static int check_arguments(const struct invocation *invocation, struct error *err)
{
	const struct command *command = invocation->command;

	if (invocation->argument_count < command->argument_min)
		return error_refuse(
			err, ERROR_USAGE, "%s needs %s", command->name, command->arguments);
	if (invocation->argument_count > command->argument_max)
		return error_refuse(err, ERROR_USAGE, "%s does not take '%s'", command->name,
			invocation->arguments[command->argument_max]);
	return 0;
}

int invocation_parse(struct invocation *invocation, int argc, char **argv, struct error *err)
{
	_cleanup_(uses_deinit) struct uses uses = {};
	const char *slash = strrchr(argv[0], '/');
	const char *name;
	int rc;

	*invocation = (struct invocation){.program = slash ? slash + 1 : argv[0]};
	invocation->as_criu = streq(invocation->program, "criu");
	job_init(&invocation->job);
	/* So that also a mistake on the command line is told the way that was asked for. */
	for (int i = 1; i < argc && !streq(argv[i], "--"); i++)
		invocation->job.json |= streq(argv[i], "--json");
	rc = collect(&uses, argc, argv, err);
	if (rc < 0)
		return rc;
	name = optind < argc ? argv[optind] : NULL;
	invocation->command = name ? command_by_name(name) : NULL;
	resolve(&uses, invocation);
	if (invocation->wants_version || (invocation->wants_help && !name))
		return 0;
	if (!name)
		return error_refuse(err, ERROR_USAGE, "no command is given");
	if (!invocation->command)
		return error_refuse(err, ERROR_USAGE, "unknown command '%s'", name);
	if (invocation->wants_help)
		return 0;
	if (!invocation->command->run)
		return error_refuse(err, ERROR_USAGE, "%s is not built yet", name);
	invocation->arguments = (const char **)argv + optind + 1;
	invocation->argument_count = (size_t)(argc - optind - 1);
	rc = apply_files(&uses, invocation, err);
	if (rc == 0)
		rc = apply_uses(&uses, invocation, err);
	if (rc == 0)
		rc = take_exec_cmd(invocation, err);
	if (rc == 0)
		rc = check_arguments(invocation, err);
	if (!invocation->job.images_dir)
		invocation->job.images_dir = ".";
	return rc;
}

void invocation_deinit(struct invocation *invocation)
{
	job_deinit(&invocation->job);
}
