/*
 * Fifos: a description that has both a path (a file entry of its own, as CRIU writes it) and the
 * buffer of a pipe.
 *
 * The other end may be held by somebody outside who finds it by the same path, before and after; so
 * that is nothing to refuse.
 */
#include <fcntl.h>

#include "kinds/file/state.h"

static bool fifo_recognise(const struct file_source *source)
{
	return source->number >= 0 && S_ISFIFO(source->st.st_mode) && source->link[0] == '/' &&
	       !(source->info.flags & O_PATH);
}

static int fifo_describe(struct dump_context *context, const struct file_source *source,
	struct file *file, struct error *err)
{
	struct pipe_look *pipe = pipe_look(context, source, true);
	FifoEntry *entry = arena_new(context->arena, FifoEntry);
	struct file *path = checkpoint_add_file(context->checkpoint), copy;

	fifo_entry__init(entry);
	entry->id = file->id;
	entry->pipe_id = pipe->id;
	entry->has_regf_id = true;
	entry->regf_id = path->id;
	file->entry->fifo = entry;

	path->kind = file_kind_of_type(FD_TYPES__REG);
	path->entry = arena_new(context->arena, FileEntry);
	file_entry__init(path->entry);
	path->entry->id = path->id;
	path->entry->type = FD_TYPES__REG;
	copy = *path;
	return regular_describe_path(context, source, &copy, &copy.entry->reg, err);
}

static int fifo_save(struct dump_context *context, struct error *err)
{
	return pipe_content_save(context, true, IMAGE_FIFO_DATA, err);
}

static int fifo_load(struct restore_context *context, struct error *err)
{
	return pipe_content_load(context, true, IMAGE_FIFO_DATA, err);
}

/* The entry with the path; NULL where there is none. */
static const struct file *path_of(const struct restore_context *context, const FifoEntry *entry)
{
	const struct file *path =
		entry->has_regf_id ? checkpoint_file(context->checkpoint, entry->regf_id) : NULL;

	return path && path->entry->type == FD_TYPES__REG && path->entry->reg ? path : NULL;
}

/* The path itself is checked as the file that it is. */
static int fifo_check(struct restore_context *context, const struct file *file, struct error *err)
{
	const FifoEntry *entry = file->entry->fifo;
	const struct file *path = entry ? path_of(context, entry) : NULL;

	(void)err;
	if (!path || !path->entry->reg->has_mode || !S_ISFIFO(path->entry->reg->mode) ||
		(path->entry->reg->flags & O_PATH)) {
		files_damage(context, file, "it refers to no file that is a fifo");
		return 0;
	}
	pipe_object(context, entry->pipe_id, true)->users++;
	return 0;
}

/* Open for both while its descriptions are opened, so that no open waits for another end. */
static int hold(struct restore_context *context, struct pipe_object *pipe, const struct file *path,
	struct error *err)
{
	const RegFileEntry *reg = path->entry->reg;
	int fd;

	if (pipe->ends[0] >= 0)
		return 0;
	fd = files_openat(
		files_restore_state(context)->root_fd, reg->mnt_id, reg->name, O_RDWR | O_NONBLOCK);
	if (fd < 0)
		return error_set(err, -fd, "opening the fifo %s", reg->name);
	pipe->ends[0] = fd;
	return pipe_object_fill(pipe, fd, err);
}

static int fifo_open(
	struct restore_context *context, const struct file *file, int *ret_fd, struct error *err)
{
	const struct file *path = path_of(context, file->entry->fifo);
	struct pipe_object *pipe = pipe_object(context, file->entry->fifo->pipe_id, true);
	bool ghost = ghost_has(context, path->id);
	_cleanup_(close_fd) int fd = -1;
	int rc = ghost ? 0 : hold(context, pipe, path, err);

	if (rc < 0)
		return rc;
	/* A deleted one is held open where it is made. */
	rc = regular_open_entry(context, path, path->entry->reg, &fd, err);
	if (rc < 0)
		return rc;
	if (ghost && !pipe->filled) {
		_cleanup_(close_fd) int writer = files_reopen(fd, O_RDWR | O_NONBLOCK);

		rc = writer < 0 ? error_set(err, -writer, "opening the fifo %s",
					  path->entry->reg->name)
				: pipe_object_fill(pipe, writer, err);
		if (rc < 0)
			return rc;
	}
	if (--pipe->users == 0)
		close_fd(&pipe->ends[0]);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int fifo_opened(struct restore_context *context, struct error *err)
{
	(void)err;
	pipe_content_close(files_restore_state(context), true);
	return 0;
}

const struct file_kind fifo_kind = {
	.name = "fifo",
	.type = FD_TYPES__FIFO,
	.recognise = fifo_recognise,
	.describe = fifo_describe,
	.save = fifo_save,
	.load = fifo_load,
	.check = fifo_check,
	.open = fifo_open,
	.opened = fifo_opened,
};
