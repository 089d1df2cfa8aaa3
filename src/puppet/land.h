#pragma once
/*
 * From puppets to free tasks, all of them or none (docs/architecture.md, "The commit of a restore").
 */
#include "puppet/puppet.h"
#include "puppet/registers.h"

/* How a thread is to go on. */
struct landing {
	struct puppet *puppet;
	struct thread_registers registers; /* as a dump found them */
	bool unmaps; /* the one thread of its address space that takes our pages away, as the last */
	bool stopped; /* the task is to be in a job-control stop */
	int stop_signal;
	/* Of a thread that unmaps: its interrupted call is finished by the kernel's own code, not by
	 * hand. Costs three more stops; needed where a pending signal decides between restart and
	 * EINTR. All other threads always go that way. */
	bool exact;
	/* Under a seccomp filter: makes no system call of its own on its way (its mask is set before the
	 * commit, so that one that dies uncommitted may still run a handler). Implies exact. */
	bool seccomp;
	bool primed; /* stands in a call that the puppet has made for it (batch still running) */
	/* land()'s own */
	raddr code;
	bool has_record;
};

/* Stops every puppet, commits, and lets them go. Up to the commit a failure leaves everything to be
 * killed by the caller; *ret_committed tells. After it nothing can fail but a task that is killed. */
int land(struct puppets *puppets, struct landing *landings, size_t count, bool *ret_committed,
	struct error *err);
