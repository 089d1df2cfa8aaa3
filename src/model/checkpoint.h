#pragma once
/*
 * What a checkpoint *is*: the only thing that dump and restore have in common.
 *
 * Plain structs for what has structure (the tree, who shares what); the leaves are the image
 * messages themselves. Everything belongs to the checkpoint's arena. Pids are those that pstree.img
 * gives: the view from inside the tree's pid namespace (today always the host's).
 */
#include "base/arena.h"
#include "base/error.h"
#include "proto.h"

/* core's task_state, see format/files.md */
enum task_state {
	TASK_ALIVE = 1,
	TASK_DEAD = 2,
	TASK_STOPPED = 3,
	/* Restore only: a process that has to exist for a while (a dead session or group leader, a
	 * dead parent of an orphan), and ends before the tree runs. It is in no image. */
	TASK_HELPER = 5,
	TASK_ZOMBIE = 6,
};

struct thread {
	pid_t tid;
	CoreEntry
		*core; /* of the leader: with tc and ids; of the others: thread_info, thread_core */
};

/* An open file description (or, for areas, cwd, root and exe, an open of its own). */
struct file {
	uint32_t id;
	const struct file_kind *kind;
	FileEntry *entry;
};

/* A descriptor table; several tasks may share it (CLONE_FILES). */
struct fd_table {
	uint32_t id; /* ids.files_id; names fdinfo-%u.img */
	FdinfoEntry **entries; /* ascending by fd */
	size_t count, capacity;
};

/* An address space; several tasks may share it (CLONE_VM). */
struct address_space {
	uint32_t id; /* ids.vm_id */
	struct task *owner; /* the task whose pid names mm-%u.img and pagemap-%u.img */
	MmEntry *mm; /* its vmas are ascending and do not overlap, but for guard entries */
	void *memory; /* the memory room's own (pagemap, sharing) */
};

struct task {
	pid_t pid, ppid, pgid, sid;
	enum task_state state;
	struct task *parent; /* NULL for the root */
	struct task **children;
	size_t child_count, child_capacity;
	struct thread *threads; /* threads[0] is the leader */
	size_t thread_count;
	TaskKobjIdsEntry *ids;
	/* NULL for zombies and helpers: */
	struct address_space *space;
	struct fd_table *fds;
	FsEntry *fs;
};

struct checkpoint {
	struct arena *arena;
	InventoryEntry *inventory;
	struct task **tasks; /* parents before children; [0] is the root */
	size_t task_count, task_capacity;
	struct file *files; /* ascending by id */
	size_t file_count, file_capacity;
	SeccompEntry *seccomp; /* NULL when no task has a filter */
	struct fd_table **fd_tables;
	size_t fd_table_count, fd_table_capacity;
	struct address_space **spaces;
	size_t space_count, space_capacity;
};

/* NULL when there is none. */
struct task *checkpoint_task(const struct checkpoint *checkpoint, pid_t pid);
struct file *checkpoint_file(const struct checkpoint *checkpoint, uint32_t id);
/* Adds a child under its parent and to the list of all. */
struct task *checkpoint_add_task(struct checkpoint *checkpoint, struct task *parent, pid_t pid);
/* Adds a file with the next free id (from 1; 0 is never used). */
struct file *checkpoint_add_file(struct checkpoint *checkpoint);
/* The table / space with this id, made when it is new (*ret_new). */
struct fd_table *checkpoint_fd_table(struct checkpoint *checkpoint, uint32_t id, bool *ret_new);
struct address_space *checkpoint_space(struct checkpoint *checkpoint, uint32_t id, bool *ret_new);
