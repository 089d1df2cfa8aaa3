/*
 * Dump: every open file of the tree is found once.
 *
 * A descriptor is fetched with pidfd_getfd(2), looked at and closed again, so that a table of a
 * hundred thousand descriptors needs one of ours. Descriptors of any tasks that refer to the same
 * open file description (dup, fork, SCM_RIGHTS) are recognised by kcmp(2), which also orders
 * descriptions; a tree ordered by inode first and kcmp second finds a description among n with
 * log n comparisons, also when all of them are of one inode (as all eventfds are). Flags and
 * positions are no part of the order: somebody outside the tree who shares the description may
 * change them at any time.
 */
#include "kinds/file/collect.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <search.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "kinds/file/state.h"

/* linux/fcntl.h, which clashes with the C library's. */
#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif

/* An open file description in the tree `descriptions`. */
struct description {
	struct files_look *look;
	dev_t dev;
	ino_t ino;
	pid_t pid;
	int number;
	uint32_t file_id; /* 0: of a kind that is refused */
};

/* An inode with the way in which a restore opens it, in the tree `inodes`. */
struct opened_inode {
	dev_t dev;
	ino_t ino;
	uint32_t flags;
	const char *link;
	uint32_t file_id; /* 0: refused */
};

struct files_look *files_look_state(struct dump_context *context)
{
	struct files_look *look = context->files;

	if (look)
		return look;
	look = context->files = arena_new(context->arena, struct files_look);
	look->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	look->pidfd = -1;
	return look;
}

static void keep_node(void *node)
{
	(void)node; /* nodes belong to the arena */
}

void files_look_end(struct dump_context *context)
{
	struct files_look *look = context->files;

	if (!look)
		return;
	ghost_look_end(look);
	tdestroy(take_ptr(look->descriptions), keep_node);
	tdestroy(take_ptr(look->inodes), keep_node);
	close_fd(&look->pidfd);
	close_fd(&look->root_fd);
	context->files = NULL;
}

int files_fetch(struct dump_context *context, pid_t pid, int number)
{
	struct files_look *look = files_look_state(context);
	int fd;

	if (look->pidfd_pid != pid || look->pidfd < 0) {
		close_fd(&look->pidfd);
		look->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (look->pidfd < 0)
			return -errno;
		look->pidfd_pid = pid;
	}
	fd = (int)syscall(SYS_pidfd_getfd, look->pidfd, number, 0);
	return fd < 0 ? -errno : fd;
}

static int compare_descriptions(const void *a, const void *b)
{
	const struct description *left = a, *right = b;
	long order;

	if (left->dev != right->dev)
		return left->dev < right->dev ? -1 : 1;
	if (left->ino != right->ino)
		return left->ino < right->ino ? -1 : 1;
	if (left->pid == right->pid && left->number == right->number)
		return 0;
	order = syscall(SYS_kcmp, left->pid, right->pid, KCMP_FILE, (unsigned long)left->number,
		(unsigned long)right->number);
	if (order < 0) {
		left->look->kcmp_errno = errno;
		return 0;
	}
	/* 0 equal, 1 less, 2 greater; 3 would be "different, in no order", which no file is. */
	return order == 0 ? 0 : order == 1 ? -1 : 1;
}

static int compare_inodes(const void *a, const void *b)
{
	const struct opened_inode *left = a, *right = b;

	if (left->dev != right->dev)
		return left->dev < right->dev ? -1 : 1;
	if (left->ino != right->ino)
		return left->ino < right->ino ? -1 : 1;
	if (left->flags != right->flags)
		return left->flags < right->flags ? -1 : 1;
	return strcmp(left->link, right->link);
}

const char *files_name_source(struct dump_context *context, const struct file_source *source)
{
	return arena_printf(context->arena, "%s of task %d", source->what, source->pid);
}

struct error *files_obstacle(
	struct dump_context *context, const struct file_source *source, const char *format, ...)
{
	struct error *err = problems_add(context->problems);
	char text[700];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	error_refuse(err, ERROR_CANNOT_DUMP, "%s of task %d %s", source->what, source->pid, text);
	error_about_fd(err, source->pid, source->number);
	error_about_object(err, "%s", source->link ?: "");
	return err;
}

FownEntry *files_look_owner(struct dump_context *context, const struct file_source *source)
{
	FownEntry *entry = arena_new(context->arena, FownEntry);
	struct f_owner_ex owner = {};
	uid_t uids[2] = {};
	int signum;

	fown_entry__init(entry);
	/* O_PATH descriptors have no owner and answer EBADF. */
	if (source->number < 0 || (source->info.flags & O_PATH))
		return entry;
	signum = fcntl(source->fd, F_GETSIG);
	entry->signum = signum > 0 ? (uint32_t)signum : 0;
	if (fcntl(source->fd, F_GETOWN_EX, &owner) < 0 || !owner.pid)
		return entry;
	entry->pid_type = (uint32_t)owner.type;
	entry->pid = (uint32_t)owner.pid;
	/* Only with CONFIG_CHECKPOINT_RESTORE; without it the owner is root. */
	if (fcntl(source->fd, F_GETOWNER_UIDS, uids) == 0) {
		entry->uid = uids[0];
		entry->euid = uids[1];
	}
	return entry;
}

/* Lets the first kind that knows the file describe it. *ret_id is 0 where none does. */
static int describe(struct dump_context *context, const struct file_source *source,
	uint32_t *ret_id, struct error *err)
{
	const struct file_kind *kind = NULL;
	struct file *file, copy;

	*ret_id = 0;
	for (size_t i = 0; file_kinds[i] && !kind; i++)
		if (file_kinds[i]->recognise && file_kinds[i]->recognise(source))
			kind = file_kinds[i];
	if (!kind) {
		files_refuse(context, source);
		return 0;
	}
	file = checkpoint_add_file(context->checkpoint);
	file->kind = kind;
	file->entry = arena_new(context->arena, FileEntry);
	file_entry__init(file->entry);
	file->entry->id = file->id;
	file->entry->type = kind->type;
	*ret_id = file->id;
	/* A copy: a kind that adds files moves the array. */
	copy = *file;
	return kind->describe(context, source, &copy, err);
}

static int fail(struct error *err, int rc, pid_t pid, int number, const char *doing)
{
	error_set(err, -rc, "%s descriptor %d of task %d", doing, number, pid);
	error_about_fd(err, pid, number);
	if (rc == -EPERM)
		error_hint(err, "run as root, or with CAP_SYS_PTRACE over the task");
	if (rc == -ESRCH) {
		error_class(err, ERROR_GONE);
		return rc;
	}
	return rc;
}

/* A description that was not seen before. */
static int look_description(struct dump_context *context, struct file_source *source,
	struct description *description, struct error *err)
{
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "fd/%d", source->number);
	source->what = arena_printf(context->arena, "descriptor %d", source->number);
	rc = procfs_read_link(source->pid, name, &source->link, err);
	if (rc < 0)
		return rc;
	rc = describe(context, source, &description->file_id, err);
	free_ptr(&source->link);
	return rc;
}

/* Finds it or, with one walk through the tree, adds it. */
static struct description *find_description(
	struct dump_context *context, const struct file_source *source, bool *ret_new)
{
	struct files_look *look = files_look_state(context);
	struct description *candidate =
		look->spare ?: arena_new(context->arena, struct description);
	struct description **found;

	*candidate = (struct description){
		.look = look,
		.dev = source->st.st_dev,
		.ino = source->st.st_ino,
		.pid = source->pid,
		.number = source->number,
	};
	found = tsearch(candidate, &look->descriptions, compare_descriptions);
	if (!found)
		out_of_memory(sizeof(void *) * 4);
	*ret_new = *found == candidate;
	look->spare = *ret_new ? NULL : candidate;
	return *found;
}

static void add_entry(struct dump_context *context, struct fd_table *table,
	const struct file_source *source, uint32_t id)
{
	FdinfoEntry *entry = arena_new(context->arena, FdinfoEntry);

	fdinfo_entry__init(entry);
	entry->id = id;
	entry->flags = source->info.flags & O_CLOEXEC ? FD_CLOEXEC : 0;
	entry->type = checkpoint_file(context->checkpoint, id)->entry->type;
	entry->fd = (uint32_t)source->number;
	table->entries = arena_grow(context->arena, table->entries, &table->capacity,
		table->count + 1, sizeof(*table->entries));
	table->entries[table->count++] = entry;
}

/* Locks show in fdinfo: flock and OFD locks with every descriptor of their description, POSIX locks
 * with every descriptor of the inode in the task that has them. */
static void look_locks(struct dump_context *context, struct file_source *source, bool new)
{
	const char *lock = source->info.text ? strstr(source->info.text, "\nlock:") : NULL;

	if (!lock || (!new && !strstr(lock, "POSIX")))
		return;
	source->what = arena_printf(context->arena, "descriptor %d", source->number);
	error_hint(
		files_obstacle(context, source, "has a file lock, which this version cannot dump"),
		"file locks (--file-locks) come later: let the task unlock the file before the "
		"dump");
}

static int look_descriptor(struct dump_context *context, pid_t pid, int number,
	struct fd_table *table, struct error *err)
{
	struct files_look *look = files_look_state(context);
	_cleanup_(close_fd) int fd = files_fetch(context, pid, number);
	struct file_source source = {.pid = pid, .number = number, .fd = fd};
	struct description *description;
	bool new;
	int rc = 0;

	if (fd < 0)
		return fail(err, fd, pid, number, "fetching");
	if (fstat(fd, &source.st) < 0)
		return fail(err, -errno, pid, number, "looking at");
	rc = procfs_read_fdinfo(pid, number, &source.info, err);
	if (rc < 0)
		return rc;
	description = find_description(context, &source, &new);
	if (look->kcmp_errno)
		rc = fail(err, -look->kcmp_errno, pid, number, "comparing (kcmp(2))");
	else if (new)
		rc = look_description(context, &source, description, err);
	look_locks(context, &source, new);
	proc_fdinfo_deinit(&source.info);
	if (rc < 0)
		return rc;
	if (description->file_id)
		add_entry(context, table, &source, description->file_id);
	return 0;
}

int files_look_table(
	struct dump_context *context, pid_t pid, struct fd_table *table, struct error *err)
{
	_cleanup_(free_ptr) int *numbers = NULL;
	size_t count;
	int rc = procfs_read_fds(pid, &numbers, &count, err);

	for (size_t i = 0; rc >= 0 && i < count; i++)
		rc = look_descriptor(context, pid, numbers[i], table, err);
	return rc < 0 ? rc : 0;
}

/* A file that is known by inode and the way in which to open it, not by a descriptor of the task.
 * Tasks that stand in the same directory share one file in the images. */
static int look_inode(struct dump_context *context, struct file_source *source, uint32_t *ret_id,
	struct error *err)
{
	struct files_look *look = files_look_state(context);
	struct opened_inode probe = {
		.flags = source->info.flags,
		.link = source->link,
	};
	struct opened_inode **found, *added;
	int rc;

	if (fstat(source->fd, &source->st) < 0)
		return error_set(err, errno, "looking at %s of task %d (%s)", source->what,
			source->pid, source->link);
	probe.dev = source->st.st_dev;
	probe.ino = source->st.st_ino;
	found = tfind(&probe, &look->inodes, compare_inodes);
	if (found) {
		*ret_id = (*found)->file_id;
		return 0;
	}
	rc = describe(context, source, &probe.file_id, err);
	if (rc < 0)
		return rc;
	probe.link = arena_strdup(context->arena, source->link);
	added = arena_memdup(context->arena, &probe, sizeof(probe));
	if (!tsearch(added, &look->inodes, compare_inodes))
		out_of_memory(sizeof(void *) * 4);
	*ret_id = probe.file_id;
	return 0;
}

/* /proc/PID/cwd, root or exe. */
static int look_link(struct dump_context *context, pid_t pid, const char *name, const char *what,
	uint32_t *ret_id, struct error *err)
{
	_cleanup_(close_fd) int fd = procfs_open(pid, name, O_PATH, err);
	struct file_source source = {.pid = pid, .number = -1, .what = what, .fd = fd};
	int rc;

	if (fd < 0)
		return fd;
	rc = procfs_read_link(pid, name, &source.link, err);
	if (rc < 0)
		return rc;
	rc = look_inode(context, &source, ret_id, err);
	free(source.link);
	return rc;
}

int files_look_fs(struct dump_context *context, pid_t pid, struct task *task, struct error *err)
{
	struct proc_status status;
	FsEntry *fs = arena_new(context->arena, FsEntry);
	int rc;

	fs_entry__init(fs);
	rc = look_link(context, pid, "cwd", "the working directory", &fs->cwd_id, err);
	if (rc < 0)
		return rc;
	rc = look_link(context, pid, "root", "the root directory", &fs->root_id, err);
	if (rc < 0)
		return rc;
	rc = procfs_read_status(pid, pid, &status, err);
	if (rc < 0)
		return rc;
	proc_status_deinit(&status);
	fs->has_umask = true;
	fs->umask = status.umask;
	task->fs = fs;
	return 0;
}

int files_look_exe(struct dump_context *context, pid_t pid, uint32_t *ret_id, struct error *err)
{
	return look_link(context, pid, "exe", "the executable", ret_id, err);
}

int files_look_mapped(struct dump_context *context, pid_t pid, int fd, uint32_t flags,
	const char *link, uint32_t *ret_id, struct error *err)
{
	_cleanup_(close_fd) int owned = fd;
	struct file_source source = {
		.pid = pid,
		.number = -1,
		.fd = owned,
		.what = "a mapping",
		.link = (char *)(uintptr_t)link,
		.info = {.flags = flags},
	};

	return look_inode(context, &source, ret_id, err);
}

int files_look_finish(struct dump_context *context, struct error *err)
{
	for (size_t i = 0; file_kinds[i]; i++) {
		int rc = file_kinds[i]->conclude ? file_kinds[i]->conclude(context, err) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Files with a path first: readers that resolve references while they read (a fifo's to the file
 * that names it) find them. */
static int save_files(struct dump_context *context, struct error *err)
{
	const struct checkpoint *checkpoint = context->checkpoint;
	struct image_writer *writer;
	int rc = dump_writer(context, IMAGE_FILES, &writer, err);

	for (int pass = 0; rc >= 0 && pass < 2; pass++)
		for (size_t i = 0; rc >= 0 && i < checkpoint->file_count; i++) {
			const FileEntry *entry = checkpoint->files[i].entry;

			if ((entry->type == FD_TYPES__REG) == (pass == 0))
				rc = image_write(writer, &entry->base, err);
		}
	return rc;
}

static int save_table(struct dump_context *context, const struct fd_table *table, struct error *err)
{
	struct image_writer *writer;
	int rc = image_writer_open(context->dir, IMAGE_FDINFO, table->id, &writer, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < table->count && rc >= 0; i++)
		rc = image_write(writer, &table->entries[i]->base, err);
	if (rc < 0) {
		image_writer_cleanup(&writer);
		return rc;
	}
	return image_writer_close(writer, err);
}

int files_save(struct dump_context *context, struct error *err)
{
	const struct checkpoint *checkpoint = context->checkpoint;
	int rc = 0;

	/* The kinds come first: saving may add files (the name that keeps a deleted file). */
	for (size_t i = 0; file_kinds[i] && rc >= 0; i++)
		if (file_kinds[i]->save)
			rc = file_kinds[i]->save(context, err);
	if (rc >= 0)
		rc = save_files(context, err);
	for (size_t i = 0; i < checkpoint->fd_table_count && rc >= 0; i++)
		rc = save_table(context, checkpoint->fd_tables[i], err);
	for (size_t i = 0; i < checkpoint->task_count && rc >= 0; i++) {
		const struct task *task = checkpoint->tasks[i];

		if (task->fs)
			rc = image_write_single(
				context->dir, IMAGE_FS, (uint64_t)task->pid, &task->fs->base, err);
	}
	return rc < 0 ? rc : 0;
}
