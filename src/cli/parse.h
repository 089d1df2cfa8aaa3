#pragma once
/* From argv to an invocation, through the option table and getopt_long(3). */
#include "cli/commands.h"

/* Takes the command line apart and fills the job: built-in defaults, then the configuration files,
 * --config, and the command line itself. argv is permuted as getopt does. Fails with ERROR_USAGE;
 * the invocation is to be deinit'ed in any case. With wants_help or wants_version set nothing else
 * is looked at. */
int invocation_parse(struct invocation *invocation, int argc, char **argv, struct error *err);
void invocation_deinit(struct invocation *invocation);
