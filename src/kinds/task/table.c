/*
 * The table of task state: the table of contents of what a thread is made of.
 *
 * The order is the order of planning, and so of the ops within each phase. What rests on it:
 *
 *	timers before signal-pending	taking a timer's signal to set its overrun must not take a
 *					signal that belongs into the queue
 *	timers, signal-pending before limits	RLIMIT_SIGPENDING bounds both
 *	limits, sched, seccomp before creds	they need privileges that creds gives up
 *	creds before prctl		the kernel clears the parent-death signal and "dumpable"
 *when credentials change
 */
#include "kinds/task/rows.h"

const struct task_kind *const task_kinds[] = {
	&cpu_x86_kind,
	&restart_kind,
	&rseq_kind,
	&signal_actions_kind,
	&signal_mask_kind,
	&signal_stack_kind,
	&tid_address_kind,
	&names_kind,
	&proc_files_kind,
	&timers_kind,
	&itimers_kind,
	&signal_pending_kind,
	&limits_kind,
	&sched_kind,
	&seccomp_kind,
	&creds_kind,
	&prctl_kind,
	NULL,
};
