#pragma once
/*
 * Readers of /proc/PID (proc(5)). Areas and pages have files of their own (kernel/smaps.h,
 * kernel/pagemap.h). Text from procfs is parsed as if it were hostile: task names and paths in it
 * are.
 */
#include <sys/types.h>

#include "base/error.h"

/* /proc/PID/stat; field names as in proc(5). */
struct proc_stat {
	pid_t pid, ppid, pgrp, sid;
	char comm[64];
	char state; /* R S D T t Z X I */
	uint32_t tty_nr;
	int64_t tty_pgrp;
	int64_t nice;
	uint64_t start_time, vsize;
	uint64_t start_code, end_code, start_stack, start_data, end_data, start_brk;
	uint64_t arg_start, arg_end, env_start, env_end;
	int exit_signal, processor;
	uint32_t exit_code; /* as wait(2) would give it */
	uint32_t rt_priority, policy;
};

#define PROC_CAP_SETS 5
enum { PROC_CAP_INH, PROC_CAP_PRM, PROC_CAP_EFF, PROC_CAP_BND, PROC_CAP_AMB };

/* /proc/PID/status */
struct proc_status {
	char state;
	uint32_t umask;
	pid_t tgid, pid, ppid, tracer;
	uint32_t uid[4], gid[4]; /* real, effective, saved, file system */
	uint32_t *groups; /* malloc'ed, proc_status_deinit() */
	size_t group_count;
	int pid_levels; /* how many numbers NSpid lists: 1 in our own pid namespace */
	pid_t pid_inside; /* the innermost of them */
	size_t threads;
	uint64_t signals_pending, shared_pending, blocked, ignored, caught;
	uint64_t caps[PROC_CAP_SETS];
	bool no_new_privs;
	int seccomp; /* 0, 1 strict, 2 filter */
	uint64_t seccomp_filters;
};

/* /proc/PID/fdinfo/N */
struct proc_fdinfo {
	uint32_t flags; /* as open(2) takes them, with O_CLOEXEC */
	int64_t pos;
	int mnt_id;
	uint64_t ino;
	char *text; /* all lines, for the kinds that have lines of their own; malloc'ed */
};

/* `tid` is a thread of `pid` (or pid itself). -ESRCH when it is gone. */
int procfs_read_stat(pid_t pid, pid_t tid, struct proc_stat *ret_stat, struct error *err);
int procfs_read_status(pid_t pid, pid_t tid, struct proc_status *ret_status, struct error *err);
void proc_status_deinit(struct proc_status *status);
int procfs_read_fdinfo(pid_t pid, int fd, struct proc_fdinfo *ret_info, struct error *err);
void proc_fdinfo_deinit(struct proc_fdinfo *info);

/* Numbers of directory entries: /proc/PID/task and /proc/PID/fd, ascending. malloc'ed. */
int procfs_read_threads(pid_t pid, pid_t **ret_tids, size_t *ret_count, struct error *err);
int procfs_read_fds(pid_t pid, int **ret_fds, size_t *ret_count, struct error *err);
/* Appends the children of all threads of pid to a malloc'ed array. Needs no stop, but is exact only
 * while the threads are stopped (CONFIG_PROC_CHILDREN; else by scanning /proc). */
int procfs_read_children(pid_t pid, pid_t **pids, size_t *count, struct error *err);

/* readlink of /proc/PID/NAME; malloc'ed. */
int procfs_read_link(pid_t pid, const char *name, char **ret_link, struct error *err);
/* Opens /proc/PID/NAME. -ESRCH where the task is gone. */
int procfs_open(pid_t pid, const char *name, int flags, struct error *err);
/* Reads /proc/PID/NAME whole; malloc'ed, '\0' behind it. */
int procfs_read_file(
	pid_t pid, const char *name, char **ret_text, size_t *ret_size, struct error *err);
