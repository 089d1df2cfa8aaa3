/*
 * Who creates whom.
 *
 * A new process has its creator's session, group and shared objects, and its creator as parent, or its
 * creator's parent (CLONE_PARENT). So for each task a creator is chosen that has what the task is to
 * have: its parent; a sibling created before it; or, where the session's leader is dead, a helper that
 * has the leader's pid, makes the session, creates those who belong to it, and ends. A parent that
 * itself leads a session creates children of the session it was born in before it makes its own.
 */
#include <sched.h>
#include <signal.h>

#include "memory/memory.h"
#include "restore/internal.h"

struct sharing {
	bool vm, files, fs, sighand;
};

static struct sharing shared_objects(const struct task *a, const struct task *b)
{
	struct sharing sharing = {};

	if (!a->ids || !b->ids)
		return sharing;
	sharing.vm = a->ids->vm_id == b->ids->vm_id;
	sharing.files = a->ids->files_id == b->ids->files_id;
	sharing.fs = a->ids->fs_id == b->ids->fs_id;
	sharing.sighand = a->ids->sighand_id == b->ids->sighand_id;
	return sharing;
}

static uint64_t sharing_flags(struct sharing sharing)
{
	return (sharing.vm ? CLONE_VM : 0) | (sharing.files ? CLONE_FILES : 0) |
	       (sharing.fs ? CLONE_FS : 0) | (sharing.sighand ? CLONE_SIGHAND : 0);
}

/* Everything that the task shares with tasks created before it. */
static uint64_t wanted_flags(const struct restore *restore, const struct task *task)
{
	uint64_t flags = 0;

	for (size_t i = 0; i < restore->task_count; i++)
		if (restore->tasks[i].task != task)
			flags |= sharing_flags(shared_objects(restore->tasks[i].task, task));
	return flags;
}

static struct planned_task *find_planned(const struct restore *restore, pid_t pid)
{
	for (size_t i = 0; i < restore->task_count; i++)
		if (restore->tasks[i].task->pid == pid)
			return &restore->tasks[i];
	return NULL;
}

static struct planned_task *add_planned(struct restore *restore, struct task *task)
{
	struct planned_task *planned = &restore->tasks[restore->task_count++];

	planned->task = task;
	planned->thread_count = task->thread_count;
	planned->create = batch_create(&restore->arena);
	return planned;
}

/* Does the session fit if `creator` creates it? *early says when. */
static bool session_fits(
	const struct planned_task *creator, const struct task *task, bool *ret_early)
{
	*ret_early = false;
	if (task->sid == task->pid || task->sid == creator->task->sid)
		return true;
	*ret_early = creator->creates_session && task->sid == creator->birth_sid;
	return *ret_early;
}

static bool can_create(const struct restore *restore, const struct planned_task *creator,
	const struct task *task, bool *ret_early)
{
	uint64_t wanted = wanted_flags(restore, task);

	return session_fits(creator, task, ret_early) &&
	       sharing_flags(shared_objects(creator->task, task)) == wanted;
}

static void created_by(struct planned_task *planned, struct planned_task *creator,
	struct planned_task *parent, uint64_t flags, bool early)
{
	planned->creator = creator;
	planned->parent = parent;
	planned->early = early;
	planned->clone_flags = flags | (creator && creator != parent ? CLONE_PARENT : 0);
	planned->birth_sid = !creator ? 0 : early ? creator->birth_sid : creator->task->sid;
	planned->creates_session = planned->task->sid == planned->task->pid;
}

/* A process in the place of a dead one, with the same pid; `sid` as pid makes it a session leader. */
static struct planned_task *add_helper(struct restore *restore, struct planned_task *creator,
	struct planned_task *parent, pid_t pid, pid_t sid, pid_t pgid)
{
	struct task *task = arena_new(&restore->arena, struct task);
	struct planned_task *helper;

	*task = (struct task){.pid = pid, .sid = sid, .pgid = pgid, .state = TASK_HELPER};
	task->threads = arena_new(&restore->arena, struct thread);
	task->threads[0].tid = pid;
	task->thread_count = 1;
	helper = add_planned(restore, task);
	created_by(helper, creator, parent, 0, false);
	if (parent)
		parent->leaves_child = true;
	return helper;
}

static struct planned_task *find_creator(struct restore *restore, struct planned_task *parent,
	const struct task *task, bool *ret_early)
{
	if (can_create(restore, parent, task, ret_early))
		return parent;
	/* A sibling: its parent is the task's. */
	for (size_t i = 0; i < restore->task_count; i++) {
		struct planned_task *sibling = &restore->tasks[i];

		if (sibling->parent == parent && sibling != parent &&
			sibling->task->state != TASK_ZOMBIE && sibling->task->sid == task->sid &&
			can_create(restore, sibling, task, ret_early) && !*ret_early)
			return sibling;
	}
	return NULL;
}

static bool in_images(const struct restore *restore, pid_t pid)
{
	const struct checkpoint *checkpoint = &restore->checkpoint;

	for (size_t i = 0; i < checkpoint->task_count; i++)
		for (size_t t = 0; t < checkpoint->tasks[i]->thread_count; t++)
			if (checkpoint->tasks[i]->threads[t].tid == pid)
				return true;
	return false;
}

static void refuse_task(struct restore *restore, const struct task *task, const char *why)
{
	struct error *problem = problems_add(restore->context.problems);

	error_refuse(problem, ERROR_CONFLICT, "task %d cannot be rebuilt: %s", task->pid, why);
	error_about_task(problem, task->pid);
}

static void plan_child(struct restore *restore, struct planned_task *parent, struct task *task)
{
	bool early = false;
	struct planned_task *creator = find_creator(restore, parent, task, &early);
	uint64_t flags = wanted_flags(restore, task);

	if (!creator && !flags && task->sid && !find_planned(restore, task->sid) &&
		!in_images(restore, task->sid))
		creator = add_helper(restore, parent, parent, task->sid, task->sid, task->sid);
	if (!creator) {
		refuse_task(restore, task,
			flags ? "it shares its address space, descriptors, directory or signal "
				"handlers "
				"with a task that is neither its parent nor its sibling"
			      : "it belongs to a session that neither its parent nor a sibling "
				"belongs to");
		creator = parent;
	}
	created_by(add_planned(restore, task), creator, parent, flags, early);
}

/* The root's session is its own, the caller's (--shell-job), or that of a dead leader. */
static void plan_root(struct restore *restore)
{
	struct task *root = restore->checkpoint.tasks[0];
	struct planned_task *helper = NULL, *planned;

	if (root->sid != root->pid && !restore->context.job->shell_job) {
		if (!root->sid || in_images(restore, root->sid)) {
			refuse_task(restore, root, "its session's leader is outside of the tree");
			error_hint(&restore->context.problems
					    ->items[restore->context.problems->count - 1],
				"--shell-job restores it into your session");
		} else {
			helper = add_helper(restore, NULL, NULL, root->sid, root->sid, root->sid);
		}
	}
	planned = add_planned(restore, root);
	created_by(planned, helper, NULL, 0, false);
	if (!helper)
		planned->birth_sid = root->sid == root->pid ? 0 : root->sid;
}

/* A process group whose leader is dead: a helper leads it until its members have joined. */
static void plan_group(struct restore *restore, size_t index)
{
	const struct task *task = restore->tasks[index].task;
	const struct planned_task *leader = find_planned(restore, task->pgid);
	struct planned_task *self = &restore->tasks[index];

	if (!task->pgid || task->pgid == task->pid || task->state == TASK_HELPER)
		return;
	/* The group that the whole tree was started in, outside of it. */
	if (restore->context.job->shell_job && task->pgid == restore->checkpoint.tasks[0]->pgid &&
		!leader)
		return;
	if (leader) {
		if (leader->task->sid != task->sid)
			refuse_task(restore, task, "its process group belongs to another session");
		return;
	}
	if (in_images(restore, task->pgid)) {
		refuse_task(restore, task, "the leader of its process group is a thread");
		return;
	}
	if (task->state == TASK_ZOMBIE)
		self = self->parent;
	if (!self || self->task->sid != task->sid) {
		refuse_task(restore, task, "no parent belongs to its dead process group's session");
		return;
	}
	add_helper(restore, self, self, task->pgid, task->sid, task->pgid);
}

static void find_owners(struct restore *restore)
{
	for (size_t i = 0; i < restore->task_count; i++) {
		struct planned_task *planned = &restore->tasks[i];
		struct sharing earlier = {};

		for (size_t k = 0; k < i; k++) {
			struct sharing sharing =
				shared_objects(restore->tasks[k].task, planned->task);

			earlier.vm |= sharing.vm;
			earlier.files |= sharing.files;
			earlier.fs |= sharing.fs;
		}
		planned->owns_space = planned->task->space && !earlier.vm;
		planned->owns_files = planned->task->fds && !earlier.files;
		planned->owns_fs = planned->task->ids && !earlier.fs;
	}
}

static void find_page_sharers(struct restore *restore)
{
	for (size_t i = 0; i < restore->task_count; i++) {
		struct planned_task *planned = &restore->tasks[i];

		planned->shares_pages =
			planned->creator && planned->owns_space && planned->creator->owns_space &&
			memory_shares_pages(&restore->context, planned->creator->task->space,
				planned->task->space);
	}
}

int restore_plan_tree(struct restore *restore, struct error *err)
{
	size_t tasks;

	/* Each task may need a helper for its session and one for its group. */
	restore->tasks = arena_array(
		&restore->arena, struct planned_task, restore->checkpoint.task_count * 3 + 1);
	plan_root(restore);
	for (size_t i = 1; i < restore->checkpoint.task_count; i++) {
		struct task *task = restore->checkpoint.tasks[i];

		plan_child(restore, find_planned(restore, task->parent->pid), task);
	}
	tasks = restore->task_count;
	for (size_t i = 0; i < tasks; i++)
		plan_group(restore, i);
	for (size_t i = 0; i < restore->task_count; i++) {
		if (restore->tasks[i].task->state == TASK_ZOMBIE && restore->tasks[i].parent)
			restore->tasks[i].parent->leaves_child = true;
		restore->thread_count += restore->tasks[i].thread_count;
	}
	find_owners(restore);
	find_page_sharers(restore);
	return restore->context.problems->count ? problems_to_error(restore->context.problems, err)
						: 0;
}
