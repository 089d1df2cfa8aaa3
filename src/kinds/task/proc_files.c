/*
 * What is set by writing to a file of one's own in /proc: oom_score_adj, loginuid, coredump_filter.
 *
 * The dump reads them from outside. The task writes them itself: its own /proc entry is found below
 * an inherited descriptor of /proc, since its root may be elsewhere. That happens in PHASE_FILES,
 * before the inherited descriptors are closed.
 *
 * loginuid and coredump_filter that differ and cannot be set are a warning (both belong to audit
 * and to debugging). An oom_score_adj below our own needs CAP_SYS_RESOURCE, and that is found
 * before.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#include "kinds/task/common.h"
#include "kinds/task/rows.h"

#define COREDUMP_FILTER_DEFAULT 0x33
#define COREDUMP_FILTER_MASK    0x1ff

static int look(struct dump_context *context _unused_, struct thread_source *source,
	struct error *err _unused_)
{
	TaskCoreEntry *tc = source->thread->core->tc;
	long long number;

	if (!source->leader)
		return 0;
	/* Each of them can be configured out of the kernel. */
	if (task_read_proc_number(source->pid, 0, "loginuid", 10, &number) == 0) {
		tc->has_loginuid = true;
		tc->loginuid = (uint32_t)number;
	}
	if (task_read_proc_number(source->pid, 0, "oom_score_adj", 10, &number) == 0) {
		tc->has_oom_score_adj = true;
		tc->oom_score_adj = (int32_t)number;
	}
	if (task_read_proc_number(source->pid, 0, "coredump_filter", 16, &number) == 0 &&
		number != COREDUMP_FILTER_DEFAULT) {
		tc->has_coredump_filter = true;
		tc->coredump_filter = (uint32_t)number;
	}
	return 0;
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader, struct error *err _unused_)
{
	const struct own_state *own = task_own_state(context);
	const TaskCoreEntry *tc = thread->core->tc;

	if (!leader || !tc)
		return 0;
	if (tc->has_oom_score_adj && (tc->oom_score_adj < -1000 || tc->oom_score_adj > 1000))
		task_bad_image(context, thread, "an oom_score_adj of %d", tc->oom_score_adj);
	else if (tc->has_oom_score_adj && tc->oom_score_adj < own->oom_score_adj &&
		 !own_capability(own, CAP_SYS_RESOURCE))
		error_hint(
			task_conflict(context, thread, "has oom_score_adj %d, below our own (%lld)",
				tc->oom_score_adj, own->oom_score_adj),
			"run stasis with CAP_SYS_RESOURCE");
	if (tc->has_coredump_filter && tc->coredump_filter & ~(uint32_t)COREDUMP_FILTER_MASK)
		task_bad_image(context, thread, "a coredump_filter of %#x", tc->coredump_filter);
	return 0;
}

static int plan_write(struct restore_context *context, struct batch *batch, uint32_t flags,
	const char *path, const char *value, struct error *err)
{
	int proc = task_proc_fd(context, err);
	int fd;

	if (proc < 0)
		return proc;
	fd = batch_op_flags(batch, flags, path, SYS_openat, VAL(proc), IN(path, strlen(path) + 1),
		VAL(O_WRONLY | O_CLOEXEC));
	batch_op_flags(batch, flags, path, SYS_write, RESULT(fd), IN(value, strlen(value)),
		VAL(strlen(value)));
	batch_op_flags(batch, flags, path, SYS_close, RESULT(fd));
	return 0;
}

/* A task that shares its descriptors with one before it comes too late for the inherited ones. */
static bool shares_descriptors(const struct restore_context *context, const struct task *task)
{
	for (size_t i = 0; context->checkpoint->tasks[i] != task; i++)
		if (context->checkpoint->tasks[i]->fds == task->fds)
			return true;
	return false;
}

static int plan(struct restore_context *context, struct thread_plan *plan, struct error *err)
{
	uint32_t flags = shares_descriptors(context, plan->task) ? OP_ADVISORY : 0;
	const struct own_state *own = task_own_state(context);
	struct batch *batch = plan->phases[PHASE_FILES];
	const TaskCoreEntry *tc = plan_core(plan)->tc;
	uint32_t filter;
	int rc = 0;

	if (!task_is_leader(plan))
		return 0;
	if (tc->has_oom_score_adj && tc->oom_score_adj != own->oom_score_adj)
		rc = plan_write(context, batch, flags, "self/oom_score_adj",
			arena_printf(context->arena, "%d", tc->oom_score_adj), err);
	if (rc == 0 && tc->has_loginuid && own->loginuid != INT64_MIN &&
		tc->loginuid != (uint32_t)own->loginuid)
		rc = plan_write(context, batch, OP_ADVISORY, "self/loginuid",
			arena_printf(context->arena, "%u", tc->loginuid), err);
	filter = tc->has_coredump_filter ? tc->coredump_filter : COREDUMP_FILTER_DEFAULT;
	if (rc == 0 && own->coredump_filter >= 0 && filter != (uint32_t)own->coredump_filter)
		rc = plan_write(context, batch, OP_ADVISORY, "self/coredump_filter",
			arena_printf(context->arena, "%#x", filter), err);
	return rc;
}

const struct task_kind proc_files_kind = {
	.name = "oom_score_adj, loginuid, coredump_filter",
	.look = look,
	.check = check,
	.plan = plan,
};
