#pragma once
/*
 * Interrupted system calls. A thread that is stopped inside one has orig_rax >= 0 and rax = -ERESTART*;
 * on its way back to user space the kernel restarts the call, or makes it fail with EINTR when a handler
 * runs first. Where the kernel's own code cannot do that (the thread leaves our code by a jump), it is
 * done here by hand, as arch/x86/kernel/signal.c would when no handler is to run.
 */
#include <sys/user.h>

#include "base/util.h"

#define ERESTARTSYS           512
#define ERESTARTNOINTR        513
#define ERESTARTNOHAND        514
#define ERESTART_RESTARTBLOCK 516

/* Is the thread inside an interrupted system call? */
static inline bool is_interrupted_call(const struct user_regs_struct *r)
{
	int64_t result = (int64_t)r->rax;

	return (int64_t)r->orig_rax >= 0 &&
	       (result == -ERESTARTSYS || result == -ERESTARTNOINTR || result == -ERESTARTNOHAND ||
		       result == -ERESTART_RESTARTBLOCK);
}

/* Turns an interrupted call into a call about to be made. */
static inline void restart_by_hand(struct user_regs_struct *r)
{
	if (is_interrupted_call(r)) {
		/* restart_syscall(2) goes on with what the kernel remembers of this very thread. */
		r->rax = (int64_t)r->rax == -ERESTART_RESTARTBLOCK ? 219 : r->orig_rax;
		r->rip -= 2;
	}
	r->orig_rax = (unsigned long long)-1;
}

/* SLOT_FLAGS and SLOT_DOWN (or LAND_*) in one word: OF, then SF..CF, then DF. */
static inline uint64_t packed_flags(unsigned long long eflags)
{
	return ((eflags >> 11) & 1) | ((eflags & 0xff) << 8) | (((eflags >> 10) & 1) << 16);
}
