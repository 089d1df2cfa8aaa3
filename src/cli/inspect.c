/* stasis inspect: the looking half of a dump, for people. */
#include "dump/dump.h"

#include "cli/commands.h"
#include "kernel/features.h"

/* The pid may stand without --tree. */
static int take_pid(const struct invocation *invocation, struct job *job, struct error *err)
{
	bool on;

	if (invocation->argument_count) {
		int rc = option_apply(
			option_by_name("tree", &on), invocation->arguments[0], true, job, err);

		if (rc < 0)
			return rc;
	}
	if (!job->pid)
		return error_refuse(err, ERROR_USAGE, "inspect needs the pid of a tree");
	return 0;
}

int command_inspect(const struct invocation *invocation, struct report *report)
{
	/* A shallow copy: strings and lists stay the invocation's. */
	struct job job = invocation->job;
	struct kernel_features features;
	struct dump_result result = {};
	int rc = take_pid(invocation, &job, &report->err);

	if (rc < 0)
		return rc;
	kernel_features_init(&features);
	kernel_features_probe_for_dump(&features);
	rc = stasis_inspect(&job, &features, &result, &report->problems, &report->err);
	if (rc < 0)
		return rc;
	report->result = json_pack("{s:I, s:I, s:I}", "tasks", (json_int_t)result.tasks, "threads",
		(json_int_t)result.threads, "frozen_us", (json_int_t)result.frozen_us);
	if (report->problems.count)
		return problems_to_error(&report->problems, &report->err);
	if (!job.json)
		printf("nothing stands in the way of a dump of %d\n", job.pid);
	return 0;
}
