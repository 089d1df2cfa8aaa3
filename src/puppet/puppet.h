#pragma once
/*
 * A puppet: a task or thread to be, that runs our batches until it is let go.
 *
 * The first one is born by exec of the stub; all others are cloned by batches of puppets (OP_CLONE).
 * Every process is traced from its first instruction with PTRACE_O_EXITKILL, so that nothing is left
 * when we die; a thread that is not traced yet dies with its process.
 */
#include "puppet/batch.h"
#include "puppet/stage.h"
#include "puppet/tracee.h"

struct puppet {
	struct tracee tracee;
	size_t ring; /* its number in the stage */
	bool is_process;
	/* A creator of siblings (CLONE_PARENT) makes children that ptrace reports as clones. */
	bool makes_siblings;
	struct batch *batch; /* running, or NULL */
	size_t from, end; /* the piece of it that is */
};

struct puppets {
	struct stage *stage;
	struct puppet *all; /* by ring number */
	size_t count;
	bool suspend_seccomp;
};

/* Starts the first puppet with this pid and lets it run the stub, with every signal blocked. `sibling`:
 * our parent becomes its parent. Descriptors that are not close-on-exec are inherited. On failure
 * nothing is left. */
int puppet_birth(struct puppets *puppets, struct puppet *puppet, bool sibling, struct error *err);
/* Empties the newborn's address space: vdso and vvar are parked, everything else outside of the stage is
 * unmapped. */
int puppet_clear(
	struct puppets *puppets, struct puppet *puppet, struct arena *arena, struct error *err);

/* Starts a batch (one at a time) and returns at once. */
int puppet_start(
	struct puppets *puppets, struct puppet *puppet, struct batch *batch, struct error *err);
/* Waits for it. Puppets that it forks are attached and run when this returns. */
int puppet_finish(struct puppets *puppets, struct puppet *puppet, struct error *err);
int puppet_run(
	struct puppets *puppets, struct puppet *puppet, struct batch *batch, struct error *err);
/* Appends the creation of `child` to a batch of its creator. flags: CLONE_*. tid is the child's. */
void puppet_plan_clone(struct batch *batch, const struct puppet *child, pid_t tid, uint64_t flags,
	const char *what);
/* Traces a thread that a batch has cloned. */
int puppet_attach_thread(struct puppets *puppets, struct puppet *puppet, struct error *err);
/* Ends every puppet that there is and waits until they are gone. */
void puppets_kill(struct puppets *puppets);

unsigned long puppet_trace_options(const struct puppets *puppets, const struct puppet *puppet);
