#include "dump/dump.h"

#include <time.h>

#include "base/log.h"
#include "base/testpoint.h"
#include "dump/internal.h"
#include "kinds/file/collect.h"
#include "memory/memory.h"
#include "puppet/intrusion.h"

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* A conductor cannot stop itself. */
static int check_not_ours(pid_t root, struct error *err)
{
	pid_t pid = getpid();

	while (pid > 0) {
		struct proc_stat stat;
		struct error ignored = ERROR_INIT;

		if (pid == root) {
			error_refuse(err, ERROR_USAGE,
				"task %d is stasis itself, or a parent of it", root);
			error_about_task(err, root);
			error_hint(err, "run stasis from outside of the tree that is to be dumped");
			return -EINVAL;
		}
		if (procfs_read_stat(pid, pid, &stat, &ignored) < 0)
			break;
		pid = stat.ppid;
	}
	return 0;
}

static int check_exists(pid_t root, struct error *err)
{
	struct proc_stat stat;
	struct error ignored = ERROR_INIT;

	if (procfs_read_stat(root, root, &stat, &ignored) == 0)
		return 0;
	error_refuse(err, ERROR_GONE, "there is no task %d", root);
	error_about_task(err, root);
	error_hint(err, "--tree takes the pid of the root of the tree, as ps shows it here");
	return -ESRCH;
}

static void dump_init(struct dump *dump, const struct job *job,
	const struct kernel_features *features, struct problems *problems)
{
	dump->checkpoint.arena = &dump->arena;
	dump->context = (struct dump_context){
		.job = job,
		.features = features,
		.arena = &dump->arena,
		.checkpoint = &dump->checkpoint,
		.problems = problems,
	};
}

/* What was done to the system for the checkpoint's sake (links that keep deleted files alive) stays when
 * there is one, and is taken back when there is none. */
static void settle(struct dump *dump, bool succeeded)
{
	struct error failed = ERROR_INIT;
	int rc = succeeded ? undo_commit(dump->context.undo, &failed)
			   : undo_rollback(dump->context.undo, &failed);

	if (rc < 0)
		log_warn("%s", failed.message);
	undo_destroy(take_ptr(dump->context.undo));
}

static void dump_deinit(struct dump *dump, bool succeeded)
{
	dump_writers_abandon(&dump->context);
	dump_look_end(dump);
	freeze_release(&dump->tree, false);
	settle(dump, succeeded);
	image_dir_destroy(dump->context.dir);
	arena_deinit(&dump->arena);
}

/* Freezes and looks; obstacles become the error. */
static int freeze_and_look(
	struct dump *dump, struct dump_result *result, uint64_t *ret_started, struct error *err)
{
	const struct job *job = dump->context.job;
	int64_t deadline = job->timeout ? now_ms() + (int64_t)job->timeout * 1000 : 0;
	int rc = check_not_ours(job->pid, err);

	if (rc == 0)
		rc = check_exists(job->pid, err);
	if (rc < 0)
		return rc;
	*ret_started = now_us();
	rc = freeze_tree(&dump->arena, job->pid, deadline, &dump->tree, err);
	if (rc < 0)
		return rc;
	result->freezing_us = now_us() - *ret_started;
	(void)test_point("dump: the tree is frozen");
	for (size_t i = 0; i < dump->tree.count; i++)
		result->threads += dump->tree.tasks[i]->thread_count;
	result->tasks = dump->tree.count;
	log_debug("the tree is frozen: %zu tasks, %zu threads", result->tasks, result->threads);
	rc = dump_look(dump, err);
	log_debug("everything was looked at");
	(void)test_point("dump: everything was looked at");
	return rc;
}

static int save(struct dump *dump, struct dump_result *result, uint64_t started, struct error *err)
{
	uint64_t begin = now_us();
	const struct memory_stats *stats;
	int rc = memory_find_pages(&dump->context, err);

	if (rc == 0)
		rc = memory_save(&dump->context, err);
	if (rc < 0)
		return rc;
	log_debug("pages are written");
	(void)test_point("dump: pages are written");
	result->memory_us = now_us() - begin;
	stats = memory_dump_stats(&dump->context);
	result->pages_scanned = stats->pages_scanned;
	result->pages_written = stats->pages_written;
	result->shared_pages_written = stats->shared_pages_written;
	result->bytes_written = stats->bytes_written;
	rc = files_save(&dump->context, err);
	if (rc == 0)
		rc = dump_writers_close(&dump->context, err);
	result->frozen_us = now_us() - started;
	if (rc == 0)
		rc = dump_save_tree(dump, result, err);
	log_debug("everything is written");
	(void)test_point("dump: everything is written");
	return rc;
}

/* The images are whole: what they rely on outside of them stays. Before the tree is killed, because
 * until then a dump that is cut short loses nothing. */
static int commit(struct dump *dump, struct error *err)
{
	int rc = image_dir_commit(dump->context.dir, err);

	return rc < 0 ? rc : undo_commit(dump->context.undo, err);
}

/* With --leave-running the tree goes on first, and the disk may take its time afterwards. A tree that is
 * to end, ends only when the checkpoint is safe. */
static int finish(
	struct dump *dump, struct dump_result *result, uint64_t started, struct error *err)
{
	const struct job *job = dump->context.job;
	int rc;

	if (job->leave_running) {
		freeze_release(&dump->tree, false);
		result->frozen_us = now_us() - started;
		(void)test_point("dump: the tree was let go");
		return commit(dump, err);
	}
	rc = commit(dump, err);
	log_debug("committed");
	(void)test_point("dump: committed");
	if (rc < 0)
		return rc;
	/* The end of a large task takes the kernel a while; it is no longer frozen then. */
	result->frozen_us = now_us() - started;
	if (job->leave_stopped)
		freeze_release(&dump->tree, true);
	else
		freeze_kill(&dump->tree);
	return rc;
}

static int dump_tree(struct dump *dump, struct dump_result *result, struct error *err)
{
	const struct job *job = dump->context.job;
	struct problems *problems = dump->context.problems;
	uint64_t started;
	struct image_dir *dir = NULL;
	int rc = image_dir_create(job->images_dir ?: ".", &dir, err);

	if (rc < 0)
		return rc;
	dump->context.dir = dir;
	rc = freeze_and_look(dump, result, &started, err);
	if (rc == 0 && problems->count)
		rc = problems_to_error(problems, err);
	if (rc == 0)
		rc = dump_ask(dump, err);
	log_debug("everything was asked");
	(void)test_point("dump: everything was asked");
	if (rc == 0 && problems->count)
		rc = problems_to_error(problems, err);
	if (rc == 0)
		rc = save(dump, result, started, err);
	if (rc == 0)
		rc = finish(dump, result, started, err);
	return rc;
}

int stasis_dump(const struct job *job, const struct kernel_features *features,
	struct dump_result *ret_result, struct problems *problems, struct error *err)
{
	struct dump dump = {};
	struct dump_result result = {};
	struct tracing tracing;
	uint64_t started = now_us();
	int rc;

	tracing_begin(&tracing);
	dump_init(&dump, job, features, problems);
	undo_cleanup_quietly();
	rc = dump_tree(&dump, &result, err);
	dump_deinit(&dump, rc == 0);
	tracing_end(&tracing);
	if (rc < 0)
		return error_wrap(err, rc, "cannot dump the tree of %d", job->pid);
	result.total_us = now_us() - started;
	*ret_result = result;
	return 0;
}

int stasis_inspect(const struct job *job, const struct kernel_features *features,
	struct dump_result *ret_result, struct problems *problems, struct error *err)
{
	struct dump dump = {};
	struct dump_result result = {};
	struct tracing tracing;
	uint64_t started = 0;
	int rc;

	tracing_begin(&tracing);
	dump_init(&dump, job, features, problems);
	rc = freeze_and_look(&dump, &result, &started, err);
	/* What only the task can tell may be an obstacle too. */
	if (rc == 0)
		rc = dump_ask(&dump, err);
	dump_deinit(&dump, false);
	tracing_end(&tracing);
	if (rc < 0)
		return error_wrap(err, rc, "cannot inspect the tree of %d", job->pid);
	result.frozen_us = result.total_us = now_us() - started;
	*ret_result = result;
	return 0;
}
