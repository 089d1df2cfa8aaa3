/* stasis verify: whether a directory still holds what was written to it. */
#include "cli/commands.h"
#include "image/dir.h"

int command_verify(const struct invocation *invocation, struct report *report)
{
	const struct job *job = &invocation->job;
	const char *path = invocation->argument_count ? invocation->arguments[0] : job->images_dir;
	_cleanup_(image_dir_cleanup) struct image_dir *dir = NULL;
	int rc = image_dir_open(path ?: ".", &dir, &report->err);

	if (rc == 0)
		rc = image_dir_verify(dir, &report->problems, &report->err);
	if (rc < 0)
		return rc;
	if (report->problems.count)
		return problems_to_error(&report->problems, &report->err);
	if (!job->json)
		printf("%s holds what was written to it\n", path ?: ".");
	return 0;
}
