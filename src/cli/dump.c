/* stasis dump. The work is dump/'s; here is what the command line adds. */
#include "dump/dump.h"

#include <inttypes.h>

#include "base/log.h"
#include "cli/commands.h"
#include "kernel/features.h"

static int check_asked(const struct job *job, struct error *err)
{
	if (!job->pid)
		return error_refuse(err, ERROR_USAGE, "--tree PID says what to dump");
	if (job->cpu_cap & CPU_CAP_CPU)
		return error_refuse(err, ERROR_USAGE,
			"--cpu-cap=cpu is not built yet: no cpuinfo.img is written");
	if (job->leave_running && job->leave_stopped)
		return error_refuse(
			err, ERROR_USAGE, "--leave-running and --leave-stopped exclude each other");
	return 0;
}

static json_t *stats_json(const struct dump_result *result)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "tasks",
		(json_int_t)result->tasks, "threads", (json_int_t)result->threads, "pages_scanned",
		(json_int_t)result->pages_scanned, "pages_written",
		(json_int_t)result->pages_written, "shared_pages_written",
		(json_int_t)result->shared_pages_written, "bytes_written",
		(json_int_t)result->bytes_written, "freezing_us", (json_int_t)result->freezing_us,
		"frozen_us", (json_int_t)result->frozen_us, "memory_us",
		(json_int_t)result->memory_us, "total_us", (json_int_t)result->total_us);
}

/* --display-stats, for people. */
static void print_stats(const struct dump_result *result)
{
	printf("tasks %zu, threads %zu\n", result->tasks, result->threads);
	printf("pages scanned %" PRIu64 ", written %" PRIu64 ", of them shared %" PRIu64
	       ", bytes written %" PRIu64 "\n",
		result->pages_scanned, result->pages_written, result->shared_pages_written,
		result->bytes_written);
	printf("freezing %" PRIu64 " us, frozen %" PRIu64 " us, of it memory %" PRIu64
	       " us, in all %" PRIu64 " us\n",
		result->freezing_us, result->frozen_us, result->memory_us, result->total_us);
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
	report->result = json_pack("{s:o}", "stats", stats_json(&result));
	if (job->display_stats && !job->json)
		print_stats(&result);
	return 0;
}
