#pragma once
/* The rows of the table, one file each. */
#include "kinds/task_kind.h"

extern const struct task_kind cpu_x86_kind;
extern const struct task_kind restart_kind;
extern const struct task_kind rseq_kind;
extern const struct task_kind signal_actions_kind;
extern const struct task_kind signal_mask_kind;
extern const struct task_kind signal_stack_kind;
extern const struct task_kind tid_address_kind;
extern const struct task_kind itimers_kind;
extern const struct task_kind timers_kind;
extern const struct task_kind signal_pending_kind;
extern const struct task_kind limits_kind;
extern const struct task_kind names_kind;
extern const struct task_kind sched_kind;
extern const struct task_kind proc_files_kind;
extern const struct task_kind seccomp_kind;
extern const struct task_kind creds_kind;
extern const struct task_kind prctl_kind;
