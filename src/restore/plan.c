/* Compiling the checkpoint to batches. Nothing exists yet, nothing is created here. */
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kinds/file/collect.h"
#include "kinds/task/restart.h"
#include "memory/memory.h"
#include "restore/internal.h"

const char *const phase_names[PHASE_COUNT] = {
	[PHASE_MAP] = "map",
	[PHASE_MAP_LATE] = "map-late",
	[PHASE_FILES] = "files",
	[PHASE_STATE] = "state",
	[PHASE_IDENTITY] = "identity",
};

/* Every thread gets a puppet, numbered in the order of the plan; the first is born, so ring 0 is its. */
static void number_puppets(struct restore *restore)
{
	struct puppets *puppets = &restore->puppets;
	size_t ring = 0;

	puppets->all = arena_array(&restore->arena, struct puppet, restore->thread_count);
	puppets->count = restore->thread_count;
	puppets->stage = &restore->stage;
	for (size_t i = 0; i < restore->task_count; i++) {
		struct planned_task *planned = &restore->tasks[i];

		planned->threads =
			arena_array(&restore->arena, struct planned_thread, planned->thread_count);
		for (size_t t = 0; t < planned->thread_count; t++) {
			struct planned_thread *thread = &planned->threads[t];

			thread->puppet = &puppets->all[ring];
			*thread->puppet = (struct puppet){
				.tracee = {.pid = planned->task->pid,
					.tid = planned->task->threads[t].tid},
				.ring = ring++,
				.is_process = t == 0,
			};
			thread->plan.task = planned->task;
			thread->plan.thread = t;
			for (int phase = 0; phase < PHASE_COUNT; phase++)
				thread->plan.phases[phase] = batch_create(&restore->arena);
		}
		if (planned->creator && planned->creator != planned->parent)
			planned->creator->threads[0].puppet->makes_siblings = true;
	}
}

static void append(struct batch *to, const struct batch *from)
{
	size_t base = to->count;

	for (size_t i = 0; i < from->count; i++) {
		int op = batch_add(to, from->ops[i].what, from->ops[i].nr, from->ops[i].flags,
			from->ops[i].args);

		to->ops[op].expected = from->ops[i].expected;
		to->ops[op].nested = from->ops[i].nested;
		for (int k = 0; k < 6; k++)
			if (to->ops[op].args[k].kind == OP_ARG_RESULT)
				to->ops[op].args[k].value += base;
	}
}

static void plan_forks(
	struct restore *restore, struct planned_task *creator, bool early, bool shares_pages)
{
	for (size_t i = 0; i < restore->task_count; i++) {
		struct planned_task *child = &restore->tasks[i];

		if (child->creator != creator || child->early != early ||
			child->shares_pages != shares_pages)
			continue;
		puppet_plan_clone(creator->create, child->threads[0].puppet, child->task->pid,
			child->clone_flags,
			arena_printf(&restore->arena, "create task %d", child->task->pid));
	}
}

static bool has_early_sharers(const struct restore *restore, const struct planned_task *creator)
{
	for (size_t i = 0; i < restore->task_count; i++)
		if (restore->tasks[i].creator == creator && restore->tasks[i].early &&
			restore->tasks[i].shares_pages)
			return true;
	return false;
}

/* Children that share no pages are forked while there are none: forking a large task costs time for
 * every page. */
static void plan_creation(struct restore *restore, struct planned_task *planned)
{
	const struct batch *map = planned->threads[0].plan.phases[PHASE_MAP];
	bool mapped = false;

	plan_forks(restore, planned, true, false);
	if (has_early_sharers(restore, planned)) {
		append(planned->create, map);
		mapped = true;
		plan_forks(restore, planned, true, true);
	}
	if (planned->creates_session)
		batch_op(planned->create, "make a session", SYS_setsid);
	plan_forks(restore, planned, false, false);
	if (!mapped)
		append(planned->create, map);
	plan_forks(restore, planned, false, true);
}

static void plan_groups(struct restore *restore, struct planned_task *planned)
{
	const struct task *task = planned->task;

	planned->group_leader = batch_create(&restore->arena);
	planned->group_member = batch_create(&restore->arena);
	if (!task->pgid)
		return;
	if (task->pgid == task->pid) {
		if (!planned->creates_session)
			batch_op(planned->group_leader, "lead a process group", SYS_setpgid, VAL(0),
				VAL(0));
		return;
	}
	for (size_t i = 0; i < restore->task_count; i++)
		if (restore->tasks[i].task->pid == task->pgid)
			batch_op(planned->group_member, "join its process group", SYS_setpgid,
				VAL(0), VAL(task->pgid));
}

/* How a zombie died, exactly: by exit or by signal. A core dump flag cannot be had without a core. */
static void plan_end(struct restore *restore, struct planned_task *planned)
{
	const CoreEntry *core = planned->task->threads[0].core;
	uint64_t *none = arena_new(&restore->arena, uint64_t);
	int status = 0;

	planned->end = batch_create(&restore->arena);
	if (planned->task->state == TASK_ZOMBIE) {
		status = (int)core->tc->exit_code;
		batch_op(planned->end, "take its name", SYS_prctl, VAL(PR_SET_NAME),
			IN(core->tc->comm, strlen(core->tc->comm) + 1));
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) <= 64) {
		struct rlimit *no_core = arena_new(&restore->arena, struct rlimit);

		batch_op(planned->end, "write no core", SYS_prlimit64, VAL(0), VAL(RLIMIT_CORE),
			IN(no_core, sizeof(*no_core)));
		batch_op(planned->end, "choose its death", SYS_kill, VAL(planned->task->pid),
			VAL(WTERMSIG(status)));
	}
	batch_op(planned->end, "unblock all signals", SYS_rt_sigprocmask, VAL(SIG_SETMASK),
		IN(none, sizeof(*none)), VAL(0), VAL(sizeof(*none)));
	batch_op(planned->end, "end", SYS_exit_group, VAL(WEXITSTATUS(status)));
}

/* The dead helpers are waited for by their parents, and SIGCHLD of helpers and zombies is taken out
 * before the task's own pending signals are put in. */
static void plan_reaping(struct restore *restore, struct planned_task *planned)
{
	uint64_t *child_signal = arena_new(&restore->arena, uint64_t);
	uint64_t *no_time = arena_array(&restore->arena, uint64_t, 2);

	planned->reap = batch_create(&restore->arena);
	if (!planned->leaves_child)
		return;
	*child_signal = (uint64_t)1 << (SIGCHLD - 1);
	for (size_t i = 0; i < restore->task_count; i++)
		if (restore->tasks[i].parent == planned &&
			restore->tasks[i].task->state == TASK_HELPER)
			batch_op(planned->reap, "reap a helper", SYS_wait4,
				VAL(restore->tasks[i].task->pid), VAL(0), VAL(__WALL), VAL(0));
	batch_op_flags(planned->reap, OP_ASK, "take the signal of its children's end",
		SYS_rt_sigtimedwait, IN(child_signal, 8), VAL(0), IN(no_time, 16), VAL(8));
}

static void plan_threads(struct restore *restore, struct planned_task *planned)
{
	const uint64_t flags =
		CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

	planned->clone_threads = batch_create(&restore->arena);
	for (size_t t = 1; t < planned->thread_count; t++)
		puppet_plan_clone(planned->clone_threads, planned->threads[t].puppet,
			planned->task->threads[t].tid, flags,
			arena_printf(&restore->arena, "create thread %d",
				planned->task->threads[t].tid));
}

static int plan_memory(struct restore *restore, struct planned_task *planned, struct error *err)
{
	const struct stage *stage = &restore->stage;
	struct memory_host host = {
		.keep_start = stage->start,
		.keep_end = stage->end,
		.vdso_parked = stage->vdso,
		.vvar_size = stage->vvar_size,
		.vdso_size = stage->vdso_size,
		.inherited = planned->shares_pages ? planned->creator->task->space : NULL,
	};

	return memory_plan(&restore->context, &planned->threads[0].plan, &host, err);
}

static int plan_files(struct restore *restore, struct planned_task *planned, struct error *err)
{
	struct thread_plan *plan = &planned->threads[0].plan;
	struct batch *batch = plan->phases[PHASE_FILES];
	unsigned int base = (unsigned int)restore->context.inherited_base;
	int rc = 0;

	if (planned->owns_fs)
		rc = files_plan_fs(&restore->context, plan, err);
	if (rc < 0 || !planned->owns_files)
		return rc;
	/* What we had open ourselves below the inherited numbers is not the tree's. */
	batch_op(batch, "close what was ours", SYS_close_range, VAL(0), VAL(base - 1), VAL(0));
	rc = files_plan_table(&restore->context, plan, err);
	if (rc == 0)
		batch_op(batch, "close the inherited descriptors", SYS_close_range, VAL(base),
			VAL(~0U), VAL(0));
	return rc;
}

static int plan_kinds(struct restore *restore, struct planned_task *planned, struct error *err)
{
	for (size_t t = 0; t < planned->thread_count; t++)
		for (size_t k = 0; task_kinds[k]; k++) {
			int rc = 0;

			if (task_kinds[k]->plan)
				rc = task_kinds[k]->plan(
					&restore->context, &planned->threads[t].plan, err);
			if (rc < 0)
				return error_wrap(err, rc, "planning the %s of task %d",
					task_kinds[k]->name, planned->task->pid);
		}
	return 0;
}

static int plan_task(struct restore *restore, struct planned_task *planned, struct error *err)
{
	int rc = 0;

	if (planned->task->state == TASK_HELPER || planned->task->state == TASK_ZOMBIE)
		plan_end(restore, planned);
	else
		rc = plan_kinds(restore, planned, err);
	if (rc == 0 && planned->owns_space)
		rc = plan_memory(restore, planned, err);
	if (rc == 0 && planned->task->fds)
		rc = plan_files(restore, planned, err);
	if (rc < 0)
		return rc;
	plan_groups(restore, planned);
	plan_reaping(restore, planned);
	plan_threads(restore, planned);
	return 0;
}

int restore_plan(struct restore *restore, struct error *err)
{
	int rc = 0;

	number_puppets(restore);
	for (size_t i = 0; i < restore->task_count; i++)
		if (restore->tasks[i].task->threads[0].core &&
			restore->tasks[i].task->threads[0].core->thread_core)
			for (size_t t = 0; t < restore->tasks[i].thread_count; t++) {
				const ThreadCoreEntry *core =
					restore->tasks[i].task->threads[t].core->thread_core;

				if (core->has_seccomp_mode && core->seccomp_mode)
					restore->puppets.suspend_seccomp = true;
			}
	for (size_t i = 0; rc == 0 && i < restore->task_count; i++)
		rc = plan_task(restore, &restore->tasks[i], err);
	for (size_t i = 0; rc == 0 && i < restore->task_count; i++)
		plan_creation(restore, &restore->tasks[i]);
	return rc;
}

static void print_batch(const struct batch *batch, const char *title, FILE *out)
{
	if (!batch || !batch->count)
		return;
	fprintf(out, "  %s\n", title);
	for (size_t i = 0; i < batch->count; i++) {
		fputs("    ", out);
		batch_print_op(&batch->ops[i], out);
	}
}

void restore_print_plan(const struct restore *restore, FILE *out)
{
	for (size_t i = 0; i < restore->task_count; i++) {
		const struct planned_task *planned = &restore->tasks[i];

		fprintf(out, "%s %d\n", planned->task->state == TASK_HELPER ? "helper" : "task",
			planned->task->pid);
		print_batch(planned->create, "create", out);
		print_batch(planned->group_leader, "group", out);
		print_batch(planned->group_member, "group", out);
		print_batch(planned->end, "end", out);
		print_batch(planned->reap, "reap", out);
		print_batch(planned->clone_threads, "threads", out);
		for (size_t t = 0; t < planned->thread_count; t++) {
			if (t)
				fprintf(out, " thread %d\n", planned->task->threads[t].tid);
			for (int phase = PHASE_MAP_LATE; phase < PHASE_COUNT; phase++)
				print_batch(planned->threads[t].plan.phases[phase],
					phase_names[phase], out);
		}
	}
}
