/* stasis dump. The work is dump/'s; here is what the command line adds. */
#include "dump/dump.h"

#include "base/log.h"
#include "cli/commands.h"
#include "kernel/features.h"

static int check_asked(const struct job *job, struct error *err)
{
	if (!job->pid)
		return error_refuse(err, ERROR_USAGE, "--tree PID says what to dump");
	if (job->leave_running && job->leave_stopped)
		return error_refuse(
			err, ERROR_USAGE, "--leave-running and --leave-stopped exclude each other");
	return 0;
}

int command_dump(const struct invocation *invocation, struct report *report)
{
	const struct job *job = &invocation->job;
	struct kernel_features features;
	struct dump_result result = {};
	int rc = check_asked(job, &report->err);

	if (rc < 0)
		return rc;
	kernel_features_init(&features);
	kernel_features_probe_for_dump(&features);
	rc = stasis_dump(job, &features, &result, &report->problems, &report->err);
	if (rc < 0)
		return rc;
	log_info("the tree of %d is dumped", job->pid);
	return 0;
}
