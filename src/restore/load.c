/* Reading the tree. Every number is hostile until it has been looked at here. */
#include <stdarg.h>

#include "restore/internal.h"

/* PID_MAX_LIMIT of the kernel. */
#define PID_LIMIT (4 * 1024 * 1024)

static int damaged(struct restore *restore, pid_t pid, const char *format, ...) _printf_(3, 4);

static int damaged(struct restore *restore, pid_t pid, const char *format, ...)
{
	struct error *problem = problems_add(restore->context.problems);
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	error_refuse(problem, ERROR_BAD_IMAGE, "task %d: %s", pid, text);
	error_about_task(problem, pid);
	return -EINVAL;
}

static bool pid_valid(uint32_t pid)
{
	return pid > 0 && pid < PID_LIMIT;
}

static bool tid_known(const struct checkpoint *checkpoint, pid_t tid)
{
	for (size_t i = 0; i < checkpoint->task_count; i++)
		for (size_t t = 0; t < checkpoint->tasks[i]->thread_count; t++)
			if (checkpoint->tasks[i]->threads[t].tid == tid)
				return true;
	return false;
}

static int compare_tids(const void *a, const void *b)
{
	pid_t left = ((const struct thread *)a)->tid, right = ((const struct thread *)b)->tid;

	return (left > right) - (left < right);
}

/* The leader first, the others as the image has them; each number once. */
static int take_threads(struct restore *restore, struct task *task, const PstreeEntry *entry)
{
	struct thread *threads, *sorted;
	size_t count = 0;

	if (!entry->n_threads)
		return damaged(restore, task->pid, "has no threads");
	threads = arena_array(&restore->arena, struct thread, entry->n_threads + 1);
	threads[count++].tid = task->pid;
	for (size_t i = 0; i < entry->n_threads; i++) {
		if (!pid_valid(entry->threads[i]))
			return damaged(
				restore, task->pid, "impossible thread id %u", entry->threads[i]);
		if ((pid_t)entry->threads[i] == task->pid)
			continue;
		if (tid_known(&restore->checkpoint, (pid_t)entry->threads[i]))
			return damaged(restore, task->pid, "thread id %u is used twice",
				entry->threads[i]);
		threads[count++].tid = (pid_t)entry->threads[i];
	}
	sorted = arena_memdup(&restore->arena, threads, count * sizeof(*threads));
	qsort(sorted, count, sizeof(*sorted), compare_tids);
	for (size_t i = 1; i < count; i++)
		if (sorted[i].tid == sorted[i - 1].tid)
			return damaged(
				restore, task->pid, "thread id %d is listed twice", sorted[i].tid);
	task->threads = threads;
	task->thread_count = count;
	return 0;
}

static int take_task(struct restore *restore, const PstreeEntry *entry)
{
	struct checkpoint *checkpoint = &restore->checkpoint;
	struct task *parent = NULL, *task;

	if (!pid_valid(entry->pid))
		return damaged(restore, (pid_t)entry->pid, "impossible pid");
	if (tid_known(checkpoint, (pid_t)entry->pid))
		return damaged(restore, (pid_t)entry->pid, "pid is used twice");
	if (entry->pgid >= PID_LIMIT || entry->sid >= PID_LIMIT)
		return damaged(restore, (pid_t)entry->pid, "impossible process group or session");
	if (checkpoint->task_count) {
		parent = checkpoint_task(checkpoint, (pid_t)entry->ppid);
		if (!parent)
			return damaged(restore, (pid_t)entry->pid,
				"its parent %u does not come before it in the tree", entry->ppid);
	}
	task = checkpoint_add_task(checkpoint, parent, (pid_t)entry->pid);
	task->pgid = (pid_t)entry->pgid;
	task->sid = (pid_t)entry->sid;
	return take_threads(restore, task, entry);
}

static int load_pstree(struct restore *restore, struct error *err)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	int rc = image_reader_open(restore->context.dir, IMAGE_PSTREE, 0, &reader, err);

	if (rc == 0) {
		error_refuse(err, ERROR_BAD_IMAGE, "%s holds no checkpoint: there is no pstree.img",
			image_dir_path(restore->context.dir));
		error_hint(err, "--images-dir names the directory that a dump was written to");
		return -ENOENT;
	}
	while (rc > 0) {
		ProtobufCMessage *entry;

		rc = image_read(reader, &restore->arena, &entry, err);
		if (rc > 0 && take_task(restore, (const PstreeEntry *)entry) < 0)
			return problems_to_error(restore->context.problems, err);
	}
	if (rc == 0 && !restore->checkpoint.task_count)
		rc = error_refuse(err, ERROR_BAD_IMAGE, "pstree.img is empty");
	return rc;
}

static void share_ids(struct restore *restore, struct task *task)
{
	bool fresh;

	task->space = checkpoint_space(&restore->checkpoint, task->ids->vm_id, &fresh);
	if (fresh)
		task->space->owner = task;
	task->fds = checkpoint_fd_table(&restore->checkpoint, task->ids->files_id, &fresh);
}

static int load_leader(struct restore *restore, struct task *task, struct error *err)
{
	CoreEntry *core = task->threads[0].core;
	ProtobufCMessage *ids;
	int rc;

	if (!core->tc)
		return damaged(restore, task->pid, "core-%d.img has no task_core", task->pid);
	switch (core->tc->task_state) {
	case TASK_ALIVE:
	case TASK_STOPPED:
		task->state = core->tc->task_state;
		break;
	case TASK_DEAD:
	case TASK_ZOMBIE:
		task->state = TASK_ZOMBIE;
		return 0;
	default:
		return damaged(restore, task->pid, "unknown task state %u", core->tc->task_state);
	}
	if (core->ids) {
		task->ids = core->ids;
	} else {
		rc = image_read_single(restore->context.dir, IMAGE_IDS, (uint64_t)task->pid,
			&restore->arena, &ids, err);
		if (rc < 0)
			return rc;
		task->ids = (TaskKobjIdsEntry *)ids;
	}
	share_ids(restore, task);
	return 0;
}

static int load_thread(struct restore *restore, struct task *task, size_t index, struct error *err)
{
	struct thread *thread = &task->threads[index];
	ProtobufCMessage *core;
	int rc = image_read_single(restore->context.dir, IMAGE_CORE, (uint64_t)thread->tid,
		&restore->arena, &core, err);

	if (rc < 0)
		return rc;
	thread->core = (CoreEntry *)core;
	if (index == 0) {
		rc = load_leader(restore, task, err);
		if (rc < 0)
			return rc;
	}
	if (task->state == TASK_ZOMBIE)
		return 0;
	if (thread->core->mtype != CORE_ENTRY__MARCH__X86_64) {
		error_refuse(err, ERROR_CONFLICT,
			"core-%d.img was taken on another kind of machine (mtype %d; 1 is x86-64)",
			thread->tid, thread->core->mtype);
		error_hint(err, "restore it on such a machine");
		return -EINVAL;
	}
	if (!thread->core->thread_info || !thread->core->thread_core)
		return damaged(restore, task->pid, "core-%d.img is incomplete", thread->tid);
	return 0;
}

static int load_task(struct restore *restore, struct task *task, struct error *err)
{
	for (size_t t = 0; t < task->thread_count; t++) {
		int rc = load_thread(restore, task, t, err);

		if (rc < 0)
			return error_is_set(err)
				       ? rc
				       : problems_to_error(restore->context.problems, err);
		if (t == 0 && task->state == TASK_ZOMBIE) {
			task->thread_count = 1;
			break;
		}
	}
	if (task->state == TASK_ZOMBIE && task->child_count)
		return error_refuse(err, ERROR_BAD_IMAGE, "zombie %d has children", task->pid);
	return 0;
}

static int load_seccomp(struct restore *restore, struct error *err)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	ProtobufCMessage *entry;
	int rc = image_reader_open(restore->context.dir, IMAGE_SECCOMP, 0, &reader, err);

	if (rc > 0)
		rc = image_read(reader, &restore->arena, &entry, err);
	if (rc > 0)
		restore->checkpoint.seccomp = (SeccompEntry *)entry;
	return rc < 0 ? rc : 0;
}

int restore_load(struct restore *restore, struct error *err)
{
	ProtobufCMessage *inventory;
	int rc = image_read_single(
		restore->context.dir, IMAGE_INVENTORY, 0, &restore->arena, &inventory, err);

	if (rc < 0)
		return rc;
	restore->checkpoint.inventory = (InventoryEntry *)inventory;
	if (restore->checkpoint.inventory->img_version > 2)
		return error_refuse(err, ERROR_BAD_IMAGE,
			"images of version %u: this stasis knows 1 and 2",
			restore->checkpoint.inventory->img_version);
	rc = load_pstree(restore, err);
	for (size_t i = 0; rc == 0 && i < restore->checkpoint.task_count; i++)
		rc = load_task(restore, restore->checkpoint.tasks[i], err);
	if (rc == 0 && restore->checkpoint.tasks[0]->state == TASK_ZOMBIE)
		rc = error_refuse(err, ERROR_BAD_IMAGE, "the root of the tree is a zombie");
	return rc < 0 ? rc : load_seccomp(restore, err);
}
