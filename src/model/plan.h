#pragma once
/*
 * The plan of a restore as data: for each puppet a list of ops in each phase.
 *
 * Kinds and the memory room append ops while planning, when nothing exists yet; the restore room
 * runs the phases in this order and knows no policy. `stasis restore --dry-run` prints it.
 */
#include "model/checkpoint.h"
#include "puppet/batch.h"

enum phase {
	/* Once for an address space, in the puppet of its owner, before children that share pages
	 * with it are forked: unmap what was inherited and is not wanted, map every area (writable
	 * while it is being filled), read the pages in. Privileged. Inherited descriptors (see
	 * restore_fd()) are open. */
	PHASE_MAP,
	/* Once for an address space, after its children were forked: final protections, advice
	 * (DONTFORK, WIPEONFORK), locks, PR_SET_MM_MAP, vdso. */
	PHASE_MAP_LATE,
	/* Once for a descriptor table and once for an fs (cwd, root, umask): descriptors to their
	 * numbers. The inherited ones are closed by the restore room at the end of this phase. */
	PHASE_FILES,
	/* Each thread, all threads of the tree exist: signal actions, timers, pending signals,
	 * limits, scheduling, robust list, rseq ... Still privileged, all signals blocked. */
	PHASE_STATE,
	/* Each thread: credentials, no_new_privs, dumpable, parent-death signal, and last seccomp.
	 */
	PHASE_IDENTITY,
	PHASE_COUNT,
};

extern const char *const phase_names[PHASE_COUNT];

struct thread_plan {
	struct task *task;
	size_t thread; /* index in task->threads */
	struct batch *phases[PHASE_COUNT]; /* never NULL */
};
