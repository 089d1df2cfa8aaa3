/* stasis restore. The work is restore/'s; here is what the command line adds: the pidfile before,
 * the command or the waiting after. */
#include "restore/restore.h"

#include <sys/wait.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/pidfile.h"
#include "kernel/features.h"

static int check_asked(const struct job *job, struct error *err)
{
	if (job->restore_sibling && !job->restore_detached)
		return error_refuse(err, ERROR_USAGE,
			"--restore-sibling makes sense with --restore-detached only");
	if (job->cpu_cap & CPU_CAP_CPU)
		return error_refuse(err, ERROR_USAGE,
			"--cpu-cap=cpu is not built yet: what can be compared is fpu, or none");
	if (job->exec_cmd && job->restore_detached)
		return error_refuse(err, ERROR_USAGE,
			"--exec-cmd and --restore-detached exclude each other: the command is to "
			"be the parent");
	return 0;
}

/* The tree runs. We become the command, or wait for the root task as a shell would. */
static int stay(const struct job *job, pid_t root, struct error *err)
{
	if (job->exec_cmd) {
		execvp(job->exec_cmd[0], (char *const *)job->exec_cmd);
		return error_set(
			err, errno, "the tree runs, but %s cannot be run", job->exec_cmd[0]);
	}
	while (!job->restore_detached && waitpid(root, NULL, 0) < 0)
		if (errno != EINTR)
			return error_set(err, errno, "cannot wait for %d", root);
	return 0;
}

static int restore(const struct job *job, pid_t *ret_root, struct report *report)
{
	_cleanup_(pidfile_close) struct pidfile pidfile = PIDFILE_INIT;
	struct kernel_features features;
	struct restore_result result = {};
	int rc = job->dry_run ? 0 : pidfile_open(&pidfile, job, &report->err);

	if (rc < 0)
		return rc;
	kernel_features_init(&features);
	kernel_features_probe_for_restore(&features);
	rc = stasis_restore(job, &features, &result, &report->problems, &report->err);
	if (rc < 0)
		return rc;
	*ret_root = result.pid;
	log_info("the tree of %d is restored", result.pid);
	report->result = json_pack("{s:i}", "pid", result.pid);
	return pidfile_write(&pidfile, result.pid, &report->err);
}

int command_restore(const struct invocation *invocation, struct report *report)
{
	const struct job *job = &invocation->job;
	pid_t root = 0;
	int rc = check_asked(job, &report->err);

	if (rc == 0)
		rc = restore(job, &root, report);
	if (rc < 0 || job->dry_run)
		return rc;
	return stay(job, root, &report->err);
}
