#pragma once
/*
 * What the files of this room share: the collector's state during a dump, and that of a restore.
 */
#include <fcntl.h>

#include "kinds/file/collect.h"

/* A process-wide descriptor of the root of the mount namespace that paths belong to. Today there is
 * one, the host's: mnt is what reg_file_entry calls mnt_id, and always -1. */
int files_openat(int root_fd, int32_t mnt, const char *path, uint64_t flags);
int files_statat(int root_fd, int32_t mnt, const char *path, struct stat *ret_st);
/* The same inode opened anew through /proc/self/fd. Returns the descriptor or -errno. */
int files_reopen(int fd, int flags);

/* 32-bit programs aside, every open(2) sets it; the C library defines its own as 0. */
#define KERNEL_O_LARGEFILE 0100000
#define KERNEL_O_TMPFILE   (O_TMPFILE & ~O_DIRECTORY)
/* What open(2) is given for flags as F_GETFL shows them. */
uint64_t files_open_flags(uint32_t flags);

/*
 * Dump.
 */

struct description;
struct ghosts_look;
struct pipes_look;

struct files_look {
	int root_fd;
	void *descriptions; /* open file descriptions, a tree ordered by inode and kcmp(2) */
	void *inodes; /* what areas, cwd, root and exe refer to, by inode, flags and link */
	struct description *spare; /* an element that the tree did not need */
	int kcmp_errno; /* of the comparison that failed, 0 if none has */
	int pidfd; /* of the task that is being looked at; -1: none */
	pid_t pidfd_pid;
	struct ghosts_look *ghosts; /* kinds/file/ghost.c */
	struct pipes_look *pipes; /* kinds/file/pipe_content.c */
};

/* The collector's state, made at first use. */
struct files_look *files_look_state(struct dump_context *context);
/* Descriptor `number` of `pid`, as a descriptor of ours (pidfd_getfd(2)), or -errno. */
int files_fetch(struct dump_context *context, pid_t pid, int number);
/* An obstacle about this file: a sentence that begins with what it is. The caller adds a hint. */
struct error *files_obstacle(struct dump_context *context, const struct file_source *source,
	const char *format, ...) _printf_(3, 4);
/* "descriptor 5 of task 123", for any source. */
const char *files_name_source(struct dump_context *context, const struct file_source *source);
/* The owner for SIGIO (fcntl(2), F_SETOWN_EX). */
FownEntry *files_look_owner(struct dump_context *context, const struct file_source *source);
/* kinds/file/refused.c: an obstacle that names the kind of what no row has recognised. */
void files_refuse(struct dump_context *context, const struct file_source *source);

/* kinds/file/regular.c: fills a reg_file_entry for anything that has a path. */
int regular_describe_path(struct dump_context *context, const struct file_source *source,
	const struct file *file, RegFileEntry **ret_entry, struct error *err);

/* kinds/file/ghost.c: the file `id` is at no path any more. Remembers it for ghost_save() or makes
 * it an obstacle. `path` is where it was. */
int ghost_look(struct dump_context *context, const struct file_source *source, uint32_t id,
	const char *path, struct error *err);
/* The file has been unlinked, but has other names. */
int ghost_look_linked(struct dump_context *context, const struct file_source *source, uint32_t id,
	const char *path, struct error *err);
/* A file of /proc/PID of a process that is gone. */
int ghost_look_process(struct dump_context *context, uint32_t id, pid_t pid);
int ghost_save(struct dump_context *context, struct error *err);
void ghost_look_end(struct files_look *look);

/* kinds/file/pipe_content.c: a pipe or fifo as an object, whoever has it open. */
struct pipe_look {
	uint32_t id; /* pipe_id */
	dev_t dev;
	ino_t ino;
	bool fifo;
	bool readers, writers; /* the tree has it open for this */
	bool other_end; /* the end that the first holder lacks is open somewhere (poll(2)) */
	pid_t pid; /* who has it open for reading, or else for writing */
	int number;
	const char *what; /* the first holder's descriptor, for messages */
	pid_t what_pid;
	PipeEntry **entries;
	size_t entry_count, entry_capacity;
};
struct pipe_look *pipe_look(
	struct dump_context *context, const struct file_source *source, bool fifo);
/* The pipes of the tree, one after the other; NULL at the end. */
struct pipe_look *pipe_look_at(const struct dump_context *context, size_t index);
/* Writes the content of every pipe (or fifo) that has readers in the tree. */
int pipe_content_save(
	struct dump_context *context, bool fifo, enum image_type type, struct error *err);

/*
 * Restore.
 */

struct ghosts;
struct pipes;

struct files_restore {
	int root_fd;
	int highest_fd; /* in the images' descriptor tables */
	struct ghosts *ghosts; /* kinds/file/ghost.c */
	struct pipes *pipes; /* kinds/file/pipe_content.c */
	bool *owner_planned; /* by index in checkpoint->files */
	int *late_numbers; /* by index in checkpoint->files: where a holder has opened it; 0: not */
};

struct files_restore *files_restore_state(struct restore_context *context);
/* The next number of the inherited range. */
int files_reserve_number(struct restore_context *context, const char *what);
/* Moves fd (taken over, also on failure) to `number`, which has to be free. */
int files_place(int number, int fd, const char *what, struct error *err);
/* A damage found in an image: ERROR_BAD_IMAGE. */
struct error *files_damage(struct restore_context *context, const struct file *file,
	const char *format, ...) _printf_(3, 4);
/* The system differs from what the image says: ERROR_CONFLICT. */
struct error *files_conflict(struct restore_context *context, const struct file *file,
	const char *format, ...) _printf_(3, 4);
/* The descriptor that --inherit-fd gives for a resource ("pipe:[123]", "dir/file"); -1: none. */
int files_inherited_resource(const struct restore_context *context, const char *resource);
/* Is it usable as it stands in the image? May be NULL, which is fine. */
void files_check_owner(
	struct restore_context *context, const struct file *file, const FownEntry *owner);
/* F_SETSIG. The owner itself and O_ASYNC are set by ops, when it exists. */
int files_open_owner(const FownEntry *owner, int fd, struct error *err);
int files_plan_owner(struct restore_context *context, const struct file *file,
	const FdinfoEntry *entry, struct thread_plan *plan);

/* Opened by its holder, not by the conductor. */
bool files_is_late(const struct restore_context *context, const struct file *file);

/* kinds/file/regular.c */
int regular_check_entry(struct restore_context *context, const struct file *file,
	const RegFileEntry *reg, struct error *err);
int regular_open_entry(struct restore_context *context, const struct file *file,
	const RegFileEntry *reg, int *ret_fd, struct error *err);

/* kinds/file/ghost.c: remap-fpath.img and ghost-file-*.img. */
int ghost_load(struct restore_context *context, struct error *err);
/* Whether the file is one that has to be made (again). */
bool ghost_has(const struct restore_context *context, uint32_t file_id);
int ghost_check(struct restore_context *context, const struct file *file, const RegFileEntry *reg,
	struct error *err);
/* Opens it with the entry's flags. */
int ghost_open(struct restore_context *context, const struct file *file, const RegFileEntry *reg,
	int *ret_fd, struct error *err);
int ghost_opened(struct restore_context *context, struct error *err);
/* The dead process that a file of /proc/PID was of; 0: none. */
pid_t ghost_process_of(const struct restore_context *context, uint32_t file_id);
void ghost_close(struct files_restore *state);

/* kinds/file/procpid.c: files of /proc/PID. */
pid_t procpid_of_path(const char *path);
/* Is it of a process that is dead? `now` is what its path shows now, NULL for nothing. */
bool procpid_look_dead(const struct file_source *source, const struct stat *now);
int procpid_check(struct restore_context *context, const struct file *file, const RegFileEntry *reg,
	bool *ret_is_one, struct error *err);
/* Sets *ret_is_one. Where the task will be part of the tree, *ret_fd is -1: its holder opens it. */
int procpid_open(struct restore_context *context, const struct file *file, const RegFileEntry *reg,
	int *ret_fd, bool *ret_is_one, struct error *err);
int procpid_attach(struct restore_context *context, const struct file *file,
	const RegFileEntry *reg, const FdinfoEntry *entry, struct thread_plan *plan,
	struct error *err);

/* kinds/file/buildid.c: the GNU build id of an ELF file as reg_file_entry has it. Returns the
 * number of words, 0 when there is none. */
#define BUILD_ID_WORDS 16
size_t elf_build_id(int fd, uint32_t words[BUILD_ID_WORDS]);

/* kinds/file/pipe_content.c: a pipe or fifo of the images, whoever has it open. */
struct pipe_object {
	uint32_t id;
	bool fifo;
	bool filled;
	size_t users; /* files that are not open yet */
	int ends[2]; /* pipe: as pipe2(2) gave them; fifo: [0] is open for both; -1: not made */
	bool taken[2]; /* pipe: the description that pipe2(2) made is a file of the images */
	PipeDataEntry *data; /* NULL: none */
	void *bytes;
};
int pipe_content_load(
	struct restore_context *context, bool fifo, enum image_type type, struct error *err);
/* The pipe with this id, made when it is new. */
struct pipe_object *pipe_object(struct restore_context *context, uint32_t id, bool fifo);
/* Sets the size of the pipe that is open at fd (for writing, not waiting) and fills it, once. */
int pipe_object_fill(struct pipe_object *pipe, int fd, struct error *err);
/* Closes what was held. */
void pipe_content_close(struct files_restore *state, bool fifo);
