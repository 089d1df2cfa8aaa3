/*
 * Who is sent SIGIO (fcntl(2): F_SETOWN_EX, F_SETSIG).
 *
 * The kernel checks the signal against the uids of the task that set the owner, so the op that sets
 * it does so with those; and the owner has to exist, so it is set when all tasks do.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "kinds/file/state.h"

/* Flags and owner of a description, whatever its kind. */
static const FownEntry *owner_of(
	const struct restore_context *context, const struct file *file, uint32_t *ret_flags)
{
	const FileEntry *entry = file->entry;
	const struct file *path;

	*ret_flags = 0;
	if (entry->fifo) {
		path = checkpoint_file(context->checkpoint, entry->fifo->regf_id);
		entry = path->entry;
	}
	if (entry->reg) {
		*ret_flags = entry->reg->flags;
		return entry->reg->fown;
	}
	if (!entry->pipe)
		return NULL;
	*ret_flags = entry->pipe->flags;
	return entry->pipe->fown;
}

void files_check_owner(
	struct restore_context *context, const struct file *file, const FownEntry *owner)
{
	if (owner &&
		(owner->signum > 64 || owner->pid > INT32_MAX || owner->pid_type > F_OWNER_PGRP))
		files_damage(context, file, "its owner for signals is impossible");
}

int files_open_owner(const FownEntry *owner, int fd, struct error *err)
{
	if (owner && owner->signum && fcntl(fd, F_SETSIG, (int)owner->signum) < 0)
		return error_set(err, errno, "setting the signal of a descriptor");
	return 0;
}

static bool owner_exists(const struct restore_context *context, const FownEntry *owner)
{
	const struct checkpoint *checkpoint = context->checkpoint;
	pid_t pid = (pid_t)owner->pid;

	for (size_t i = 0; i < checkpoint->task_count; i++) {
		const struct task *task = checkpoint->tasks[i];

		if (task->pid == pid || (owner->pid_type == F_OWNER_PGRP && task->pgid == pid))
			return true;
		for (size_t t = 0; t < task->thread_count; t++)
			if (owner->pid_type == F_OWNER_TID && task->threads[t].tid == pid)
				return true;
	}
	return false;
}

static void plan_owner(
	struct restore_context *context, const FownEntry *owner, uint32_t fd, struct batch *batch)
{
	struct f_owner_ex *argument = arena_new(context->arena, struct f_owner_ex);
	bool other = owner->uid || owner->euid;

	argument->type = (int)owner->pid_type;
	argument->pid = (pid_t)owner->pid;
	/* The saved uid stays 0, and with it the way back. */
	if (other)
		batch_op(batch, "take the uids of who had set the owner", SYS_setresuid,
			VAL(owner->uid), VAL(owner->euid), VAL(0));
	batch_op(batch, "set who is sent the signals of a descriptor", SYS_fcntl, VAL(fd),
		VAL(F_SETOWN_EX), IN(argument, sizeof(*argument)));
	if (other)
		batch_op(batch, "become root again", SYS_setresuid, VAL(0), VAL(0), VAL(0));
}

int files_plan_owner(struct restore_context *context, const struct file *file,
	const FdinfoEntry *entry, struct thread_plan *plan)
{
	struct batch *batch = plan->phases[PHASE_STATE];
	uint32_t flags;
	const FownEntry *owner = owner_of(context, file, &flags);

	if (owner && owner->pid && owner_exists(context, owner))
		plan_owner(context, owner, entry->fd, batch);
	else if (owner && owner->pid)
		log_warn("File %u sends its signals to %u, which is not in the tree: left out",
			file->id, owner->pid);
	/* Signals carry the number by which O_ASYNC was set: it has to be the task's. */
	if (flags & O_ASYNC)
		batch_op(batch, "let a descriptor send signals", SYS_fcntl, VAL(entry->fd),
			VAL(F_SETFL), VAL(flags));
	return 0;
}
