#pragma once
/*
 * System calls in progress (restart.c).
 */
#include "kinds/context.h"
#include "puppet/restart.h" /* what the kernel leaves in ax */

/* From the registers of a stopped thread to what the image says: ax and ip as a tool must set them
 * that knows nothing of `interrupted`, and the truth in `interrupted`. */
void restart_to_image(UserX86RegsEntry *gpregs);
/* The reverse: the registers as the thread was stopped with. The one exception: where the call went
 * on by a restart block and cannot be primed, ax says -ERESTARTNOHAND, and the call begins anew. */
void restart_from_image(const CoreEntry *core, struct user_regs_struct *general);

/* Whether task_plan_prime() has something to do. */
bool restart_is_primed(const CoreEntry *core);

/* Appends the call that the thread has to be in when its registers are set, if there is one: a
 * sleep that goes on by a restart block, which only the kernel can make. It is run as the very last
 * batch of the thread, after PHASE_IDENTITY and while everything else waits; the conductor
 * interrupts the thread in it (PTRACE_INTERRUPT), and sets the registers at that stop. */
int task_plan_prime(struct restore_context *context, const struct thread_plan *plan,
	struct batch *prime, struct error *err);
