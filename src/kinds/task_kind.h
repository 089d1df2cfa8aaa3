#pragma once
/*
 * A kind of task state: one const row, both directions side by side.
 *
 * A dump looks at every thread from outside (look), lets the stopped thread itself answer what only
 * it can tell in one batch (ask, answer), and a restore checks what an image says (check) and
 * compiles it to ops (plan). The rows are run in the order of the table in kinds/task/table.c for
 * every thread of every live task; a row that concerns the whole task acts on the leader only.
 * Members that are not needed are NULL.
 */
#include "kernel/procfs.h"
#include "kinds/context.h"

/* A stopped thread, as a row sees it in a dump. */
struct thread_source {
	struct task *task; /* in the model */
	struct thread *thread; /* core->tc (leader), core->thread_core and core->thread_info exist
				* (zeroed, initialised messages): rows fill their fields */
	pid_t pid, tid; /* as this process (the conductor) sees them */
	bool leader;
	const struct proc_status *status; /* /proc/PID/task/TID/status */
	const struct proc_stat *stat; /* /proc/PID/task/TID/stat */
	/* puppet/registers.h: as stopped, and what the thread will go on with: look() may do to them
	 * what the kernel itself is about to do (rseq.c). */
	struct thread_registers *registers;
};

struct task_kind {
	const char *name; /* "signal-actions" */
	const char *limits; /* for `stasis check --kinds`: what is not kept; NULL when all is */

	/* Dump. The thread is stopped and traced by us; the ptrace(2) requests that read are
	 * allowed. Obstacles go to context->problems and 0 is returned; an error ends the dump. */
	int (*look)(struct dump_context *context, struct thread_source *source, struct error *err);
	/* Appends what only the thread can tell. *cookie is kept for answer(). The thread runs the
	 * batch with its own credentials; seccomp is suspended. */
	int (*ask)(struct dump_context *context, struct thread_source *source, struct batch *batch,
		void **cookie, struct error *err);
	int (*answer)(struct dump_context *context, struct thread_source *source,
		const struct batch *batch, void *cookie, struct error *err);

	/* Restore. Bytes from an image are hostile: everything that plan() relies on is checked
	 * here, as an ERROR_BAD_IMAGE problem naming task and field. */
	int (*check)(struct restore_context *context, const struct task *task,
		const struct thread *thread, bool leader, struct error *err);
	/* Appends ops to the phases of this thread. */
	int (*plan)(struct restore_context *context, struct thread_plan *plan, struct error *err);
};

/* Ends with NULL. The order is the order of planning. */
extern const struct task_kind *const task_kinds[];
