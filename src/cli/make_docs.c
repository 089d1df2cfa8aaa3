/*
 * Makes the manual page and the completion from the tables; run while building.
 *
 *	make-docs manual TEMPLATE	the page on standard output, @SECTIONS@ filled in
 *	make-docs completion		for bash
 */
#include "cli/commands.h"

/* Text of ours into roff: dashes that people type must stay dashes, and a dot may begin a line. */
static void roff(const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	for (; *text; text++) {
		if (*text == '-')
			fputs("\\-", stdout);
		else if (*text == '\\')
			fputs("\\e", stdout);
		else
			putchar(*text);
	}
}

static void manual_option(const struct option_row *row)
{
	const char *between = row->argument == ARGUMENT_OPTIONAL ? "\\fR[=\\fI" : " \\fI";

	fputs(".TP\n", stdout);
	if (row->letter)
		printf("\\fB\\-%c\\fR, ", row->letter);
	fputs("\\fB\\-\\-", stdout);
	roff(row->name);
	if (row->argument != ARGUMENT_NONE) {
		fputs(between, stdout);
		roff(row->placeholder);
	}
	fputs(row->argument == ARGUMENT_OPTIONAL ? "\\fR]\n" : "\\fR\n", stdout);
	putchar(row->help[0] >= 'a' && row->help[0] <= 'z' ? row->help[0] - 32 : row->help[0]);
	roff(row->help + 1);
	fputs(row->built ? ".\n" : ".\nNot built yet.\n", stdout);
}

/* "Commands: dump, restore." at the end of an option that not all take. */
static void manual_option_commands(const struct option_row *row)
{
	bool first = true;

	if (row->commands == CMD_ALL)
		return;
	fputs("(", stdout);
	for (size_t i = 0; i < command_count; i++) {
		if (!(row->commands & command_table[i].bit))
			continue;
		fputs(first ? "" : ", ", stdout);
		roff(command_table[i].name);
		first = false;
	}
	fputs(")\n", stdout);
}

static void manual_options(void)
{
	for (enum option_group group = 0; group < GROUP_COUNT; group++) {
		printf(".SS %s\n", option_group_titles[group]);
		for (size_t i = 0; i < option_count; i++) {
			if (option_table[i].group != group)
				continue;
			manual_option(&option_table[i]);
			manual_option_commands(&option_table[i]);
		}
	}
}

static void manual_commands(void)
{
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &command_table[i];

		fputs(".TP\n\\fB", stdout);
		roff(command->name);
		fputs("\\fR", stdout);
		if (command->arguments) {
			fputs(" \\fI", stdout);
			roff(command->arguments);
			fputs("\\fR", stdout);
		}
		putchar('\n');
		putchar(command->summary[0] - 32);
		roff(command->summary + 1);
		fputs(command->run ? ".\n" : ".\nNot built yet.\n", stdout);
	}
}

static int make_manual(const char *template)
{
	_cleanup_(close_file) FILE *in = fopen(template, "re");
	char line[512], *version;

	if (!in) {
		perror(template);
		return 1;
	}
	while (fgets(line, sizeof(line), in)) {
		version = strstr(line, "@VERSION@");
		if (streq(line, "@COMMANDS@\n"))
			manual_commands();
		else if (streq(line, "@OPTIONS@\n"))
			manual_options();
		else if (version)
			printf("%.*s" STASIS_VERSION "%s", (int)(version - line), line,
				version + strlen("@VERSION@"));
		else
			fputs(line, stdout);
	}
	return 0;
}

static void completion_words(const struct command *command)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];

		if (command && !(row->commands & command->bit))
			continue;
		printf(" --%s", row->name);
		if (row->letter)
			printf(" -%c", row->letter);
		if (row->type == OPTION_FLAG)
			printf(" --no-%s", row->name);
	}
}

static void make_completion(void)
{
	printf("# bash completion for stasis and criu; made from the option table.\n"
	       "_stasis()\n{\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} command= word words\n"
	       "\tfor word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
	       "\t\tcase $word in\n\t\t");
	for (size_t i = 0; i < command_count; i++)
		printf("%s%s", i ? "|" : "", command_table[i].name);
	printf(") command=$word; break ;;\n\t\tesac\n\tdone\n\tcase $command in\n");
	for (size_t i = 0; i < command_count; i++) {
		printf("\t%s) words='", command_table[i].name);
		completion_words(&command_table[i]);
		printf("' ;;\n");
	}
	printf("\t*) words='");
	for (size_t i = 0; i < command_count; i++)
		printf(" %s", command_table[i].name);
	completion_words(NULL);
	printf("' ;;\n\tesac\n"
	       "\tif [[ -z $command || $cur == -* ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n\tfi\n}\n"
	       "complete -o default -F _stasis stasis criu\n");
}

int main(int argc, char **argv)
{
	if (argc == 3 && streq(argv[1], "manual"))
		return make_manual(argv[2]);
	if (argc == 2 && streq(argv[1], "completion")) {
		make_completion();
		return 0;
	}
	fputs("make-docs manual TEMPLATE | completion\n", stderr);
	return 2;
}
