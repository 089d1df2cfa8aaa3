/*
 * Pending signals: private to a thread, and shared by all threads of a task.
 *
 * PTRACE_PEEKSIGINFO reads both queues with all of the siginfo without taking anything. A signal of
 * the first 31 can also be pending without a queue entry (the kernel had no memory, or the limit
 * was reached); the bits in /proc/PID/status tell, and the kernel would then deliver it with
 * si_code SI_USER from pid 0.
 *
 * A restore puts each back with rt_sigqueueinfo(2) by the leader, rt_tgsigqueueinfo(2) by the
 * thread: a task may send itself a siginfo that says anything, "from the kernel" included. All
 * signals are blocked meanwhile.
 *
 * Not queued: SI_TIMER of a timer that exists, because the timer sends it again (timers.c);
 * SIGSTOP, see signals.h. What the restore itself has caused, SIGCHLD for helpers and zombies, is
 * taken out before.
 */
#include <signal.h>
#include <sys/syscall.h>

#include "kernel/uapi.h"
#include "kinds/task/common.h"
#include "kinds/task/rows.h"
#include "kinds/task/signals.h"

#define SIGINFO_SIZE 128
#define PEEK_CHUNK   32

_Static_assert(sizeof(struct image_siginfo) == SIGINFO_SIZE, "siginfo");

struct queue {
	struct arena *arena;
	SignalQueueEntry *entry;
	size_t capacity;
	uint64_t seen; /* bit 0 is signal 1 */
};

static void queue_add(struct queue *queue, const struct image_siginfo *info)
{
	SiginfoEntry *entry = arena_new(queue->arena, SiginfoEntry);

	siginfo_entry__init(entry);
	entry->siginfo.len = SIGINFO_SIZE;
	entry->siginfo.data = arena_memdup(queue->arena, info, SIGINFO_SIZE);
	queue->entry->signals = arena_grow(queue->arena, queue->entry->signals, &queue->capacity,
		queue->entry->n_signals + 1, sizeof(*queue->entry->signals));
	queue->entry->signals[queue->entry->n_signals++] = entry;
	if (info->signo >= 1 && info->signo <= 64)
		queue->seen |= (uint64_t)1 << (info->signo - 1);
}

static int read_queue(struct arena *arena, pid_t tid, bool shared, uint64_t pending,
	SignalQueueEntry **ret_entry, struct error *err)
{
	struct queue queue = {.arena = arena, .entry = arena_new(arena, SignalQueueEntry)};
	struct image_siginfo infos[PEEK_CHUNK];
	struct __ptrace_peeksiginfo_args args = {
		.nr = PEEK_CHUNK, .flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0};
	long n;

	signal_queue_entry__init(queue.entry);
	for (;;) {
		n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, infos);
		if (n < 0) {
			int errnum = errno;

			error_set(err, errnum, "reading pending signals of thread %d", tid);
			error_about_task(err, tid);
			return -errnum;
		}
		if (!n)
			break;
		for (long i = 0; i < n; i++)
			queue_add(&queue, &infos[i]);
		args.off += (uint64_t)n;
	}
	for (int sig = 1; sig <= 64; sig++) {
		struct image_siginfo info = {.signo = sig};

		if ((pending & ~queue.seen) >> (sig - 1) & 1)
			queue_add(&queue, &info);
	}
	*ret_entry = queue.entry;
	return 0;
}

static int look(struct dump_context *context, struct thread_source *source, struct error *err)
{
	CoreEntry *core = source->thread->core;
	int rc;

	if ((source->status->signals_pending | source->status->shared_pending) >> (SIGKILL - 1) & 1)
		return error_refuse(err, ERROR_GONE, "task %d is being killed", source->pid);
	rc = read_queue(context->arena, source->tid, false, source->status->signals_pending,
		&core->thread_core->signals_p, err);
	if (rc == 0 && source->leader)
		rc = read_queue(context->arena, source->tid, true, source->status->shared_pending,
			&core->tc->signals_s, err);
	return rc;
}

bool siginfo_from_image(const SiginfoEntry *entry, struct image_siginfo *ret_info)
{
	if (entry->siginfo.len != SIGINFO_SIZE)
		return false;
	memcpy(ret_info, entry->siginfo.data, SIGINFO_SIZE);
	return true;
}

const PosixTimerEntry *signal_timer(const TaskCoreEntry *tc, const struct image_siginfo *info)
{
	if (info->code != SI_TIMER || !tc || !tc->timers)
		return NULL;
	for (size_t i = 0; i < tc->timers->n_posix; i++) {
		const PosixTimerEntry *timer = tc->timers->posix[i];

		if (timer->it_id == (uint32_t)info->timer_id &&
			timer->si_signo == (uint32_t)info->signo)
			return timer;
	}
	return NULL;
}

static bool queue_has_timer(
	const SignalQueueEntry *queue, const TaskCoreEntry *tc, const PosixTimerEntry *timer)
{
	struct image_siginfo info;

	for (size_t i = 0; queue && i < queue->n_signals; i++)
		if (siginfo_from_image(queue->signals[i], &info) &&
			signal_timer(tc, &info) == timer)
			return true;
	return false;
}

bool timer_signal_pending(const struct task *task, const PosixTimerEntry *timer)
{
	const TaskCoreEntry *tc = task->threads[0].core->tc;

	if (queue_has_timer(tc->signals_s, tc, timer))
		return true;
	for (size_t i = 0; i < task->thread_count; i++)
		if (queue_has_timer(task->threads[i].core->thread_core->signals_p, tc, timer))
			return true;
	return false;
}

static bool queue_has_stop(const SignalQueueEntry *queue)
{
	struct image_siginfo info;

	for (size_t i = 0; queue && i < queue->n_signals; i++)
		if (siginfo_from_image(queue->signals[i], &info) && info.signo == SIGSTOP)
			return true;
	return false;
}

bool task_stop_pending(const struct task *task)
{
	if (task->threads[0].core->tc && queue_has_stop(task->threads[0].core->tc->signals_s))
		return true;
	for (size_t i = 0; i < task->thread_count; i++) {
		const ThreadCoreEntry *thread = task->threads[i].core->thread_core;

		if (thread && queue_has_stop(thread->signals_p))
			return true;
	}
	return false;
}

static void check_queue(
	struct restore_context *context, const struct thread *thread, const SignalQueueEntry *queue)
{
	struct image_siginfo info;

	for (size_t i = 0; queue && i < queue->n_signals; i++) {
		if (!siginfo_from_image(queue->signals[i], &info))
			task_bad_image(context, thread, "a siginfo of %zu bytes",
				queue->signals[i]->siginfo.len);
		else if (info.signo < 1 || info.signo > 64 || info.signo == SIGKILL)
			task_bad_image(context, thread, "a pending signal %d", info.signo);
		else
			continue;
		return;
	}
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader, struct error *err _unused_)
{
	if (thread->core->thread_core)
		check_queue(context, thread, thread->core->thread_core->signals_p);
	if (leader && thread->core->tc)
		check_queue(context, thread, thread->core->tc->signals_s);
	return 0;
}

static void drain_sigchld(struct restore_context *context, struct batch *batch)
{
	uint64_t *mask = arena_new(context->arena, uint64_t);
	struct timespec *now = arena_new(context->arena, struct timespec);

	*mask = (uint64_t)1 << (SIGCHLD - 1);
	batch_op_flags(batch, OP_ASK, "forget the children of the restore itself",
		SYS_rt_sigtimedwait, IN(mask, sizeof(*mask)), VAL(0), IN(now, sizeof(*now)),
		VAL(8));
}

static void plan_queue(const struct thread_plan *plan, const SignalQueueEntry *queue, bool shared)
{
	struct batch *batch = plan->phases[PHASE_IDENTITY];
	struct image_siginfo info;

	for (size_t i = 0; queue && i < queue->n_signals; i++) {
		struct op_arg bytes = IN(queue->signals[i]->siginfo.data, SIGINFO_SIZE);

		if (!siginfo_from_image(queue->signals[i], &info) || info.signo == SIGSTOP ||
			signal_timer(plan->task->threads[0].core->tc, &info))
			continue;
		if (shared)
			batch_op(batch, "queue a signal", SYS_rt_sigqueueinfo, VAL(plan->task->pid),
				VAL(info.signo), bytes);
		else
			batch_op(batch, "queue a signal for a thread", SYS_rt_tgsigqueueinfo,
				VAL(plan->task->pid), VAL(plan_tid(plan)), VAL(info.signo), bytes);
	}
}

static int plan(
	struct restore_context *context, struct thread_plan *plan, struct error *err _unused_)
{
	const CoreEntry *core = plan_core(plan);

	if (task_is_leader(plan)) {
		drain_sigchld(context, plan->phases[PHASE_IDENTITY]);
		plan_queue(plan, core->tc->signals_s, true);
	}
	plan_queue(plan, core->thread_core->signals_p, false);
	return 0;
}

const struct task_kind signal_pending_kind = {
	.name = "pending signals",
	.limits = "the order among signals of one number where a timer sent one of them",
	.look = look,
	.check = check,
	.plan = plan,
};
