/*
 * The order is: seize and interrupt every thread that is known, wait for all their stops, look for
 * threads and children that are new, and again, until a round finds none. A stopped task makes nothing
 * new, but orphans may still be handed to it (child subreapers).
 *
 * Until registers are touched (puppet/intrusion.c) we may die here at any instant: the kernel lets go
 * what we hold.
 */
#include "puppet/freeze.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/log.h"
#include "kernel/procfs.h"
#include "puppet/intrusion.h"
#include "puppet/tail.h"

static struct frozen_task *add_task(struct frozen_tree *tree, struct frozen_task *parent, pid_t pid)
{
	struct frozen_task *task = arena_new(tree->arena, struct frozen_task);

	task->pid = pid;
	task->parent = parent;
	tree->tasks = arena_grow(tree->arena, tree->tasks, &tree->capacity, tree->count + 1,
		sizeof(struct frozen_task *));
	tree->tasks[tree->count++] = task;
	return task;
}

static bool has_thread(const struct frozen_task *task, pid_t tid)
{
	/* Newest last, and /proc lists ascending: the usual answer is near the end. */
	for (size_t i = task->thread_count; i-- > 0;)
		if (task->threads[i]->tracee.tid == tid)
			return true;
	return false;
}

static int seize_thread(
	struct frozen_tree *tree, struct frozen_task *task, pid_t tid, struct error *err)
{
	struct frozen_thread *thread = arena_new(tree->arena, struct frozen_thread);
	int rc;

	thread->tracee = (struct tracee){.pid = task->pid, .tid = tid};
	rc = tracee_seize(&thread->tracee, PTRACE_O_TRACESYSGOOD, err);
	if (rc < 0)
		return rc;
	task->threads = arena_grow(tree->arena, task->threads, &task->thread_capacity,
		task->thread_count + 1, sizeof(struct frozen_thread *));
	task->threads[task->thread_count++] = thread;
	return 0;
}

static void forget_thread(struct frozen_task *task, size_t index)
{
	memmove(&task->threads[index], &task->threads[index + 1],
		(task->thread_count - index - 1) * sizeof(struct frozen_thread *));
	task->thread_count--;
}

/* Seizes what is new. Returns how many threads were, or a negative errno. */
static int seize_new_threads(struct frozen_tree *tree, struct frozen_task *task, struct error *err)
{
	_cleanup_(free_ptr) pid_t *tids = NULL;
	size_t count, before = task->thread_count;
	int found = 0, rc;

	rc = procfs_read_threads(task->pid, &tids, &count, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < count; i++) {
		if (before && has_thread(task, tids[i]))
			continue;
		rc = seize_thread(tree, task, tids[i], err);
		if (rc == -ESRCH)
			continue; /* ended meanwhile, or a zombie: the caller looks */
		if (rc < 0)
			return rc;
		found++;
	}
	return found;
}

static int explain_timeout(const struct tracee *tracee, struct error *err)
{
	struct proc_stat stat;
	struct error ignored = ERROR_INIT;

	if (procfs_read_stat(tracee->pid, tracee->tid, &stat, &ignored) == 0 && stat.state == 'D') {
		error_refuse(err, ERROR_CANNOT_DUMP,
			"task %d, thread %d (%s) is in an uninterruptible wait: it waits for a "
			"device, or "
			"for its vfork child to exec or exit",
			tracee->pid, tracee->tid, stat.comm);
		error_about_task(err, tracee->pid);
		error_hint(err, "try again later, or wait longer with --timeout");
	}
	return -ETIMEDOUT;
}

static int wait_threads(struct frozen_task *task, int64_t deadline_ms, struct error *err)
{
	for (size_t i = 0; i < task->thread_count;) {
		struct tracee *tracee = &task->threads[i]->tracee;
		int rc = 0;

		if (tracee->state == TRACEE_RUNNING)
			rc = tracee_wait_stop(tracee, deadline_ms, err);
		if (rc == -ETIMEDOUT)
			return explain_timeout(tracee, err);
		if (tracee->state == TRACEE_GONE) {
			forget_thread(task, i);
			continue;
		}
		if (rc < 0)
			return rc;
		i++;
	}
	return 0;
}

/* A task none of whose threads could be seized: a zombie, or gone altogether. */
static int look_at_dead(struct frozen_task *task, struct error *err)
{
	struct proc_stat stat;
	int rc = procfs_read_stat(task->pid, task->pid, &stat, err);

	if (rc < 0)
		return rc;
	if (stat.state != 'Z')
		return error_set(err, ESRCH, "task %d is ending", task->pid);
	task->zombie = true;
	task->exit_code = stat.exit_code;
	return 0;
}

static int check_leader(struct frozen_task *task, struct error *err)
{
	for (size_t i = 0; i < task->thread_count; i++) {
		struct frozen_thread *thread = task->threads[i];

		if (thread->tracee.tid != task->pid)
			continue;
		task->threads[i] = task->threads[0];
		task->threads[0] = thread;
		return 0;
	}
	error_refuse(err, ERROR_CANNOT_DUMP,
		"task %d: its main thread has ended (pthread_exit) while %zu other threads live",
		task->pid, task->thread_count);
	error_about_task(err, task->pid);
	error_hint(err, "the kernel offers no way to rebuild such a task: let main() wait instead");
	return -EINVAL;
}

static bool has_task(const struct frozen_tree *tree, pid_t pid)
{
	for (size_t i = 0; i < tree->count; i++)
		if (tree->tasks[i]->pid == pid)
			return true;
	return false;
}

/* A task that ended, and was reaped, before its parent stopped was never there. The root was. */
static void forget_task(struct frozen_tree *tree, size_t index)
{
	memmove(&tree->tasks[index], &tree->tasks[index + 1],
		(tree->count - index - 1) * sizeof(struct frozen_task *));
	tree->count--;
}

/* Asks every thread of the tree that was not seen yet to stop. Returns how many there were. */
static int seize_new(struct frozen_tree *tree, struct error *err)
{
	int found = 0;

	for (size_t i = 0; i < tree->count;) {
		int rc = tree->tasks[i]->zombie ? 0 : seize_new_threads(tree, tree->tasks[i], err);

		if (rc == -ESRCH && i) {
			forget_task(tree, i);
			continue;
		}
		if (rc < 0)
			return rc;
		found += rc;
		i++;
	}
	return found;
}

/* Waits for all of them; who has no thread left is a zombie or gone. */
static int wait_all(struct frozen_tree *tree, int64_t deadline_ms, struct error *err)
{
	for (size_t i = 0; i < tree->count;) {
		struct frozen_task *task = tree->tasks[i];
		int rc = wait_threads(task, deadline_ms, err);

		if (rc == 0 && !task->thread_count && !task->zombie)
			rc = look_at_dead(task, err);
		if (rc == -ESRCH && i) {
			forget_task(tree, i);
			continue;
		}
		if (rc < 0)
			return rc;
		i++;
	}
	return 0;
}

/* Lists the children of everything. Returns how many were new. */
static int add_new_children(struct frozen_tree *tree, struct error *err)
{
	int found = 0;

	for (size_t i = 0; i < tree->count; i++) {
		struct frozen_task *parent = tree->tasks[i];
		_cleanup_(free_ptr) pid_t *pids = NULL;
		size_t count = 0;
		int rc = parent->zombie ? 0 : procfs_read_children(parent->pid, &pids, &count, err);

		if (rc < 0)
			return rc;
		for (size_t k = 0; k < count; k++) {
			if (has_task(tree, pids[k]))
				continue;
			add_task(tree, parent, pids[k])->ppid = parent->pid;
			found++;
		}
	}
	return found;
}

/* Rounds over the whole tree, until one finds neither a new thread nor a new task. */
static int freeze_all(struct frozen_tree *tree, int64_t deadline_ms, struct error *err)
{
	for (;;) {
		int threads = seize_new(tree, err), children, rc;

		if (threads < 0)
			return threads;
		rc = wait_all(tree, deadline_ms, err);
		if (rc < 0)
			return rc;
		children = add_new_children(tree, err);
		if (children < 0)
			return children;
		if (!threads && !children)
			return 0;
	}
}

/* The leader comes first; a task whose leader has ended has none. */
static int check_leaders(struct frozen_tree *tree, struct error *err)
{
	for (size_t i = 0; i < tree->count; i++) {
		int rc = tree->tasks[i]->zombie ? 0 : check_leader(tree->tasks[i], err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_thread(struct arena *arena, struct frozen_thread *thread, struct error *err)
{
	static unsigned char buffer[XSAVE_MAX];
	struct thread_registers *registers = &thread->registers;
	int rc = tracee_get_registers(&thread->tracee, &registers->general, err);

	if (rc < 0)
		return rc;
	registers->xsave_size = sizeof(buffer);
	rc = tracee_get_xsave(&thread->tracee, buffer, &registers->xsave_size, err);
	if (rc < 0)
		return rc;
	registers->xsave = arena_memdup(arena, buffer, registers->xsave_size);
	return tracee_get_mask(&thread->tracee, &registers->signal_mask, err);
}

static int read_registers(struct frozen_tree *tree, struct error *err)
{
	for (size_t i = 0; i < tree->count; i++)
		for (size_t k = 0; k < tree->tasks[i]->thread_count; k++) {
			int rc = read_thread(tree->arena, tree->tasks[i]->threads[k], err);

			if (rc < 0)
				return rc;
		}
	return 0;
}

static int freeze_once(struct arena *arena, pid_t root, int64_t deadline_ms,
	struct frozen_tree *ret_tree, struct error *err)
{
	struct frozen_tree tree = {.arena = arena};
	struct frozen_task *task = add_task(&tree, NULL, root);
	int rc = freeze_all(&tree, deadline_ms, err);

	if (rc == 0 && task->zombie) {
		rc = error_refuse(
			err, ERROR_GONE, "task %d is a zombie: it has already ended", root);
		error_about_task(err, root);
	}
	if (rc == 0)
		rc = check_leaders(&tree, err);
	if (rc < 0) {
		freeze_release(&tree, false);
		return error_wrap(err, rc, "freezing the tree of %d", root);
	}
	*ret_tree = tree;
	return 0;
}

/* Is a thread still on its way home from a dump or restore whose conductor died? Then it stands in the
 * tail of its vdso page; the offset in the page rules nearly all others out without a look. */
static bool is_healing(const struct frozen_tree *tree)
{
	size_t tail = MIN(tail_size(), (size_t)PAGE_SIZE);

	for (size_t i = 0; i < tree->count; i++)
		for (size_t k = 0; k < tree->tasks[i]->thread_count; k++) {
			const struct frozen_thread *thread = tree->tasks[i]->threads[k];
			uint64_t rip = thread->registers.general.rip, size;
			struct error ignored = ERROR_INIT;
			raddr start;

			if (rip % PAGE_SIZE < PAGE_SIZE - tail)
				continue;
			if (tail_vdso(tree->tasks[i]->pid, &start, &size, &ignored) == 0 &&
				tail_contains(start, size, rip))
				return true;
		}
	return false;
}

int freeze_tree(struct arena *arena, pid_t root, int64_t deadline_ms, struct frozen_tree *ret_tree,
	struct error *err)
{
	for (;;) {
		struct frozen_tree tree;
		int rc = freeze_once(arena, root, deadline_ms, &tree, err);

		if (rc < 0)
			return rc;
		rc = read_registers(&tree, err);
		if (rc == 0 && !is_healing(&tree)) {
			*ret_tree = tree;
			return 0;
		}
		freeze_release(&tree, false);
		if (rc < 0)
			return error_wrap(err, rc, "freezing the tree of %d", root);
		if (deadline_ms && now_ms() > deadline_ms) {
			rc = error_refuse(err, ERROR_TIMEOUT,
				"a thread of the tree of %d does not come back from a dump that "
				"was killed",
				root);
			error_about_task(err, root);
			return rc;
		}
		usleep(1000);
	}
}

/* A thread that was asked to stop but never did must stop once before it can be detached; if it does
 * not, our own end lets it go. */
static void release_thread(struct frozen_thread *thread)
{
	struct error ignored = ERROR_INIT;

	if (thread->tracee.state == TRACEE_RUNNING &&
		tracee_wait_stop(&thread->tracee, now_ms() + 1000, &ignored) < 0)
		return;
	if (thread->tracee.state == TRACEE_STOPPED)
		tracee_detach(&thread->tracee, &ignored);
}

void freeze_release(struct frozen_tree *tree, bool stopped)
{
	for (size_t i = 0; i < tree->count; i++) {
		struct frozen_task *task = tree->tasks[i];

		intrusion_end(task);
		/* DETACH with SIGSTOP is ignored in an event stop: it must be pending before. */
		if (stopped && !task->zombie)
			kill(task->pid, SIGSTOP);
	}
	for (size_t i = 0; i < tree->count; i++)
		for (size_t k = 0; k < tree->tasks[i]->thread_count; k++)
			release_thread(tree->tasks[i]->threads[k]);
	tree->count = 0;
}

/* The checkpoint is committed: a tree that is ended in part would be lost, so it is tried until it is
 * done. */
static void kill_task(const struct frozen_task *task)
{
	for (int tries = 0; tries < 1000; tries++) {
		if (kill(task->pid, SIGKILL) == 0 || errno == ESRCH)
			return;
		log_warn("ending task %d: %s", task->pid, strerrordesc_np(errno));
		usleep(1000);
	}
}

void freeze_kill(struct frozen_tree *tree)
{
	for (size_t i = 0; i < tree->count; i++)
		if (!tree->tasks[i]->zombie)
			kill_task(tree->tasks[i]);
	for (size_t i = 0; i < tree->count; i++)
		intrusion_abandon(tree->tasks[i]);
	/* As tracer we are told of every thread's end, in any order; a pid-namespace init ends only
	 * after all others were waited for. The zombies among the tree go with their parents. */
	for (size_t left = 1; left;) {
		left = 0;
		for (size_t i = 0; i < tree->count; i++)
			for (size_t k = tree->tasks[i]->thread_count; k-- > 0;) {
				struct tracee *tracee = &tree->tasks[i]->threads[k]->tracee;

				if (tracee->state == TRACEE_GONE)
					continue;
				tracee_poll(tracee);
				if (tracee->state != TRACEE_GONE)
					left++;
			}
		if (left)
			tracing_sleep(1000);
	}
}
