/*
 * The rest of a thread's and a task's small settings, most of them of prctl(2).
 *
 *	parent-death signal	PR_SET_PDEATHSIG, per thread; cleared by changes of credentials. The
 *				root of a tree that is restored detached does without, because its
 *				parent would then be we, unless the signal is ignored
 *	dumpable		PR_SET_DUMPABLE, of the address space; the same. The memory room has
 *				read it into mm. Value 2 ("only root may read the core") cannot be
 *set, only come about; 0 stands for it child subreaper		PR_SET_CHILD_SUBREAPER, per task
 *	personality		personality(2), per thread
 *	membarrier		the commands that an address space has registered for, membarrier(2)
 *				with MEMBARRIER_CMD_GET_REGISTRATIONS (6.3)
 *	speculation		PR_SET_SPECULATION_CTRL, per thread, where the thread has chosen
 *	machine checks		PR_MCE_KILL, per thread
 *	TSC			PR_SET_TSC, per thread: SIGSEGV on rdtsc
 *	I/O flusher		PR_SET_IO_FLUSHER, per thread (of storage daemons); only a task with
 *				CAP_SYS_RESOURCE can ask for it
 *
 * keep-caps is one of the securebits (creds.c); no_new_privs comes with seccomp; timer slack with
 * the scheduling; THP-disable, which is of the address space, with the memory.
 */
#include <linux/capability.h>
#include <signal.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "kernel/uapi.h"
#include "kinds/task/common.h"
#include "kinds/task/rows.h"

/* Store bypass, indirect branches, flush of L1D. */
#define SPECULATIONS 3

/* MEMBARRIER_CMD_REGISTER_*: global, private, private with core sync, private with rseq. */
#define MEMBARRIER_REGISTERS (1U << 2 | 1U << 4 | 1U << 6 | 1U << 8)

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif

struct answers {
	uint32_t death_signal, subreaper, tsc;
	int speculation[SPECULATIONS], mce, tsc_op, io_flusher, membarrier, personality;
};

static int ask(struct dump_context *context, struct thread_source *source, struct batch *batch,
	void **cookie, struct error *err _unused_)
{
	struct answers *answers = arena_new(context->arena, struct answers);

	*cookie = answers;
	answers->personality =
		batch_op(batch, "ask for the personality", SYS_personality, VAL(0xffffffff));
	batch_op(batch, "ask for the parent-death signal", SYS_prctl, VAL(PR_GET_PDEATHSIG),
		OUT(&answers->death_signal, sizeof(answers->death_signal)));
	answers->tsc_op = batch_op_flags(batch, OP_ASK, "ask for the TSC mode", SYS_prctl,
		VAL(PR_GET_TSC), OUT(&answers->tsc, sizeof(answers->tsc)));
	answers->mce = batch_op_flags(
		batch, OP_ASK, "ask for the machine check policy", SYS_prctl, VAL(PR_MCE_KILL_GET));
	answers->io_flusher = batch_op_flags(
		batch, OP_ASK, "ask for the I/O flusher flag", SYS_prctl, VAL(PR_GET_IO_FLUSHER));
	for (int i = 0; i < SPECULATIONS; i++)
		answers->speculation[i] =
			batch_op_flags(batch, OP_ASK, "ask for speculation control", SYS_prctl,
				VAL(PR_GET_SPECULATION_CTRL), VAL(i));
	if (!source->leader)
		return 0;
	batch_op(batch, "ask for the subreaper flag", SYS_prctl, VAL(PR_GET_CHILD_SUBREAPER),
		OUT(&answers->subreaper, sizeof(answers->subreaper)));
	answers->membarrier = batch_op_flags(batch, OP_ASK, "ask for membarrier registrations",
		SYS_membarrier, VAL(MEMBARRIER_GET_REGISTRATIONS), VAL(0));
	return 0;
}

static void answer_speculation(struct arena *arena, const struct batch *batch,
	const struct answers *answers, ThreadCoreEntry *thread)
{
	uint32_t values[SPECULATIONS] = {0};
	bool chosen = false;

	for (int i = 0; i < SPECULATIONS; i++) {
		int64_t value = batch_result(batch, answers->speculation[i]);

		/* PR_SPEC_PRCTL alone says that the thread could choose; ENABLE is the default. */
		if (value <= 0 || !(value & PR_SPEC_PRCTL))
			continue;
		values[i] = (uint32_t)value & ~(uint32_t)PR_SPEC_PRCTL;
		if (i == PR_SPEC_L1D_FLUSH ? values[i] == PR_SPEC_ENABLE
					   : values[i] != PR_SPEC_ENABLE)
			chosen = true;
	}
	if (!chosen)
		return;
	thread->n_speculation = SPECULATIONS;
	thread->speculation = arena_memdup(arena, values, sizeof(values));
}

static int answer(struct dump_context *context, struct thread_source *source,
	const struct batch *batch, void *cookie, struct error *err _unused_)
{
	const struct answers *answers = cookie;
	CoreEntry *core = source->thread->core;
	ThreadCoreEntry *thread = core->thread_core;
	uint32_t personality = (uint32_t)batch_result(batch, answers->personality);

	if (source->leader) {
		core->tc->personality = personality;
	} else if (personality != source->task->threads[0].core->tc->personality) {
		thread->has_personality = true;
		thread->personality = personality;
	}
	if (answers->death_signal) {
		thread->has_pdeath_sig = true;
		thread->pdeath_sig = answers->death_signal;
	}
	if (batch_result(batch, answers->tsc_op) == 0 && answers->tsc == PR_TSC_SIGSEGV) {
		thread->has_tsc_mode = true;
		thread->tsc_mode = answers->tsc;
	}
	if (batch_result(batch, answers->mce) >= 0 &&
		batch_result(batch, answers->mce) != PR_MCE_KILL_DEFAULT) {
		thread->has_mce_kill = true;
		thread->mce_kill = (uint32_t)batch_result(batch, answers->mce);
	}
	answer_speculation(context->arena, batch, answers, thread);
	if (!source->leader)
		return 0;
	core->tc->has_child_subreaper = true;
	core->tc->child_subreaper = answers->subreaper;
	if (batch_result(batch, answers->io_flusher) == 1)
		core->tc->has_io_flusher = core->tc->io_flusher = true;
	if (batch_result(batch, answers->membarrier) > 0) {
		core->tc->has_membarrier_registration_mask = true;
		core->tc->membarrier_registration_mask =
			(uint32_t)batch_result(batch, answers->membarrier) & MEMBARRIER_REGISTERS;
	}
	return 0;
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader, struct error *err _unused_)
{
	const ThreadCoreEntry *core = thread->core->thread_core;
	const TaskCoreEntry *tc = thread->core->tc;

	if (core && core->pdeath_sig > 64)
		task_bad_image(context, thread, "a parent-death signal %u", core->pdeath_sig);
	if (core && core->n_speculation > SPECULATIONS)
		task_bad_image(context, thread, "%zu kinds of speculation", core->n_speculation);
	if (leader && tc && tc->membarrier_registration_mask & ~MEMBARRIER_REGISTERS)
		task_bad_image(context, thread, "membarrier registrations %#x",
			tc->membarrier_registration_mask);
	if (leader && tc && tc->io_flusher &&
		!own_capability(task_own_state(context), CAP_SYS_RESOURCE))
		error_hint(task_conflict(context, thread,
				   "is an I/O flusher (PR_SET_IO_FLUSHER), which we may not set"),
			"run stasis with CAP_SYS_RESOURCE");
	return 0;
}

static void plan_task(const struct thread_plan *plan, const TaskCoreEntry *tc)
{
	struct batch *state = plan->phases[PHASE_STATE];

	if (tc->child_subreaper)
		batch_op(state, "be a subreaper", SYS_prctl, VAL(PR_SET_CHILD_SUBREAPER), VAL(1));
	if (tc->io_flusher)
		batch_op(state, "be an I/O flusher", SYS_prctl, VAL(PR_SET_IO_FLUSHER), VAL(1));
	for (unsigned bit = 0; bit < 32; bit++)
		if (tc->membarrier_registration_mask >> bit & 1)
			batch_op(state, "register for membarrier", SYS_membarrier, VAL(1U << bit),
				VAL(0), VAL(0));
}

/* Whether a signal would pass a thread by unnoticed. */
static bool is_ignored(const struct task *task, size_t thread, uint32_t signal)
{
	const CoreEntry *core = task->threads[thread].core;
	const TaskCoreEntry *tc = task->threads[0].core->tc;
	uint64_t blocked = thread ? core->thread_core->blk_sigset : tc->blk_sigset;
	size_t entry = signal - 1 - (signal > SIGKILL) - (signal > SIGSTOP);
	uint64_t handler = entry < tc->n_sigactions ? tc->sigactions[entry]->sigaction : 0;

	if (blocked >> (signal - 1) & 1 || signal == SIGKILL || signal == SIGSTOP)
		return false;
	return handler == 1 || (handler == 0 && (signal == SIGCHLD || signal == SIGCONT ||
							signal == SIGURG || signal == SIGWINCH));
}

/* Detached: we are the root's parent, and our end would send it the signal. */
static bool is_hit_by_our_end(
	const struct restore_context *context, const struct thread_plan *plan, uint32_t signal)
{
	return !plan->task->parent && context->job->restore_detached &&
	       !context->job->restore_sibling && !is_ignored(plan->task, plan->thread, signal);
}

static void plan_speculation(struct batch *batch, const ThreadCoreEntry *core)
{
	for (size_t i = 0; i < core->n_speculation; i++)
		if (core->speculation[i])
			batch_op_flags(batch, OP_ADVISORY, "set speculation control", SYS_prctl,
				VAL(PR_SET_SPECULATION_CTRL), VAL(i), VAL(core->speculation[i]));
}

static int plan(
	struct restore_context *context, struct thread_plan *plan, struct error *err _unused_)
{
	struct batch *batch = plan->phases[PHASE_IDENTITY];
	const CoreEntry *core = plan_core(plan);
	const ThreadCoreEntry *thread = core->thread_core;
	const struct address_space *space = plan->task->space;
	uint32_t personality = thread->has_personality
				       ? thread->personality
				       : plan->task->threads[0].core->tc->personality;

	if (task_is_leader(plan))
		plan_task(plan, core->tc);
	if (personality != task_own_state(context)->personality)
		batch_op(batch, "set the personality", SYS_personality, VAL(personality));
	if (thread->has_tsc_mode)
		batch_op(batch, "set the TSC mode", SYS_prctl, VAL(PR_SET_TSC),
			VAL(thread->tsc_mode));
	if (thread->has_mce_kill)
		batch_op_flags(batch, OP_ADVISORY, "set the machine check policy", SYS_prctl,
			VAL(PR_MCE_KILL), VAL(PR_MCE_KILL_SET), VAL(thread->mce_kill));
	plan_speculation(batch, thread);
	/* Each thread, because each one's change of credentials has undone it. A new one is dumpable. */
	if (space && space->mm && space->mm->has_dumpable &&
		(space->mm->dumpable != 1 || !creds_are_own(context, core)))
		batch_op(batch, "set dumpable", SYS_prctl, VAL(PR_SET_DUMPABLE),
			VAL(space->mm->dumpable == 1));
	if (thread->pdeath_sig && is_hit_by_our_end(context, plan, thread->pdeath_sig))
		log_warn(
			"task %d does not get back its parent-death signal %u: its parent, stasis, "
			"ends right away",
			plan->task->pid, thread->pdeath_sig);
	else if (thread->pdeath_sig)
		batch_op(batch, "set the parent-death signal", SYS_prctl, VAL(PR_SET_PDEATHSIG),
			VAL(thread->pdeath_sig));
	return 0;
}

const struct task_kind prctl_kind = {
	.name = "settings (prctl)",
	.limits = "I/O flusher without CAP_SYS_RESOURCE; dumpable 2 becomes 0; the root of a tree "
		  "that is "
		  "restored detached has no parent-death signal",
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan,
};
