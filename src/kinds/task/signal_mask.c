/*
 * The signal mask of a thread, PTRACE_GETSIGMASK and PTRACE_SETSIGMASK.
 *
 * The dump has it with the registers; the restore room sets it with them at the very end, because
 * until then all signals stay blocked. For a thread that is in sigsuspend(2), ppoll(2) and the like
 * ptrace gives the mask to which the call will return; the call is begun again and sets its own.
 */
#include "kinds/task/common.h"
#include "kinds/task/rows.h"
#include "puppet/registers.h"

static int look(struct dump_context *context _unused_, struct thread_source *source,
	struct error *err _unused_)
{
	CoreEntry *core = source->thread->core;

	if (source->leader) {
		core->tc->blk_sigset = source->registers->signal_mask;
	} else {
		core->thread_core->has_blk_sigset = true;
		core->thread_core->blk_sigset = source->registers->signal_mask;
	}
	return 0;
}

const struct task_kind signal_mask_kind = {
	.name = "signal mask",
	.look = look,
};
