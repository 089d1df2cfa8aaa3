#include "cli/help.h"

#define COLUMN 34

int help_option_usage(const struct option_row *row, char *buffer, size_t size)
{
	char letter[8] = "", argument[64] = "";

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	if (row->argument == ARGUMENT_REQUIRED)
		snprintf(argument, sizeof(argument), " %s", row->placeholder);
	else if (row->argument == ARGUMENT_OPTIONAL)
		snprintf(argument, sizeof(argument), "[=%s]", row->placeholder);
	return snprintf(buffer, size, "%s--%s%s", letter, row->name, argument);
}

static void print_row(FILE *out, const struct option_row *row)
{
	char usage[160];
	int length = help_option_usage(row, usage, sizeof(usage));
	int indent = row->letter ? 2 : 6;

	fprintf(out, "%*s%s", indent, "", usage);
	length += indent;
	if (length > COLUMN - 2) {
		fputc('\n', out);
		length = 0;
	}
	fprintf(out, "%*s%s%s\n", COLUMN - length, "", row->help,
		row->built ? "" : " (not built yet)");
}

static void print_group(FILE *out, enum option_group group, unsigned commands)
{
	bool titled = false;

	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];

		if (row->group != group || !(row->commands & commands))
			continue;
		if (!titled)
			fprintf(out, "\n%s:\n", option_group_titles[group]);
		titled = true;
		print_row(out, row);
	}
}

static void print_commands(FILE *out)
{
	fprintf(out, "\nCommands:\n");
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &command_table[i];
		char usage[64];

		snprintf(usage, sizeof(usage), "%s %s", command->name, command->arguments ?: "");
		fprintf(out, "  %-*s%s%s\n", COLUMN - 2, usage, command->summary,
			command->run ? "" : " (not built yet)");
	}
}

void help_print(FILE *out, const char *program, const struct command *command)
{
	if (command)
		fprintf(out, "Usage: %s %s [OPTION...] %s\n\n%s: %s%s.\n", program, command->name,
			command->arguments ?: "", command->name, command->summary,
			command->run ? "" : " (not built yet)");
	else
		fprintf(out,
			"Usage: %s COMMAND [OPTION...]\n"
			"Checkpoints a tree of running Linux tasks, and restores it.\n",
			program);
	if (!command)
		print_commands(out);
	for (enum option_group group = 0; group < GROUP_COUNT; group++)
		print_group(out, group, command ? command->bit : CMD_ALL);
	fprintf(out, "\nA flag is taken back with --no-NAME. The manual is stasis(8).\n");
}
