/*
 * What the kernel does when a thread ends: the list of robust futexes that it walks
 * (get_robust_list(2), readable from outside, set by the thread itself), and the word that it
 * clears and wakes, set_tid_address(2) (PR_GET_TID_ADDRESS, which only the thread can ask).
 */
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "kinds/task/common.h"
#include "kinds/task/rows.h"

/* sizeof(struct robust_list_head); the kernel takes no other. */
#define ROBUST_LIST_SIZE 24

static int look(
	struct dump_context *context _unused_, struct thread_source *source, struct error *err)
{
	ThreadCoreEntry *thread = source->thread->core->thread_core;
	uint64_t head, length;

	if (syscall(SYS_get_robust_list, source->tid, &head, &length) < 0)
		return error_set(
			err, errno, "reading the robust futex list of thread %d", source->tid);
	thread->futex_rla = head;
	thread->futex_rla_len = (uint32_t)length;
	return 0;
}

static int ask(struct dump_context *context, struct thread_source *source _unused_,
	struct batch *batch, void **cookie, struct error *err _unused_)
{
	uint64_t *address = arena_new(context->arena, uint64_t);

	*cookie = address;
	batch_op(batch, "ask for the address that is cleared at the thread's end", SYS_prctl,
		VAL(PR_GET_TID_ADDRESS), OUT(address, sizeof(*address)));
	return 0;
}

static int answer(struct dump_context *context _unused_, struct thread_source *source,
	const struct batch *batch _unused_, void *cookie, struct error *err _unused_)
{
	source->thread->core->thread_info->clear_tid_addr = *(const uint64_t *)cookie;
	return 0;
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader _unused_, struct error *err _unused_)
{
	const ThreadCoreEntry *core = thread->core->thread_core;

	if (core && core->futex_rla && core->futex_rla_len != ROBUST_LIST_SIZE)
		task_bad_image(
			context, thread, "a robust futex list of %u bytes", core->futex_rla_len);
	return 0;
}

static int plan(struct restore_context *context _unused_, struct thread_plan *plan,
	struct error *err _unused_)
{
	struct batch *state = plan->phases[PHASE_STATE];
	const CoreEntry *core = plan_core(plan);

	if (core->thread_core->futex_rla)
		batch_op(state, "set the list of robust futexes", SYS_set_robust_list,
			VAL(core->thread_core->futex_rla), VAL(ROBUST_LIST_SIZE));
	if (core->thread_info->clear_tid_addr) {
		int op = batch_op(state, "set the address that is cleared at the thread's end",
			SYS_set_tid_address, VAL(core->thread_info->clear_tid_addr));

		batch_expect(state, op, plan_tid(plan));
	}
	return 0;
}

const struct task_kind tid_address_kind = {
	.name = "thread end (robust futexes, clear_child_tid)",
	.look = look,
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan,
};
