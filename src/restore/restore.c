#include "restore/restore.h"

#include <time.h>

#include "base/log.h"
#include "base/testpoint.h"
#include "kinds/file/collect.h"
#include "memory/memory.h"
#include "restore/internal.h"

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void restore_init(struct restore *restore, const struct job *job,
	const struct kernel_features *features, struct problems *problems)
{
	restore->stage = STAGE_INIT;
	restore->checkpoint.arena = &restore->arena;
	restore->context = (struct restore_context){
		.job = job,
		.features = features,
		.arena = &restore->arena,
		.checkpoint = &restore->checkpoint,
		.problems = problems,
	};
}

static void settle(struct restore *restore)
{
	struct error failed = ERROR_INIT;
	int rc = restore->committed ? undo_commit(restore->context.undo, &failed)
				    : undo_rollback(restore->context.undo, &failed);

	if (rc < 0)
		log_warn("%s", failed.message);
	undo_destroy(take_ptr(restore->context.undo));
}

static void restore_deinit(struct restore *restore)
{
	if (!restore->committed)
		puppets_kill(&restore->puppets);
	files_close(&restore->context);
	memory_close(&restore->context);
	settle(restore);
	stage_destroy(&restore->stage);
	image_dir_destroy(restore->context.dir);
	arena_deinit(&restore->arena);
}

static int check_kinds(struct restore *restore, struct error *err)
{
	for (size_t i = 0; i < restore->checkpoint.task_count; i++) {
		const struct task *task = restore->checkpoint.tasks[i];

		if (task->state == TASK_ZOMBIE)
			continue;
		for (size_t t = 0; t < task->thread_count; t++)
			for (size_t k = 0; task_kinds[k]; k++) {
				int rc = 0;

				if (task_kinds[k]->check)
					rc = task_kinds[k]->check(&restore->context, task,
						&task->threads[t], t == 0, err);
				if (rc < 0)
					return error_wrap(err, rc, "checking the %s of task %d",
						task_kinds[k]->name, task->pid);
			}
	}
	return 0;
}

static bool pid_in_use(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return access(path, F_OK) == 0;
}

/* A look is not a promise, but it finds them all, and before anything is created. */
static void check_pids(struct restore *restore)
{
	for (size_t i = 0; i < restore->task_count; i++)
		for (size_t t = 0; t < restore->tasks[i].thread_count; t++) {
			pid_t tid = restore->tasks[i].task->threads[t].tid;
			struct error *problem;

			if (!pid_in_use(tid))
				continue;
			problem = problems_add(restore->context.problems);
			error_refuse(problem, ERROR_CONFLICT, "pid %d is in use by another process",
				tid);
			error_about_task(problem, tid);
			error_hint(problem, "end that process, wait for its parent to reap it, or "
					    "restore in a new pid "
					    "namespace (unshare --pid --fork --mount-proc)");
		}
}

static int load_and_check(struct restore *restore, struct error *err)
{
	struct problems *problems = restore->context.problems;
	int rc = restore_load(restore, err);

	if (rc == 0)
		rc = memory_load(&restore->context, err);
	if (rc == 0)
		rc = files_load(&restore->context, err);
	if (rc == 0)
		rc = check_kinds(restore, err);
	if (rc == 0)
		rc = memory_check(&restore->context, err);
	if (rc == 0)
		rc = files_check(&restore->context, err);
	/* Damaged images are not planned at all; conflicts are collected to the end. */
	for (size_t i = 0; rc == 0 && i < problems->count; i++)
		if (problems->items[i].class == ERROR_BAD_IMAGE)
			rc = problems_to_error(problems, err);
	return rc;
}

static int plan(struct restore *restore, struct error *err)
{
	raddr start;
	int rc = restore_plan_tree(restore, err);

	if (rc < 0)
		return rc;
	if (!restore->context.job->dry_run)
		check_pids(restore);
	if (restore->context.problems->count)
		return problems_to_error(restore->context.problems, err);
	files_reserve(&restore->context);
	rc = memory_find_gap(&restore->context, stage_size(restore->thread_count), &start, err);
	if (rc == 0)
		rc = stage_create(&restore->stage, start, restore->thread_count, err);
	/* Planning needs the numbers of everything inherited, so what can be opened is opened here:
	 * files and shared memory of our own, nothing that outlives us. */
	if (rc == 0 && !restore->context.job->dry_run)
		rc = files_open(&restore->context, err);
	if (rc == 0)
		rc = memory_open(&restore->context, err);
	if (rc == 0)
		rc = restore_plan(restore, err);
	if (rc == 0 && restore->context.problems->count)
		rc = problems_to_error(restore->context.problems, err);
	return rc;
}

static int run(struct restore *restore, struct restore_result *result, struct error *err)
{
	const struct job *job = restore->context.job;
	uint64_t started = now_us();
	struct image_dir *dir = NULL;
	int rc = image_dir_open(job->images_dir ?: ".", &dir, err);

	if (rc < 0)
		return rc;
	restore->context.dir = dir;
	rc = load_and_check(restore, err);
	if (rc == 0)
		rc = plan(restore, err);
	if (rc < 0)
		return rc;
	result->planning_us = now_us() - started;
	log_debug("the plan is made");
	(void)test_point("restore: planned");
	result->pid = restore->checkpoint.tasks[0]->pid;
	result->tasks = restore->checkpoint.task_count;
	for (size_t i = 0; i < result->tasks; i++)
		result->threads += restore->checkpoint.tasks[i]->thread_count;
	if (job->dry_run) {
		restore_print_plan(restore, stdout);
		return 0;
	}
	rc = restore_execute(restore, result, err);
	result->pages_restored = memory_pages_restored(&restore->context);
	result->total_us = now_us() - started;
	return rc;
}

int stasis_restore(const struct job *job, const struct kernel_features *features,
	struct restore_result *ret_result, struct problems *problems, struct error *err)
{
	struct restore restore = {};
	struct restore_result result = {};
	struct tracing tracing;
	int rc;

	tracing_begin(&tracing);
	restore_init(&restore, job, features, problems);
	undo_cleanup_quietly();
	rc = run(&restore, &result, err);
	restore_deinit(&restore);
	tracing_end(&tracing);
	if (rc < 0)
		return error_wrap(err, rc, "cannot restore from %s", job->images_dir ?: ".");
	*ret_result = result;
	return 0;
}
