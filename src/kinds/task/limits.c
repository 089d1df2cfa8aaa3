/*
 * Resource limits, getrlimit(2): sixteen for each task.
 *
 * The task itself is asked: prlimit(2) of another user's task needs CAP_SYS_RESOURCE, asking for
 * one's own needs nothing. It sets them itself too, as one of its last acts, so that the restore is
 * not bound by them, and before it gives up its privileges.
 *
 * A hard limit above that of this process needs CAP_SYS_RESOURCE; RLIMIT_NOFILE above fs.nr_open
 * cannot be had at all. Both are found before anything is touched.
 */
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "kinds/task/common.h"
#include "kinds/task/rows.h"

static const char *const names[RLIM_NLIMITS] = {
	[RLIMIT_CPU] = "RLIMIT_CPU",
	[RLIMIT_FSIZE] = "RLIMIT_FSIZE",
	[RLIMIT_DATA] = "RLIMIT_DATA",
	[RLIMIT_STACK] = "RLIMIT_STACK",
	[RLIMIT_CORE] = "RLIMIT_CORE",
	[RLIMIT_RSS] = "RLIMIT_RSS",
	[RLIMIT_NPROC] = "RLIMIT_NPROC",
	[RLIMIT_NOFILE] = "RLIMIT_NOFILE",
	[RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK",
	[RLIMIT_AS] = "RLIMIT_AS",
	[RLIMIT_LOCKS] = "RLIMIT_LOCKS",
	[RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING",
	[RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE",
	[RLIMIT_NICE] = "RLIMIT_NICE",
	[RLIMIT_RTPRIO] = "RLIMIT_RTPRIO",
	[RLIMIT_RTTIME] = "RLIMIT_RTTIME",
};

static int ask(struct dump_context *context, struct thread_source *source, struct batch *batch,
	void **cookie, struct error *err _unused_)
{
	struct rlimit64 *limits;

	if (!source->leader)
		return 0;
	limits = arena_array(context->arena, struct rlimit64, RLIM_NLIMITS);
	*cookie = limits;
	for (int i = 0; i < RLIM_NLIMITS; i++)
		batch_op(batch, names[i], SYS_prlimit64, VAL(0), VAL(i), VAL(0),
			OUT(&limits[i], sizeof(limits[i])));
	return 0;
}

static int answer(struct dump_context *context, struct thread_source *source,
	const struct batch *batch _unused_, void *cookie, struct error *err _unused_)
{
	const struct rlimit64 *limits = cookie;
	TaskRlimitsEntry *entry;
	RlimitEntry *entries;

	if (!source->leader)
		return 0;
	entry = arena_new(context->arena, TaskRlimitsEntry);
	task_rlimits_entry__init(entry);
	entries = arena_array(context->arena, RlimitEntry, RLIM_NLIMITS);
	entry->rlimits = arena_array(context->arena, RlimitEntry *, RLIM_NLIMITS);
	entry->n_rlimits = RLIM_NLIMITS;
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		rlimit_entry__init(&entries[i]);
		entries[i].cur = limits[i].rlim_cur;
		entries[i].max = limits[i].rlim_max;
		entry->rlimits[i] = &entries[i];
	}
	source->thread->core->tc->rlimits = entry;
	return 0;
}

static const TaskRlimitsEntry *limits_of(const CoreEntry *core)
{
	return core->tc ? core->tc->rlimits : NULL;
}

static void check_limit(struct restore_context *context, const struct thread *thread, int which,
	const RlimitEntry *limit)
{
	const struct own_state *own = task_own_state(context);

	if (limit->cur > limit->max)
		task_bad_image(context, thread, "%s is above its own hard limit", names[which]);
	else if (limit->max > own->limits[which].rlim_max && !own_capability(own, CAP_SYS_RESOURCE))
		error_hint(task_conflict(context, thread,
				   "has the hard limit %llu for %s, above our own (%llu)",
				   (unsigned long long)limit->max, names[which],
				   (unsigned long long)own->limits[which].rlim_max),
			"run stasis with CAP_SYS_RESOURCE, or with this limit raised (ulimit, "
			"prlimit)");
	else if (which == RLIMIT_NOFILE && limit->max > own->nr_open)
		error_hint(
			task_conflict(context, thread,
				"has the hard limit %llu for RLIMIT_NOFILE, above fs.nr_open "
				"(%llu)",
				(unsigned long long)limit->max, (unsigned long long)own->nr_open),
			"raise the sysctl fs.nr_open to %llu", (unsigned long long)limit->max);
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader, struct error *err _unused_)
{
	const TaskRlimitsEntry *limits = limits_of(thread->core);

	if (!leader || !limits)
		return 0;
	if (limits->n_rlimits > RLIM_NLIMITS) {
		task_bad_image(context, thread, "%zu resource limits, there are only %d",
			limits->n_rlimits, RLIM_NLIMITS);
		return 0;
	}
	for (size_t i = 0; i < limits->n_rlimits; i++)
		check_limit(context, thread, (int)i, limits->rlimits[i]);
	return 0;
}

static int plan(
	struct restore_context *context, struct thread_plan *plan, struct error *err _unused_)
{
	const TaskRlimitsEntry *limits = limits_of(plan_core(plan));

	if (!task_is_leader(plan) || !limits)
		return 0;
	for (size_t i = 0; i < limits->n_rlimits; i++) {
		struct rlimit64 *limit = arena_new(context->arena, struct rlimit64);

		limit->rlim_cur = limits->rlimits[i]->cur;
		limit->rlim_max = limits->rlimits[i]->max;
		batch_op(plan->phases[PHASE_IDENTITY], names[i], SYS_prlimit64, VAL(0), VAL(i),
			IN(limit, sizeof(*limit)), VAL(0));
	}
	return 0;
}

const struct task_kind limits_kind = {
	.name = "resource limits",
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan,
};
