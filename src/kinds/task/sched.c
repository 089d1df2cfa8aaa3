/*
 * Scheduling of a thread: policy, priority, nice value, deadline parameters (sched_setattr(2)),
 * CPUs (sched_setaffinity(2)), I/O priority (ioprio_set(2)), timer slack (PR_SET_TIMERSLACK).
 *
 * All but the timer slack is readable from outside. The thread sets its own, in PHASE_IDENTITY and
 * still privileged: the restore itself is not to run at SCHED_IDLE or on one CPU, and a deadline
 * task cannot fork. CPUs first (deadline tasks refuse to be bound later), timer slack last (the
 * kernel resets it when a real-time policy comes or goes).
 *
 * A mask that holds every CPU of the machine says "anywhere" and is not written: a restore then
 * allows all CPUs, however many there are. Another mask that has no CPU here is a warning.
 *
 * A puppet begins with the scheduling of this process; the restore room, should it bind puppets to
 * CPUs, sets them free before PHASE_IDENTITY.
 *
 * Not kept: utilisation clamps and core scheduling cookies.
 */
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kinds/task/common.h"
#include "kinds/task/rows.h"

#define POLICY_EXT 7 /* SCHED_EXT, 6.12 */
/* Those of sched_setattr() that a task keeps: RESET_ON_FORK, RECLAIM, DL_OVERRUN. */
#define KEPT_FLAGS 0x07

#define DEFAULT_SLACK 50000 /* nanoseconds, of init and so of everything */

static void read_affinity(struct dump_context *context, pid_t tid, ThreadCoreEntry *thread)
{
	unsigned char mask[AFFINITY_MAX];
	long size = syscall(SYS_sched_getaffinity, tid, sizeof(mask), mask);

	if (size <= 0 || cpus_are_all(mask, (size_t)size))
		return;
	while (size > 1 && !mask[size - 1])
		size--;
	thread->has_cpu_affinity = true;
	thread->cpu_affinity.len = (size_t)size;
	thread->cpu_affinity.data = arena_memdup(context->arena, mask, (size_t)size);
}

static int look(struct dump_context *context, struct thread_source *source, struct error *err)
{
	ThreadCoreEntry *thread = source->thread->core->thread_core;
	struct deadline_attr attr = {.size = sizeof(attr)};
	long ioprio;

	if (syscall(SYS_sched_getattr, source->tid, &attr, sizeof(attr), 0) < 0)
		return error_set(err, errno, "reading the scheduling of thread %d", source->tid);
	thread->has_sched_policy = true;
	thread->sched_policy = attr.policy;
	thread->has_sched_nice = true;
	thread->sched_nice = attr.nice;
	if (attr.policy == SCHED_FIFO || attr.policy == SCHED_RR) {
		thread->has_sched_prio = true;
		thread->sched_prio = attr.priority;
		/* Kept for the day the thread is an ordinary one again. */
		thread->sched_nice = (int32_t)source->stat->nice;
	}
	if (attr.flags & KEPT_FLAGS) {
		thread->has_sched_flags = true;
		thread->sched_flags = attr.flags & KEPT_FLAGS;
	}
	if (attr.policy == SCHED_DEADLINE) {
		thread->has_deadline_runtime = thread->has_deadline_deadline = true;
		thread->has_deadline_period = true;
		thread->deadline_runtime = attr.runtime;
		thread->deadline_deadline = attr.deadline;
		thread->deadline_period = attr.period;
		thread->sched_nice = (int32_t)source->stat->nice;
	}
	ioprio = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, source->tid);
	/* Before 5.19 the kernel told what follows from the nice value: class 2, level 4. */
	if (ioprio > 0 && ioprio != IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 4)) {
		thread->has_ioprio = true;
		thread->ioprio = (uint32_t)ioprio;
	}
	read_affinity(context, source->tid, thread);
	return 0;
}

static int ask(struct dump_context *context _unused_, struct thread_source *source _unused_,
	struct batch *batch, void **cookie, struct error *err _unused_)
{
	*cookie = (void *)(intptr_t)batch_op_flags(
		batch, OP_ASK, "ask for the timer slack", SYS_prctl, VAL(PR_GET_TIMERSLACK));
	return 0;
}

static int answer(struct dump_context *context _unused_, struct thread_source *source,
	const struct batch *batch, void *cookie, struct error *err _unused_)
{
	ThreadCoreEntry *thread = source->thread->core->thread_core;
	int64_t slack = batch_result(batch, (int)(intptr_t)cookie);

	/* 0 is what real-time threads have. */
	if (slack <= 0 || slack == DEFAULT_SLACK)
		return 0;
	thread->has_timer_slack = true;
	thread->timer_slack = (uint64_t)slack;
	return 0;
}

static bool is_real_time(uint32_t policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE;
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader _unused_, struct error *err _unused_)
{
	const struct own_state *own = task_own_state(context);
	const ThreadCoreEntry *core = thread->core->thread_core;

	if (!core)
		return 0;
	if (core->has_sched_policy && core->sched_policy > POLICY_EXT)
		task_bad_image(
			context, thread, "there is no scheduling policy %u", core->sched_policy);
	else if (core->has_sched_policy && is_real_time(core->sched_policy) &&
		 !own_capability(own, CAP_SYS_NICE))
		error_hint(task_conflict(context, thread,
				   "has a real-time scheduling policy, which we may not set"),
			"run stasis with CAP_SYS_NICE");
	if (core->has_sched_nice && (core->sched_nice < -20 || core->sched_nice > 19))
		task_bad_image(context, thread, "a nice value of %d", core->sched_nice);
	if (core->has_sched_prio && core->sched_prio > 99)
		task_bad_image(context, thread, "a real-time priority of %u", core->sched_prio);
	if (core->has_cpu_affinity &&
		(!core->cpu_affinity.len || core->cpu_affinity.len > AFFINITY_MAX))
		task_bad_image(context, thread, "a CPU mask of %zu bytes", core->cpu_affinity.len);
	if (core->has_ioprio && core->ioprio > UINT16_MAX)
		task_bad_image(context, thread, "an I/O priority of %#x", core->ioprio);
	return 0;
}

static void plan_affinity(
	struct restore_context *context, struct batch *batch, const ThreadCoreEntry *core)
{
	unsigned char *mask;
	size_t size = core->cpu_affinity.len;

	if (core->has_cpu_affinity) {
		/* The kernel reads whole words, and takes a short mask for one that ends in 0. */
		mask = arena_alloc(context->arena, (size + 7) & ~(size_t)7);
		memcpy(mask, core->cpu_affinity.data, size);
		size = (size + 7) & ~(size_t)7;
		batch_op_flags(batch, OP_ADVISORY, "set the CPUs to run on", SYS_sched_setaffinity,
			VAL(0), VAL(size), IN(mask, size));
		return;
	}
	/* Whatever CPU the restore has used. */
	size = AFFINITY_MAX;
	mask = arena_alloc(context->arena, size);
	memset(mask, 0xff, size);
	batch_op_flags(batch, OP_ASK, "run on any CPU", SYS_sched_setaffinity, VAL(0), VAL(size),
		IN(mask, size));
}

static void plan_policy(
	struct restore_context *context, struct batch *batch, const ThreadCoreEntry *core)
{
	struct deadline_attr *attr = arena_new(context->arena, struct deadline_attr);
	uint32_t policy = core->has_sched_policy ? core->sched_policy : SCHED_OTHER;

	/* CRIU writes what sched_getscheduler() returns: a flag may be in it. */
	attr->size = sizeof(*attr);
	attr->policy = policy;
	attr->flags = core->has_sched_flags ? core->sched_flags & KEPT_FLAGS : 0;
	attr->nice = core->has_sched_nice ? core->sched_nice : 0;
	if (policy == SCHED_FIFO || policy == SCHED_RR)
		attr->priority = core->has_sched_prio ? core->sched_prio : 1;
	if (policy == SCHED_DEADLINE) {
		attr->runtime = core->deadline_runtime;
		attr->deadline = core->deadline_deadline;
		attr->period = core->deadline_period;
	}
	/* A real-time thread remembers its nice value, sched_setattr() sets it for others only. */
	if (is_real_time(policy) && attr->nice)
		batch_op(batch, "set the nice value", SYS_setpriority, VAL(0), VAL(0),
			VAL((int64_t)attr->nice));
	batch_op(batch, "set the scheduling policy", SYS_sched_setattr, VAL(0),
		IN(attr, sizeof(*attr)), VAL(0));
}

static bool is_plain(const ThreadCoreEntry *core)
{
	return (!core->has_sched_policy || core->sched_policy == SCHED_OTHER) &&
	       !core->sched_nice && !core->sched_flags && !core->has_cpu_affinity;
}

static int plan(
	struct restore_context *context, struct thread_plan *plan, struct error *err _unused_)
{
	struct batch *batch = plan->phases[PHASE_IDENTITY];
	const ThreadCoreEntry *core = plan_core(plan)->thread_core;

	/* Most threads: a puppet that need not be woken for its identity is time saved. */
	if (!is_plain(core) || !task_own_state(context)->scheduled_plainly) {
		plan_affinity(context, batch, core);
		plan_policy(context, batch, core);
	}
	if (core->has_ioprio)
		batch_op(batch, "set the I/O priority", SYS_ioprio_set, VAL(IOPRIO_WHO_PROCESS),
			VAL(0), VAL(core->ioprio));
	if (core->has_timer_slack)
		batch_op(batch, "set the timer slack", SYS_prctl, VAL(PR_SET_TIMERSLACK),
			VAL(core->timer_slack));
	return 0;
}

const struct task_kind sched_kind = {
	.name = "scheduling",
	.limits = "utilisation clamps and core scheduling cookies are not kept",
	.look = look,
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan,
};
