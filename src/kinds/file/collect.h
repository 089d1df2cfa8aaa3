#pragma once
/*
 * Finding every open file of a tree once, whoever holds it (dump), and opening every file of a
 * checkpoint once (restore).
 */
#include "kinds/file_kind.h"

/* Looks at a task's whole descriptor table and fills `table` (fdinfo entries): every descriptor is
 * fetched with pidfd_getfd(2), descriptions shared by dup, fork or SCM_RIGHTS are recognised with
 * kcmp(2), and new ones are described by their kind. Unknown kinds are obstacles naming pid,
 * descriptor and what it is. */
int files_look_table(
	struct dump_context *context, pid_t pid, struct fd_table *table, struct error *err);
/* The working directory, root and umask of a task. */
int files_look_fs(struct dump_context *context, pid_t pid, struct task *task, struct error *err);
/* /proc/PID/exe; *ret_id goes to mm's exe_file_id. */
int files_look_exe(struct dump_context *context, pid_t pid, uint32_t *ret_id, struct error *err);
/* The file that an area maps. `fd` is an open of it through /proc/PID/map_files (taken over, also
 * on failure), `flags` what a restore must open it with (O_RDONLY or O_RDWR), `link` what the maps
 * file calls it. Areas that map the same inode with the same flags get the same file. */
int files_look_mapped(struct dump_context *context, pid_t pid, int fd, uint32_t flags,
	const char *link, uint32_t *ret_id, struct error *err);
/* After every task was looked at: obstacles that only the whole tree shows (pipes whose other end is
 * held outside). */
int files_look_finish(struct dump_context *context, struct error *err);
/* Writes files.img, fdinfo-*.img, fs-*.img and what the kinds save of their own. */
int files_save(struct dump_context *context, struct error *err);
/* Gives back what looking took (descriptors). NULL-safe, after success and failure. */
void files_look_end(struct dump_context *context);

/* Restore. Reads files.img, fdinfo, fs, and the kinds' images into the checkpoint; validates
 * entries and compares them with the system: everything wrong goes to context->problems. */
int files_load(struct restore_context *context, struct error *err);
int files_check(struct restore_context *context, struct error *err);
/* Gives every file its inherited number (restore_file_fd() works from here on). */
void files_reserve(struct restore_context *context);
/* Ops of PHASE_FILES for a task: its descriptors if plan is of the table's owner, cwd, root and
 * umask. */
int files_plan_table(struct restore_context *context, struct thread_plan *plan, struct error *err);
int files_plan_fs(struct restore_context *context, struct thread_plan *plan, struct error *err);
/* Opens them all at their numbers. From here on there is something to clean up. */
int files_open(struct restore_context *context, struct error *err);
void files_close(struct restore_context *context);
