/*
 * Files of /proc/PID.
 *
 * One of a process of the tree can be opened only when that process exists again: its holder opens
 * it, as an op. One of a process that is dead (reads fail with ESRCH) is opened while a short-lived
 * process has that pid. Others are files like any other.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "kinds/file/state.h"

pid_t procpid_of_path(const char *path)
{
	char *end;
	long pid;

	if (!starts_with(path, "/proc/") || path[6] < '1' || path[6] > '9')
		return 0;
	pid = strtol(path + 6, &end, 10);
	if (pid > INT32_MAX || (*end && *end != '/' && !streq(end, " (deleted)")))
		return 0;
	return (pid_t)pid;
}

bool procpid_look_dead(const struct file_source *source, const struct stat *now)
{
	struct statfs fs;

	if (!procpid_of_path(source->link) || fstatfs(source->fd, &fs) < 0 ||
		fs.f_type != PROC_SUPER_MAGIC)
		return false;
	/* The path of a dead process's file stays as it was, without "(deleted)". When the pid was
	 * given out again, there is another inode. */
	return !now || now->st_dev != source->st.st_dev || now->st_ino != source->st.st_ino;
}

static bool pid_in_tree(const struct restore_context *context, pid_t pid)
{
	const struct checkpoint *checkpoint = context->checkpoint;

	for (size_t i = 0; i < checkpoint->task_count; i++) {
		const struct task *task = checkpoint->tasks[i];

		if (task->pid == pid)
			return true;
		for (size_t t = 0; t < task->thread_count; t++)
			if (task->threads[t].tid == pid)
				return true;
	}
	return false;
}

bool files_is_late(const struct restore_context *context, const struct file *file)
{
	const RegFileEntry *reg = file->entry->reg;
	pid_t pid = reg ? procpid_of_path(reg->name) : 0;

	return pid && !ghost_process_of(context, file->id) && pid_in_tree(context, pid);
}

static size_t tables_with(const struct restore_context *context, uint32_t id)
{
	const struct checkpoint *checkpoint = context->checkpoint;
	size_t count = 0;

	for (size_t i = 0; i < checkpoint->fd_table_count; i++) {
		const struct fd_table *table = checkpoint->fd_tables[i];
		bool has = false;

		for (size_t e = 0; e < table->count; e++)
			has = has || table->entries[e]->id == id;
		count += has;
	}
	return count;
}

static void check_dead(struct restore_context *context, const struct file *file,
	const RegFileEntry *reg, pid_t pid)
{
	if (pid != procpid_of_path(reg->name)) {
		files_damage(context, file, "%s is not of process %d", reg->name, pid);
		return;
	}
	/* The tree's own reuse of the pid, or somebody else's: one process cannot be both. */
	if (pid_in_tree(context, pid) || kill(pid, 0) == 0 || errno == EPERM)
		error_hint(files_conflict(context, file,
				   "%s is of a dead process, but there is a process %d now",
				   reg->name, pid),
			"restore when that process has ended, or in a pid namespace of its own");
}

int procpid_check(struct restore_context *context, const struct file *file, const RegFileEntry *reg,
	bool *ret_is_one, struct error *err)
{
	pid_t pid = procpid_of_path(reg->name), dead = ghost_process_of(context, file->id);

	(void)err;
	*ret_is_one = true;
	if (dead) {
		check_dead(context, file, reg, dead);
		return 0;
	}
	if (!pid || !pid_in_tree(context, pid)) {
		*ret_is_one = false;
		return 0;
	}
	if (tables_with(context, file->id) != 1)
		files_conflict(context, file,
			"%s of the tree itself is shared by several processes or is a working "
			"directory, which this version cannot restore",
			reg->name);
	return 0;
}

static void wait_for_end(pid_t parent)
{
	/* Nothing of the C library: the caller may have threads. */
	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	while (syscall(SYS_getppid) == parent)
		syscall(SYS_pause);
	syscall(SYS_exit, 0);
}

static int open_dead(struct restore_context *context, const RegFileEntry *reg, pid_t pid,
	int *ret_fd, struct error *err)
{
	struct clone_args args = {
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};
	pid_t self = getpid();
	long child = syscall(SYS_clone3, &args, sizeof(args));
	int rc = 0;

	if (child == 0)
		wait_for_end(self);
	if (child < 0) {
		rc = error_set(
			err, errno, "making a process %d for a moment, to open %s", pid, reg->name);
		error_class(err, ERROR_CONFLICT);
		return rc;
	}
	*ret_fd = files_openat(files_restore_state(context)->root_fd, reg->mnt_id, reg->name,
		reg->flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC));
	if (*ret_fd < 0)
		rc = error_set(err, -*ret_fd, "opening %s of a process that had died", reg->name);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return rc;
}

int procpid_open(struct restore_context *context, const struct file *file, const RegFileEntry *reg,
	int *ret_fd, bool *ret_is_one, struct error *err)
{
	pid_t pid = procpid_of_path(reg->name), dead = ghost_process_of(context, file->id);

	*ret_is_one = true;
	*ret_fd = -1;
	if (dead)
		return open_dead(context, reg, dead, ret_fd, err);
	*ret_is_one = pid && pid_in_tree(context, pid);
	return 0;
}

int procpid_attach(struct restore_context *context, const struct file *file,
	const RegFileEntry *reg, const FdinfoEntry *entry, struct thread_plan *plan,
	struct error *err)
{
	struct files_restore *state = files_restore_state(context);
	int *late = &state->late_numbers[file - context->checkpoint->files];
	struct batch *batch = plan->phases[PHASE_FILES];
	int flags = entry->flags & FD_CLOEXEC ? O_CLOEXEC : 0;
	int opened, moved;

	(void)err;
	if (!files_is_late(context, file))
		return 0;
	if (*late) {
		batch_op(batch, "duplicate the file of /proc", SYS_dup3, VAL(*late - 1),
			VAL(entry->fd), VAL(flags));
		return 0;
	}
	/* By way of a high number: the one that open gives may be the one that is wanted. */
	opened = batch_op(batch, "open a file of /proc", SYS_openat, VAL(AT_FDCWD),
		IN(reg->name, strlen(reg->name) + 1),
		VAL(reg->flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC)));
	moved = batch_op(batch, "move it up", SYS_fcntl, RESULT(opened), VAL(F_DUPFD),
		VAL(context->inherited_base));
	batch_op(batch, "close the first descriptor of it", SYS_close, RESULT(opened));
	batch_op(batch, "give it its number", SYS_dup3, RESULT(moved), VAL(entry->fd), VAL(flags));
	batch_op(batch, "close the second descriptor of it", SYS_close, RESULT(moved));
	if (reg->pos)
		batch_op(batch, "set its position", SYS_lseek, VAL(entry->fd), VAL(reg->pos),
			VAL(SEEK_SET));
	*late = (int)entry->fd + 1;
	return 0;
}
