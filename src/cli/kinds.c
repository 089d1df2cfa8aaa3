/* stasis check --kinds: the tables of kinds, which are the table of contents of what stasis can do.
 */
#include "cli/commands.h"
#include "kinds/file_kind.h"
#include "kinds/task_kind.h"

static void add(json_t *rows, bool json, const char *what, const char *name, const char *limits)
{
	json_array_append_new(
		rows, json_pack("{s:s, s:s, s:s?}", "of", what, "name", name, "limits", limits));
	if (!json)
		printf("%-6s %-24s %s\n", what, name, limits ?: "all of it");
}

int check_kinds(const struct invocation *invocation, struct report *report)
{
	bool json = invocation->job.json;
	json_t *rows = json_array();

	for (const struct file_kind *const *kind = file_kinds; *kind; kind++)
		add(rows, json, "file", (*kind)->name, (*kind)->limits);
	for (const struct task_kind *const *kind = task_kinds; *kind; kind++)
		add(rows, json, "task", (*kind)->name, (*kind)->limits);
	report->result = json_pack("{s:o}", "kinds", rows);
	return 0;
}
