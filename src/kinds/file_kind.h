#pragma once
/*
 * A kind of open file: one const row, both directions side by side (docs/adding-a-kind.md).
 *
 * A dump recognises and describes every open file once, however many descriptors, areas and tasks
 * refer to it (kinds/file/collect.h finds who shares what). A restore opens every file once, in the
 * conductor, before the tree is forked, and puppets inherit it; what must be done by the owner
 * itself are ops in attach.
 */
#include <sys/stat.h>

#include "kernel/procfs.h"
#include "kinds/context.h"

/* An open file of the tree, looked at from outside. */
struct file_source {
	pid_t pid; /* a task that holds it */
	int number; /* its descriptor there; -1 for an area, cwd, root or exe */
	const char *what; /* "descriptor 5", "the working directory", "the mapping at 0x.." */
	int fd; /* ours: the same open file description (pidfd_getfd), or where number is -1
		 * an O_PATH or read-only open of the same inode. Owned by the collector. */
	struct stat st; /* fstat of it */
	char *link; /* what the /proc link says, "/path (deleted)", "pipe:[123]" */
	struct proc_fdinfo
		info; /* flags, pos, mnt_id and the lines of the kind; zero if number is -1 */
};

struct file_kind {
	const char *name;
	FdTypes type;
	const char *limits; /* for `stasis check --kinds`; NULL when everything is kept */

	/* Is this descriptor mine? The first row that says so has it. */
	bool (*recognise)(const struct file_source *source);
	/* Dump, looking: fills entry's member of this kind (entry->id and ->type are set).
	 * Obstacles go to context->problems and 0 is returned. May add files it refers to. */
	int (*describe)(struct dump_context *context, const struct file_source *source,
		struct file *file, struct error *err);
	/* Dump, once, after every table was looked at: obstacles that only the whole shows. */
	int (*conclude)(struct dump_context *context, struct error *err);
	/* Dump, writing, once: content that travels with the files (pipe data, ghost files).
	 * context->dir is open, the tree is stopped. Descriptors are fetched again
	 * (files_fetch()): a dump holds none for longer than it looks at it. */
	int (*save)(struct dump_context *context, struct error *err);

	/* Restore: reads images of its own, once, before any check. */
	int (*load)(struct restore_context *context, struct error *err);
	/* Validates an entry from an image and compares it with the system: everything that plan
	 * and open rely on, without side effects. Findings go to context->problems. */
	int (*check)(struct restore_context *context, const struct file *file, struct error *err);
	/* Creates it: *ret_fd is a descriptor of the conductor, with flags and position as they
	 * were; -1 where only the holder can open it (attach). Side effects outside the process go
	 * through the undo journal. */
	int (*open)(struct restore_context *context, const struct file *file, int *ret_fd,
		struct error *err);
	/* Once, after every file was opened: what was needed for opening only goes away. */
	int (*opened)(struct restore_context *context, struct error *err);
	/* Ops in each holder, for each of its descriptors, after those that `open` made have their
	 * numbers (PHASE_FILES and later). */
	int (*attach)(struct restore_context *context, const struct file *file,
		const FdinfoEntry *entry, struct thread_plan *plan, struct error *err);
};

/* Ends with NULL. */
extern const struct file_kind *const file_kinds[];
const struct file_kind *file_kind_of_type(FdTypes type);
