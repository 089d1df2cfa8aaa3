/*
 * Interval timers: getitimer(2), setitimer(2), alarm(2). Three for each task; only the task itself
 * can tell and set them.
 *
 * They stand still while a task is frozen in images: what remained is what remains. Between the
 * stop and the question of a dump ITIMER_REAL runs on, and may expire: then SIGALRM is pending, and
 * since the kernel arms the timer again only when that signal is taken, it reads as 0 with an
 * interval. Such a timer is armed with its interval. (An expired one without interval is off.)
 */
#include <sys/syscall.h>
#include <sys/time.h>

#include "kinds/task/common.h"
#include "kinds/task/rows.h"
#include "kinds/task/timers.h"

#define TIMERS 3 /* ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF */

static ItimerEntry *itimer_of(const TaskTimersEntry *timers, int which)
{
	ItimerEntry *const entries[TIMERS] = {timers->real, timers->virt, timers->prof};

	return entries[which];
}

static int ask(struct dump_context *context, struct thread_source *source, struct batch *batch,
	void **cookie, struct error *err _unused_)
{
	struct itimerval *values;

	if (!source->leader)
		return 0;
	values = arena_array(context->arena, struct itimerval, TIMERS);
	*cookie = values;
	for (int i = 0; i < TIMERS; i++)
		batch_op(batch, "ask for an interval timer", SYS_getitimer, VAL(i),
			OUT(&values[i], sizeof(values[i])));
	return 0;
}

static int answer(struct dump_context *context, struct thread_source *source,
	const struct batch *batch _unused_, void *cookie, struct error *err _unused_)
{
	const struct itimerval *values = cookie;
	TaskTimersEntry *timers;

	if (!source->leader)
		return 0;
	timers = task_timers(context->arena, source->thread->core->tc);
	for (int i = 0; i < TIMERS; i++) {
		ItimerEntry *entry = itimer_of(timers, i);

		entry->isec = (uint64_t)values[i].it_interval.tv_sec;
		entry->iusec = (uint64_t)values[i].it_interval.tv_usec;
		entry->vsec = (uint64_t)values[i].it_value.tv_sec;
		entry->vusec = (uint64_t)values[i].it_value.tv_usec;
	}
	return 0;
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader, struct error *err _unused_)
{
	const TaskCoreEntry *tc = thread->core->tc;

	if (!leader || !tc || !tc->timers)
		return 0;
	for (int i = 0; i < TIMERS; i++) {
		const ItimerEntry *entry = itimer_of(tc->timers, i);

		if (entry->isec > INT64_MAX || entry->vsec > INT64_MAX || entry->iusec >= 1000000 ||
			entry->vusec >= 1000000)
			task_bad_image(context, thread, "interval timer %d is no time", i);
	}
	return 0;
}

static int plan(
	struct restore_context *context, struct thread_plan *plan, struct error *err _unused_)
{
	const TaskCoreEntry *tc = plan_core(plan)->tc;

	if (!task_is_leader(plan) || !tc->timers)
		return 0;
	for (int i = 0; i < TIMERS; i++) {
		const ItimerEntry *entry = itimer_of(tc->timers, i);
		struct itimerval *value;

		if (!entry->vsec && !entry->vusec && !entry->isec && !entry->iusec)
			continue;
		value = arena_new(context->arena, struct itimerval);
		value->it_interval.tv_sec = (time_t)entry->isec;
		value->it_interval.tv_usec = (suseconds_t)entry->iusec;
		value->it_value.tv_sec = (time_t)entry->vsec;
		value->it_value.tv_usec = (suseconds_t)entry->vusec;
		if (!entry->vsec && !entry->vusec)
			value->it_value = value->it_interval;
		batch_op(plan->phases[PHASE_IDENTITY], "start an interval timer", SYS_setitimer,
			VAL(i), IN(value, sizeof(*value)), VAL(0));
	}
	return 0;
}

const struct task_kind itimers_kind = {
	.name = "interval timers",
	.limits = "when a timer whose SIGALRM is pending would have expired next",
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan,
};
