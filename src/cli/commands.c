#include "cli/commands.h"

#include "cli/show.h"

/* Commands whose engine is not in the tree yet are known and say so (src/meson.build). */
#ifdef HAVE_DUMP
#define RUN_DUMP    command_dump
#define RUN_INSPECT command_inspect
#else
#define RUN_DUMP    NULL
#define RUN_INSPECT NULL
#endif
#ifdef HAVE_RESTORE
#define RUN_RESTORE command_restore
#else
#define RUN_RESTORE NULL
#endif
/* The other commands are files of their own; this one's (cli/show.h) knows no invocation. */
static int command_show(const struct invocation *invocation, struct report *report)
{
	const char *what = invocation->argument_count > 1 ? invocation->arguments[1] : NULL;

	/* What it prints with --json is the image, without our frame: crit's form. */
	report->printed = true;
	return cmd_show(invocation->arguments[0], what, invocation->job.json, &report->err);
}

const struct command command_table[] = {
	{"dump", CMD_DUMP, NULL, 0, 0, "write a tree of tasks to a directory and end it", RUN_DUMP},
	{"pre-dump", CMD_PRE_DUMP, NULL, 0, 0, "write memory ahead of a dump, the tasks running on",
		NULL},
	{"restore", CMD_RESTORE, NULL, 0, 0, "bring a dumped tree back", RUN_RESTORE},
	{"inspect", CMD_INSPECT, "[PID]", 0, 1, "say all that stands in the way of a dump",
		RUN_INSPECT},
	{"check", CMD_CHECK, NULL, 0, 0, "say what this kernel and our privileges allow",
		command_check},
	{"show", CMD_SHOW, "DIR [WHAT]", 1, 2,
		"print images as text or JSON (WHAT: an image, ps, fds, mems, rss)", command_show},
	{"verify", CMD_VERIFY, "[DIR]", 0, 1, "compare a directory with its checksums",
		command_verify},
	{"cleanup", CMD_CLEANUP, NULL, 0, 0, "undo what a killed dump or restore left",
		command_cleanup},
	{"page-server", CMD_PAGE_SERVER, NULL, 0, 0, "receive pages over the network", NULL},
	{"lazy-pages", CMD_LAZY_PAGES, NULL, 0, 0, "bring pages when they are touched", NULL},
	{"service", CMD_SERVICE, NULL, 0, 0, "wait for requests on a socket", NULL},
	{"swrk", CMD_SWRK, "FD", 1, 1, "serve requests on a descriptor", NULL},
	{"dedup", CMD_DEDUP, NULL, 0, 0, "punch pages out that a later dump has too", NULL},
	{"cpuinfo", CMD_CPUINFO, "dump|check", 1, 1, "write or compare what the processor can",
		NULL},
};

const size_t command_count = ARRAY_SIZE(command_table);

const struct command *command_by_name(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (streq(command_table[i].name, name))
			return &command_table[i];
	return NULL;
}
