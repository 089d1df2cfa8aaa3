/*
 * The name of a thread (/proc/PID/task/TID/comm, PR_SET_NAME): up to 15 bytes of anything but NUL,
 * valid UTF-8 or not.
 */
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kinds/task/common.h"
#include "kinds/task/rows.h"

#define COMM_SIZE 16 /* TASK_COMM_LEN, with the NUL */

static int look(
	struct dump_context *context, struct thread_source *source, struct error *err _unused_)
{
	CoreEntry *core = source->thread->core;

	core->thread_core->comm = arena_strdup(context->arena, source->stat->comm);
	if (source->leader)
		core->tc->comm = core->thread_core->comm;
	return 0;
}

/* Images before CRIU 3.12 have the leader's only, in tc. */
static const char *comm_of(const CoreEntry *core)
{
	if (core->thread_core && core->thread_core->comm)
		return core->thread_core->comm;
	return core->tc ? core->tc->comm : NULL;
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader _unused_, struct error *err _unused_)
{
	const char *comm = comm_of(thread->core);

	if (comm && strlen(comm) >= COMM_SIZE)
		task_bad_image(context, thread, "a name of %zu bytes", strlen(comm));
	return 0;
}

static int plan(
	struct restore_context *context, struct thread_plan *plan, struct error *err _unused_)
{
	const char *comm = comm_of(plan_core(plan));
	char *padded;

	if (!comm)
		return 0;
	padded = arena_alloc(context->arena, COMM_SIZE);
	memcpy(padded, comm, strlen(comm));
	batch_op(plan->phases[PHASE_STATE], "set the name", SYS_prctl, VAL(PR_SET_NAME),
		IN(padded, COMM_SIZE));
	return 0;
}

const struct task_kind names_kind = {
	.name = "names",
	.look = look,
	.check = check,
	.plan = plan,
};
