/*
 * POSIX timers, timer_create(2).
 *
 * /proc/PID/timers lists them from outside (id, signal, value, whom to notify, clock); how long
 * they have to go and the overrun count only the task can ask (timer_gettime, timer_getoverrun).
 * The time that remains is kept, on every clock: timers stand still while a task is frozen.
 *
 * Ids: since 6.15 a task may name the id it wants (PR_TIMER_CREATE_RESTORE_IDS). Before, ids of a
 * new task count up from 0, and those in between are made and deleted again.
 *
 * A timer whose signal is pending: the signal is the timer's own entry in the queue, and a periodic
 * timer begins to count again only when it is taken. So the signal is not queued by hand: the timer
 * is armed to expire at once, and sends it.
 *
 * The overrun of the signal taken last (timer_getoverrun) can only be made by overruns: the timer
 * is started, left alone for so many intervals, and its signal taken. Where that would take long it
 * is started with an absolute time in the past; that is exact as long as the restore is faster than
 * half an interval. Starting, waiting and taking happen in PHASE_STATE, everything else is armed in
 * PHASE_IDENTITY, as late as possible.
 *
 * Not kept: overruns that a pending signal has piled up but nobody has taken (no interface tells
 * them; they begin again from 0); the overrun of timers on the clocks of CPU time and
 * CLOCK_REALTIME beyond a quarter of a second, and of those that signal a thread other than the
 * leader; that a time was absolute (TIMER_ABSTIME on CLOCK_REALTIME follows settings of the clock);
 * whose clock CLOCK_THREAD_CPUTIME_ID was, if not the leader's or that of the thread to notify.
 */
#include "kinds/task/timers.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "kernel/uapi.h"
#include "kinds/task/common.h"
#include "kinds/task/rows.h"
#include "kinds/task/signals.h"

#define NSEC_PER_SEC 1000000000ULL

/* Longest real wait for overruns. */
#define OVERRUN_WAIT (NSEC_PER_SEC / 4)
/* From this interval on the phase of a pending timer is worth keeping. */
#define PHASE_MATTERS NSEC_PER_SEC
/* Kernels before 6.15: ids up to here are reached by counting. */
#define COUNTED_IDS 4096

/* CLOCK_THREAD_CPUTIME_ID as the kernel keeps it: of whoever made the timer. */
#define OWN_THREAD_CLOCK  ((int32_t)-2)
#define THREAD_CLOCK(tid) ((int32_t)((~(uint32_t)(tid) << 3) | 4 | 2))

struct kernel_sigevent {
	uint64_t value;
	int32_t signo, notify, tid;
	char padding[44];
};
_Static_assert(sizeof(struct kernel_sigevent) == 64, "sigevent");

TaskTimersEntry *task_timers(struct arena *arena, TaskCoreEntry *tc)
{
	TaskTimersEntry *timers = tc->timers;

	if (timers)
		return timers;
	timers = arena_new(arena, TaskTimersEntry);
	task_timers_entry__init(timers);
	timers->real = arena_new(arena, ItimerEntry);
	timers->virt = arena_new(arena, ItimerEntry);
	timers->prof = arena_new(arena, ItimerEntry);
	itimer_entry__init(timers->real);
	itimer_entry__init(timers->virt);
	itimer_entry__init(timers->prof);
	tc->timers = timers;
	return timers;
}

static int by_id(const void *a, const void *b)
{
	const PosixTimerEntry *x = *(PosixTimerEntry *const *)a;
	const PosixTimerEntry *y = *(PosixTimerEntry *const *)b;

	return x->it_id < y->it_id ? -1 : x->it_id > y->it_id;
}

/* "signal/tid.42": how, and whom. */
static bool parse_notify(const char *how, const char *whom, int tid, PosixTimerEntry *entry)
{
	if (streq(how, "signal"))
		entry->it_sigev_notify = SIGEV_SIGNAL;
	else if (streq(how, "none"))
		entry->it_sigev_notify = SIGEV_NONE;
	else if (streq(how, "thread"))
		entry->it_sigev_notify = SIGEV_THREAD;
	else
		return false;
	if (streq(whom, "tid")) {
		entry->it_sigev_notify |= SIGEV_THREAD_ID;
		entry->has_notify_thread_id = true;
		entry->notify_thread_id = tid;
	}
	return true;
}

int timers_parse(struct arena *arena, const char *text, PosixTimerEntry ***ret_entries,
	size_t *ret_count, struct error *err)
{
	PosixTimerEntry **entries = NULL;
	size_t count = 0, capacity = 0;

	while (*text) {
		PosixTimerEntry *entry = arena_new(arena, PosixTimerEntry);
		unsigned long long value;
		int id, signo, tid, clock, length = 0;
		char how[16], whom[8];

		if (sscanf(text,
			    "ID: %d\nsignal: %d/%llx\nnotify: %15[a-z]/%7[a-z].%d\nClockID: %d\n%n",
			    &id, &signo, &value, how, whom, &tid, &clock, &length) != 7 ||
			!length)
			return error_set(err, EINVAL, "reading /proc/PID/timers: \"%.60s\"", text);
		posix_timer_entry__init(entry);
		if (!parse_notify(how, whom, tid, entry))
			return error_set(err, EINVAL, "timer %d notifies by \"%s\"", id, how);
		entry->it_id = (uint32_t)id;
		entry->clock_id = (uint32_t)clock;
		entry->si_signo = (uint32_t)signo;
		entry->sival_ptr = value;
		entries = arena_grow(arena, entries, &capacity, count + 1, sizeof(*entries));
		entries[count++] = entry;
		text += length;
	}
	if (count)
		qsort(entries, count, sizeof(*entries), by_id);
	*ret_entries = entries;
	*ret_count = count;
	return 0;
}

static int look(struct dump_context *context, struct thread_source *source, struct error *err)
{
	_cleanup_(free_ptr) char *text = NULL;
	TaskTimersEntry *timers;
	int rc;

	if (!source->leader)
		return 0;
	timers = task_timers(context->arena, source->thread->core->tc);
	rc = procfs_read_file(source->pid, "timers", &text, NULL, err);
	if (rc < 0)
		return rc;
	return timers_parse(context->arena, text, &timers->posix, &timers->n_posix, err);
}

struct answers {
	struct itimerspec *values;
	int *overrun_ops;
};

static int ask(struct dump_context *context, struct thread_source *source, struct batch *batch,
	void **cookie, struct error *err _unused_)
{
	const TaskTimersEntry *timers;
	struct answers *answers;

	if (!source->leader)
		return 0;
	timers = source->thread->core->tc->timers;
	answers = arena_new(context->arena, struct answers);
	*cookie = answers;
	if (!timers->n_posix)
		return 0;
	answers->values = arena_array(context->arena, struct itimerspec, timers->n_posix);
	answers->overrun_ops = arena_array(context->arena, int, timers->n_posix);
	for (size_t i = 0; i < timers->n_posix; i++) {
		batch_op(batch, "ask for a timer", SYS_timer_gettime, VAL(timers->posix[i]->it_id),
			OUT(&answers->values[i], sizeof(answers->values[i])));
		answers->overrun_ops[i] = batch_op(batch, "ask for a timer's overrun",
			SYS_timer_getoverrun, VAL(timers->posix[i]->it_id));
	}
	return 0;
}

static int answer(struct dump_context *context _unused_, struct thread_source *source,
	const struct batch *batch, void *cookie, struct error *err _unused_)
{
	const struct answers *answers = cookie;
	const TaskTimersEntry *timers;

	if (!source->leader)
		return 0;
	timers = source->thread->core->tc->timers;
	for (size_t i = 0; i < timers->n_posix; i++) {
		PosixTimerEntry *entry = timers->posix[i];

		entry->overrun = (uint32_t)batch_result(batch, answers->overrun_ops[i]);
		entry->isec = (uint64_t)answers->values[i].it_interval.tv_sec;
		entry->insec = (uint64_t)answers->values[i].it_interval.tv_nsec;
		entry->vsec = (uint64_t)answers->values[i].it_value.tv_sec;
		entry->vnsec = (uint64_t)answers->values[i].it_value.tv_nsec;
	}
	return 0;
}

static bool can_name_ids(void)
{
	return prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0) >= 0;
}

static void check_timer(
	struct restore_context *context, const struct thread *thread, const PosixTimerEntry *timer)
{
	if (timer->it_id > INT32_MAX)
		task_bad_image(context, thread, "a timer with the id %u", timer->it_id);
	else if (timer->isec > INT64_MAX || timer->vsec > INT64_MAX ||
		 timer->insec >= NSEC_PER_SEC || timer->vnsec >= NSEC_PER_SEC)
		task_bad_image(context, thread, "timer %u has no time", timer->it_id);
	else if (timer->si_signo > 64 || (!timer->si_signo && timer->it_sigev_notify != SIGEV_NONE))
		task_bad_image(context, thread, "timer %u sends the signal %u", timer->it_id,
			timer->si_signo);
	else if (timer->it_sigev_notify >
		 (SIGEV_SIGNAL | SIGEV_NONE | SIGEV_THREAD | SIGEV_THREAD_ID))
		task_bad_image(context, thread, "timer %u notifies by %u", timer->it_id,
			timer->it_sigev_notify);
	else if (timer->it_id >= COUNTED_IDS && !can_name_ids())
		error_hint(task_conflict(context, thread,
				   "has a timer with the id %u, which this kernel cannot give",
				   timer->it_id),
			"restore on Linux 6.15 or later");
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader, struct error *err _unused_)
{
	const TaskTimersEntry *timers;

	if (!leader || !thread->core->tc || !thread->core->tc->timers)
		return 0;
	timers = thread->core->tc->timers;
	if (timers->n_posix)
		qsort(timers->posix, timers->n_posix, sizeof(*timers->posix), by_id);
	for (size_t i = 0; i < timers->n_posix; i++) {
		check_timer(context, thread, timers->posix[i]);
		if (i && timers->posix[i]->it_id == timers->posix[i - 1]->it_id)
			task_bad_image(context, thread, "two timers with the id %u",
				timers->posix[i]->it_id);
	}
	return 0;
}

/* Appends timer_create(); the id is what the image says or the op after it fails. */
static void create_timer(struct arena *arena, struct batch *batch, uint32_t id, int32_t clock,
	const PosixTimerEntry *timer)
{
	struct kernel_sigevent *event = arena_new(arena, struct kernel_sigevent);
	int32_t *wanted = arena_new(arena, int32_t);

	*wanted = (int32_t)id;
	event->notify = SIGEV_NONE;
	if (timer) {
		event->value = timer->sival_ptr;
		event->signo = (int32_t)timer->si_signo;
		event->notify = (int32_t)timer->it_sigev_notify;
		event->tid = timer->has_notify_thread_id ? timer->notify_thread_id : 0;
	}
	batch_op(batch, "create a timer", SYS_timer_create, VAL(clock), IN(event, sizeof(*event)),
		INOUT(wanted, sizeof(*wanted)));
}

/* Makes and deletes the timers below `id`, so that the next one has it. */
static void count_up_to(struct arena *arena, struct batch *batch, uint32_t *next, uint32_t id)
{
	for (; *next < id; (*next)++) {
		create_timer(arena, batch, *next, CLOCK_MONOTONIC, NULL);
		batch_op(batch, "delete a timer", SYS_timer_delete, VAL(*next));
	}
	*next = id + 1;
}

static struct timespec to_timespec(uint64_t nsec)
{
	return (struct timespec){
		.tv_sec = (time_t)(nsec / NSEC_PER_SEC), .tv_nsec = (long)(nsec % NSEC_PER_SEC)};
}

/* Saturates: 292 years are for ever. */
static uint64_t to_nsec(uint64_t sec, uint64_t nsec)
{
	return sec >= INT64_MAX / NSEC_PER_SEC ? INT64_MAX : sec * NSEC_PER_SEC + nsec;
}

static uint64_t now_on(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now) < 0)
		return 0;
	return to_nsec((uint64_t)now.tv_sec, (uint64_t)now.tv_nsec);
}

/* Clocks on which an absolute time means just what a relative one does. */
static bool is_steady(int32_t clock)
{
	return clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME;
}

static void arm(struct arena *arena, struct batch *batch, const PosixTimerEntry *timer, int flags,
	struct timespec value)
{
	struct itimerspec *spec = arena_new(arena, struct itimerspec);

	spec->it_interval.tv_sec = (time_t)timer->isec;
	spec->it_interval.tv_nsec = (long)timer->insec;
	spec->it_value = value;
	batch_op(batch, "start a timer", SYS_timer_settime, VAL(timer->it_id), VAL(flags),
		IN(spec, sizeof(*spec)), VAL(0));
}

/* The usual way: the time that remains, or at once where the signal is pending. */
static void plan_arm(struct restore_context *context, const struct thread_plan *plan,
	const PosixTimerEntry *timer)
{
	struct batch *batch = plan->phases[PHASE_IDENTITY];
	uint64_t interval = to_nsec(timer->isec, timer->insec);
	uint64_t value = to_nsec(timer->vsec, timer->vnsec);
	bool due = timer_signal_pending(plan->task, timer);

	if (!due && !interval && !value)
		return;
	if (!due && value) {
		struct timespec rest = {
			.tv_sec = (time_t)timer->vsec, .tv_nsec = (long)timer->vnsec};

		arm(context->arena, batch, timer, 0, rest);
		return;
	}
	if (interval >= PHASE_MATTERS && value && value < interval &&
		is_steady((int32_t)timer->clock_id)) {
		uint64_t now = now_on((int32_t)timer->clock_id);

		if (now > interval - value) {
			arm(context->arena, batch, timer, TIMER_ABSTIME,
				to_timespec(now - (interval - value)));
			return;
		}
	}
	arm(context->arena, batch, timer, 0, to_timespec(1));
}

/* Starts the timer and has it overrun as often as it had. False where that cannot be done. */
static bool plan_overrun(struct restore_context *context, const struct thread_plan *plan,
	const PosixTimerEntry *timer)
{
	struct batch *batch = plan->phases[PHASE_STATE];
	uint64_t interval = to_nsec(timer->isec, timer->insec);
	uint64_t value = to_nsec(timer->vsec, timer->vnsec);
	int32_t clock = (int32_t)timer->clock_id;
	uint64_t total, phase, now, *mask;
	struct timespec *time;

	if (!interval || !value || timer->it_sigev_notify & SIGEV_NONE ||
		(timer->has_notify_thread_id && timer->notify_thread_id != plan->task->pid))
		return false;
	/* The signal is taken this long after an expiry, well inside an interval. */
	phase = value < interval ? interval - value : 0;
	phase = MIN(MAX(phase, interval / 4), interval / 4 * 3);
	if (__builtin_mul_overflow(interval, (uint64_t)timer->overrun, &total) ||
		__builtin_add_overflow(total, phase, &total))
		return false;
	time = arena_new(context->arena, struct timespec);
	if (total <= OVERRUN_WAIT && (is_steady(clock) || clock == CLOCK_REALTIME)) {
		*time = to_timespec(total);
		arm(context->arena, batch, timer, 0, to_timespec(1));
		batch_op(batch, "wait for a timer to overrun", SYS_clock_nanosleep,
			VAL(CLOCK_MONOTONIC), VAL(0), IN(time, sizeof(*time)), VAL(0));
	} else {
		now = is_steady(clock) ? now_on(clock) : 0;
		if (now <= total)
			return false;
		arm(context->arena, batch, timer, TIMER_ABSTIME, to_timespec(now - total));
	}
	mask = arena_new(context->arena, uint64_t);
	*mask = (uint64_t)1 << (timer->si_signo - 1);
	time = arena_new(context->arena, struct timespec);
	*time = to_timespec(NSEC_PER_SEC);
	batch_op_flags(batch, OP_ADVISORY, "take a timer's signal", SYS_rt_sigtimedwait,
		IN(mask, sizeof(*mask)), VAL(0), IN(time, sizeof(*time)), VAL(8));
	return true;
}

static int plan(
	struct restore_context *context, struct thread_plan *plan, struct error *err _unused_)
{
	struct batch *state = plan->phases[PHASE_STATE];
	const TaskTimersEntry *timers;
	bool named = can_name_ids();
	uint32_t next = 0;

	if (!task_is_leader(plan) || !plan_core(plan)->tc->timers)
		return 0;
	timers = plan_core(plan)->tc->timers;
	if (!timers->n_posix)
		return 0;
	if (named)
		batch_op(state, "name timer ids", SYS_prctl, VAL(PR_TIMER_CREATE_RESTORE_IDS),
			VAL(PR_TIMER_CREATE_RESTORE_IDS_ON));
	for (size_t i = 0; i < timers->n_posix; i++) {
		const PosixTimerEntry *timer = timers->posix[i];
		int32_t clock = (int32_t)timer->clock_id;

		if (clock == OWN_THREAD_CLOCK && timer->has_notify_thread_id)
			clock = THREAD_CLOCK(timer->notify_thread_id);
		if (!named)
			count_up_to(context->arena, state, &next, timer->it_id);
		create_timer(context->arena, state, timer->it_id, clock, timer);
		if (!timer->overrun || !plan_overrun(context, plan, timer))
			plan_arm(context, plan, timer);
	}
	if (named)
		batch_op(state, "stop naming timer ids", SYS_prctl,
			VAL(PR_TIMER_CREATE_RESTORE_IDS), VAL(PR_TIMER_CREATE_RESTORE_IDS_OFF));
	return 0;
}

const struct task_kind timers_kind = {
	.name = "POSIX timers",
	.limits =
		"overruns of a pending signal; absolute times on CLOCK_REALTIME; some overruns of "
		"taken signals (see kinds/task/timers.c)",
	.look = look,
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan,
};
