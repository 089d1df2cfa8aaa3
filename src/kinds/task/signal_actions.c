/*
 * Signal actions, rt_sigaction(2): the handlers of a task, shared by its threads (and by tasks made
 * with CLONE_SIGHAND: each of them sets the same).
 *
 * Only the task itself can tell them. The image has those of the signals 1 to 64 without SIGKILL
 * and SIGSTOP, in this order, in the kernel's own form (with the restorer that libc puts there).
 *
 * A puppet begins with SIG_DFL for all signals but those that this process ignores (execve(2) keeps
 * SIG_IGN), so only other actions are set.
 */
#include <signal.h>
#include <sys/syscall.h>

#include "kinds/task/common.h"
#include "kinds/task/rows.h"

#define SIGNALS  64
#define SETTABLE (SIGNALS - 2)

struct kernel_action {
	uint64_t handler, flags, restorer, mask;
};

static int signal_of(size_t entry)
{
	int sig = (int)entry + 1;

	if (sig >= SIGKILL)
		sig++;
	if (sig >= SIGSTOP)
		sig++;
	return sig;
}

static int ask(struct dump_context *context, struct thread_source *source, struct batch *batch,
	void **cookie, struct error *err _unused_)
{
	struct kernel_action *actions;

	if (!source->leader)
		return 0;
	actions = arena_array(context->arena, struct kernel_action, SETTABLE);
	*cookie = actions;
	for (size_t i = 0; i < SETTABLE; i++)
		batch_op(batch, "ask for a signal action", SYS_rt_sigaction, VAL(signal_of(i)),
			VAL(0), OUT(&actions[i], sizeof(actions[i])), VAL(8));
	return 0;
}

static int answer(struct dump_context *context, struct thread_source *source,
	const struct batch *batch _unused_, void *cookie, struct error *err _unused_)
{
	const struct kernel_action *actions = cookie;
	TaskCoreEntry *tc = source->thread->core->tc;
	SaEntry *entries;

	if (!source->leader)
		return 0;
	entries = arena_array(context->arena, SaEntry, SETTABLE);
	tc->sigactions = arena_array(context->arena, SaEntry *, SETTABLE);
	for (size_t i = 0; i < SETTABLE; i++) {
		sa_entry__init(&entries[i]);
		entries[i].sigaction = actions[i].handler;
		entries[i].flags = actions[i].flags;
		entries[i].restorer = actions[i].restorer;
		entries[i].mask = actions[i].mask;
		entries[i].has_compat_sigaction = true;
		tc->sigactions[i] = &entries[i];
	}
	tc->n_sigactions = SETTABLE;
	return 0;
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader, struct error *err _unused_)
{
	const TaskCoreEntry *tc = thread->core->tc;

	if (!leader || !tc)
		return 0;
	if (tc->n_sigactions > SETTABLE) {
		task_bad_image(context, thread, "%zu signal actions, there are only %d signals",
			tc->n_sigactions, SETTABLE);
		return 0;
	}
	for (size_t i = 0; i < tc->n_sigactions; i++) {
		if (!tc->sigactions[i]->compat_sigaction)
			continue;
		task_conflict(
			context, thread, "has a 32-bit signal handler, which is not handled yet");
		break;
	}
	return 0;
}

static int plan(
	struct restore_context *context, struct thread_plan *plan, struct error *err _unused_)
{
	const struct own_state *own = task_own_state(context);
	const TaskCoreEntry *tc = plan_core(plan)->tc;

	if (!task_is_leader(plan))
		return 0;
	for (size_t i = 0; i < tc->n_sigactions; i++) {
		const SaEntry *entry = tc->sigactions[i];
		struct kernel_action *action;
		int sig = signal_of(i);

		if (!entry->sigaction && !entry->flags && !entry->mask && !entry->restorer &&
			!(own->ignored_signals >> (sig - 1) & 1))
			continue;
		action = arena_new(context->arena, struct kernel_action);
		*action = (struct kernel_action){
			entry->sigaction, entry->flags, entry->restorer, entry->mask};
		batch_op(plan->phases[PHASE_STATE], "set a signal action", SYS_rt_sigaction,
			VAL(sig), IN(action, sizeof(*action)), VAL(0), VAL(8));
	}
	return 0;
}

const struct task_kind signal_actions_kind = {
	.name = "signal actions",
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan,
};
