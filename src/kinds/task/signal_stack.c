/*
 * The alternate signal stack of a thread, sigaltstack(2).
 *
 * Only the thread itself can tell it. While a handler runs on it the kernel reports SS_ONSTACK,
 * which is no setting but follows from the stack pointer. (With SS_AUTODISARM there is no alternate
 * stack while a handler runs; the one to come back lies in the handler's frame, in memory.)
 */
#include <signal.h>
#include <sys/syscall.h>

#include "kinds/task/common.h"
#include "kinds/task/rows.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static int ask(struct dump_context *context, struct thread_source *source _unused_,
	struct batch *batch, void **cookie, struct error *err _unused_)
{
	stack_t *stack = arena_new(context->arena, stack_t);

	*cookie = stack;
	batch_op(batch, "ask for the signal stack", SYS_sigaltstack, VAL(0),
		OUT(stack, sizeof(*stack)));
	return 0;
}

static int answer(struct dump_context *context, struct thread_source *source,
	const struct batch *batch _unused_, void *cookie, struct error *err _unused_)
{
	const stack_t *stack = cookie;
	ThreadSasEntry *entry = arena_new(context->arena, ThreadSasEntry);

	thread_sas_entry__init(entry);
	entry->ss_sp = (uint64_t)(uintptr_t)stack->ss_sp;
	entry->ss_size = stack->ss_size;
	entry->ss_flags = (uint32_t)stack->ss_flags;
	source->thread->core->thread_core->sas = entry;
	return 0;
}

static bool is_disabled(const ThreadSasEntry *entry)
{
	return entry->ss_flags & SS_DISABLE;
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader _unused_, struct error *err _unused_)
{
	const ThreadSasEntry *entry =
		thread->core->thread_core ? thread->core->thread_core->sas : NULL;

	if (entry && entry->ss_flags & ~(uint32_t)(SS_DISABLE | SS_ONSTACK | SS_AUTODISARM))
		task_bad_image(
			context, thread, "a signal stack with the flags %#x", entry->ss_flags);
	else if (entry && !is_disabled(entry) && entry->ss_size < 1024)
		task_bad_image(context, thread, "a signal stack of %llu bytes",
			(unsigned long long)entry->ss_size);
	return 0;
}

static int plan(
	struct restore_context *context, struct thread_plan *plan, struct error *err _unused_)
{
	const ThreadSasEntry *entry = plan_core(plan)->thread_core->sas;
	stack_t *stack;

	/* A new thread has none. */
	if (!entry || is_disabled(entry))
		return 0;
	stack = arena_new(context->arena, stack_t);
	stack->ss_sp = (void *)(uintptr_t)entry->ss_sp;
	stack->ss_size = entry->ss_size;
	stack->ss_flags = (int)(entry->ss_flags & SS_AUTODISARM);
	batch_op(plan->phases[PHASE_STATE], "set the signal stack", SYS_sigaltstack,
		IN(stack, sizeof(*stack)), VAL(0));
	return 0;
}

const struct task_kind signal_stack_kind = {
	.name = "signal stack",
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan,
};
