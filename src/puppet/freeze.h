#pragma once
/*
 * Stopping a whole tree, and letting it go again as if nothing had happened.
 */
#include "base/arena.h"
#include "puppet/tracee.h"

struct frozen_thread {
	struct tracee tracee;
	struct thread_registers registers; /* as stopped; what release puts back */
	bool borrowed; /* its registers are not its own at the moment (puppet/intrusion.h) */
	bool suspend_seccomp;
};

struct frozen_task {
	pid_t pid, ppid;
	bool zombie;
	uint32_t exit_code; /* of a zombie, as wait(2) gives it */
	struct frozen_thread **threads; /* [0] is the leader */
	size_t thread_count, thread_capacity;
	struct frozen_task *parent;
	struct intrusion *intrusion; /* NULL when nothing of ours is inside */
};

struct frozen_tree {
	struct arena *arena;
	struct frozen_task **tasks; /* parents before children; [0] is the root */
	size_t count, capacity;
};

/* Stops every thread of every task from `root` down, whatever they are doing meanwhile (looks again
 * until nothing new appears), and reads registers, FP state and signal masks. On failure everything that was stopped runs again. deadline_ms as in
 * tracee.h. */
int freeze_tree(struct arena *arena, pid_t root, int64_t deadline_ms, struct frozen_tree *ret_tree,
	struct error *err);
/* Lets everything run on. Never fails; what cannot be let go has ended. NULL-safe. With `stopped` every
 * task stays in a job-control stop. */
void freeze_release(struct frozen_tree *tree, bool stopped);
/* Ends the whole tree with SIGKILL and waits until it is gone (a child of ours is reaped). */
void freeze_kill(struct frozen_tree *tree);
