#pragma once
/*
 * What the rows of the tables of kinds are given: what was asked, what is possible, the checkpoint
 * that is being taken or rebuilt, and the services of the operation around them.
 */
#include "image/dir.h"
#include "kernel/procfs.h"
#include "model/checkpoint.h"
#include "model/job.h"
#include "model/plan.h"
#include "undo/journal.h"

struct kernel_features;
struct files_look;
struct files_restore;

/* A dump (or an inspect: then nothing is written). */
struct dump_context {
	const struct job *job;
	const struct kernel_features *features;
	struct arena *arena;
	struct checkpoint *checkpoint;
	struct problems *problems; /* obstacles: everything that cannot be dumped goes here */
	struct image_dir *dir; /* NULL in an inspect and while looking */
	struct image_writer *writers[IMAGE_TYPE_COUNT]; /* see dump_writer() */
	struct files_look *files; /* the collector of open files (kinds/file/state.h) */
	struct undo_journal *undo; /* see dump_undo() */
	void *memory; /* the memory room's */
};

/* The writer of an image that several kinds or objects write to (pipes-data.img, remap-fpath.img
 * ...), opened at first use and closed by the dump room. Phase of writing only. */
int dump_writer(struct dump_context *context, enum image_type type,
	struct image_writer **ret_writer, struct error *err);
/* Closes them all. */
int dump_writers_close(struct dump_context *context, struct error *err);
void dump_writers_abandon(struct dump_context *context);
/* The journal of side effects, made at first use. Whoever owns the context ends it with
 * undo_commit() or undo_rollback(), and undo_destroy(). */
struct undo_journal *dump_undo(struct dump_context *context);

/* A restore, from reading the images to the end of the plan. */
struct restore_context {
	const struct job *job;
	const struct kernel_features *features;
	struct arena *arena;
	struct checkpoint *checkpoint;
	struct problems *problems; /* conflicts and damages: everything that stands in the way */
	struct image_dir *dir;
	/* Descriptors that the conductor opens before the tree exists and that every puppet
	 * inherits at the same number, high above every number in the images. */
	struct inherited_fd *inherited;
	size_t inherited_count, inherited_capacity;
	int inherited_base; /* the first number */
	int *file_fds; /* by index in checkpoint->files: inherited number, -1 if not open yet */
	struct files_restore *files; /* kinds/file's own (kinds/file/state.h) */
	void *memory; /* the memory room's */
	void *tasks; /* kinds/task's own (what this process is, see kinds/task/common.h) */
	struct undo_journal *undo; /* see restore_undo() */
};

struct inherited_fd {
	int fd;
	const char *what;
};

/* Takes the descriptor `fd` over (also on failure), moves it to the next inherited number, and
 * returns that number, or a negative errno. Not close-on-exec, so that it survives the exec of the
 * stub. */
int restore_inherit(struct restore_context *context, int fd, const char *what, struct error *err);
/* The inherited number of the open file with this id, for ops of the plan. The number is known
 * while planning (restore_reserve_files() has given each file its own), the file is opened there
 * later, before the tree exists. -ENOENT when the images have no such file. */
int restore_file_fd(const struct restore_context *context, uint32_t file_id);
/* As dump_undo(). */
struct undo_journal *restore_undo(struct restore_context *context);
