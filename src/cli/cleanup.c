/* stasis cleanup: what dumps and restores that were killed have left in the system. */
#include "cli/commands.h"
#include "undo/journal.h"

int command_cleanup(const struct invocation *invocation, struct report *report)
{
	unsigned count = 0;
	int rc = undo_cleanup_stale(NULL, &count, &report->err);

	if (rc < 0)
		return rc;
	if (!invocation->job.json)
		printf("Cleaned up after killed runs: %u\n", count);
	return 0;
}
