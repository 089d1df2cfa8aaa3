/*
 * Pipes: every description of either end, found by the pipe's inode.
 *
 * A description made by pipe2(2) lacks the O_LARGEFILE that open(2) adds; others come from opening
 * /proc/PID/fd/N. A pipe whose other end nobody has is restored without it, so that reads end and
 * writes fail as they did.
 */
#include <fcntl.h>

#include "base/log.h"
#include "kinds/file/state.h"

#define SETTABLE_FLAGS (O_NONBLOCK | O_DIRECT | O_ASYNC | O_APPEND | O_NOATIME)

static bool pipe_recognise(const struct file_source *source)
{
	return source->number >= 0 && S_ISFIFO(source->st.st_mode) &&
	       starts_with(source->link, "pipe:[");
}

static int pipe_describe(struct dump_context *context, const struct file_source *source,
	struct file *file, struct error *err)
{
	struct pipe_look *pipe = pipe_look(context, source, false);
	PipeEntry *entry = arena_new(context->arena, PipeEntry);

	(void)err;
	pipe_entry__init(entry);
	entry->id = file->id;
	entry->pipe_id = pipe->id;
	entry->flags = source->info.flags & ~(uint32_t)O_CLOEXEC;
	entry->fown = files_look_owner(context, source);
	file->entry->pipe = entry;
	pipe->entries = arena_grow(context->arena, pipe->entries, &pipe->entry_capacity,
		pipe->entry_count + 1, sizeof(entry));
	pipe->entries[pipe->entry_count++] = entry;
	return 0;
}

/*
 * A pipe that leads out of the tree (the standard streams of a container, or what a shell has leaked)
 * is not refused: those who restore such trees (runc, podman) give a pipe in its place on restore
 * (--inherit-fd) and say nothing when they dump. The image keeps that it did, and both sides warn.
 * That both ends are in the tree and somebody outside has one of them as well cannot be seen.
 */
static int pipe_conclude(struct dump_context *context, struct error *err)
{
	struct pipe_look *pipe;

	(void)err;
	for (size_t i = 0; (pipe = pipe_look_at(context, i)); i++) {
		char name[32];

		if (pipe->fifo || (pipe->readers && pipe->writers) || !pipe->other_end)
			continue;
		for (size_t e = 0; e < pipe->entry_count; e++)
			pipe->entries[e]->has_peer_outside = pipe->entries[e]->peer_outside = true;
		snprintf(name, sizeof(name), "pipe:[%u]", pipe->id);
		if (string_list_has(&context->job->external, name))
			continue;
		log_warn("%s of task %d is %s, whose %s end is open outside of the tree: restore "
			 "with --inherit-fd 'fd[N]:%s', or it will lead nowhere",
			pipe->what, pipe->what_pid, name, pipe->readers ? "writing" : "reading",
			name);
	}
	return 0;
}

static int pipe_save(struct dump_context *context, struct error *err)
{
	return pipe_content_save(context, false, IMAGE_PIPES_DATA, err);
}

static int pipe_load(struct restore_context *context, struct error *err)
{
	return pipe_content_load(context, false, IMAGE_PIPES_DATA, err);
}

static int inherited(const struct restore_context *context, const PipeEntry *entry)
{
	char name[32];

	snprintf(name, sizeof(name), "pipe:[%u]", entry->pipe_id);
	return files_inherited_resource(context, name);
}

static int pipe_check(struct restore_context *context, const struct file *file, struct error *err)
{
	const PipeEntry *entry = file->entry->pipe;

	(void)err;
	if (!entry || (entry->flags & O_ACCMODE) == O_ACCMODE ||
		(entry->flags & ~(uint32_t)(O_ACCMODE | SETTABLE_FLAGS | KERNEL_O_LARGEFILE |
					    O_CLOEXEC | O_NOFOLLOW | O_SYNC))) {
		files_damage(context, file, "its flags are impossible for a pipe");
		return 0;
	}
	files_check_owner(context, file, entry->fown);
	pipe_object(context, entry->pipe_id, false)->users++;
	if (entry->peer_outside && inherited(context, entry) < 0)
		log_warn("The other end of pipe:[%u] was outside of the tree when it was dumped, "
			 "and "
			 "there is no --inherit-fd 'fd[N]:pipe:[%u]': it will lead nowhere",
			entry->pipe_id, entry->pipe_id);
	return 0;
}

/* The description that pipe2(2) itself made, if the entry looks like one; else a new one. The ends
 * are held until every description of the pipe has been opened; holding a duplicate adds neither a
 * reader nor a writer. */
static int open_end(struct pipe_object *pipe, uint32_t flags)
{
	int access = (int)(flags & O_ACCMODE), end = access == O_WRONLY;

	if (pipe->ends[0] < 0 && pipe2(pipe->ends, O_CLOEXEC) < 0)
		return -errno;
	if (access != O_RDWR && !(flags & KERNEL_O_LARGEFILE) && !pipe->taken[end]) {
		int fd = fcntl(pipe->ends[end], F_DUPFD_CLOEXEC, 0);

		pipe->taken[end] = true;
		return fd < 0 ? -errno : fd;
	}
	return files_reopen(pipe->ends[0], access | O_NONBLOCK);
}

static int fill(struct pipe_object *pipe, struct error *err)
{
	_cleanup_(close_fd) int writer = -1;

	if (pipe->filled || !pipe->data)
		return 0;
	writer = files_reopen(pipe->ends[0], O_WRONLY | O_NONBLOCK);
	return writer < 0 ? error_set(err, -writer, "opening pipe %u", pipe->id)
			  : pipe_object_fill(pipe, writer, err);
}

static int open_given(int given, uint32_t flags)
{
	int fd = files_reopen(given, (int)(flags & O_ACCMODE) | O_NONBLOCK);

	/* A socket or the like in the pipe's place: shared as it is. */
	if (fd < 0)
		fd = fcntl(given, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int pipe_open(
	struct restore_context *context, const struct file *file, int *ret_fd, struct error *err)
{
	const PipeEntry *entry = file->entry->pipe;
	struct pipe_object *pipe = pipe_object(context, entry->pipe_id, false);
	int given = inherited(context, entry);
	_cleanup_(close_fd) int fd = -1;
	int rc;

	fd = given >= 0 ? open_given(given, entry->flags) : open_end(pipe, entry->flags);
	if (fd < 0)
		return error_set(err, -fd, "making pipe %u", entry->pipe_id);
	rc = given >= 0 ? 0 : fill(pipe, err);
	if (rc < 0)
		return rc;
	if (--pipe->users == 0) {
		close_fd(&pipe->ends[0]);
		close_fd(&pipe->ends[1]);
	}
	if (fcntl(fd, F_SETFL, (int)(entry->flags & SETTABLE_FLAGS & ~O_ASYNC)) < 0)
		return error_set(err, errno, "setting the flags of pipe %u", entry->pipe_id);
	rc = files_open_owner(entry->fown, fd, err);
	if (rc < 0)
		return rc;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int pipe_opened(struct restore_context *context, struct error *err)
{
	(void)err;
	pipe_content_close(files_restore_state(context), false);
	return 0;
}

const struct file_kind pipe_kind = {
	.name = "pipe",
	.type = FD_TYPES__PIPE,
	.limits = "a pipe that leads out of the tree needs --inherit-fd on restore",
	.recognise = pipe_recognise,
	.describe = pipe_describe,
	.conclude = pipe_conclude,
	.save = pipe_save,
	.load = pipe_load,
	.check = pipe_check,
	.open = pipe_open,
	.opened = pipe_opened,
};
