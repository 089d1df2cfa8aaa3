#pragma once
/* The text of --help, made from the tables. */
#include "cli/commands.h"

/* All commands and options, or those of one command. */
void help_print(FILE *out, const char *program, const struct command *command);

/* How an option is written: "-D, --images-dir DIR". Returns the length. */
int help_option_usage(const struct option_row *row, char *buffer, size_t size);
