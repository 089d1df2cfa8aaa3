/*
 * What pipes and fifos have in common: an inode with a buffer, which is dumped and filled once,
 * however many descriptions of it there are.
 *
 * The content is copied with tee(2), which takes nothing out and keeps the borders of packets
 * (O_DIRECT): a read from the copy returns one packet at a time. The image has the bytes as CRIU
 * has them, and the lengths of packets in a field of our own.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "base/io.h"
#include "kinds/file/state.h"

/* A pipe(2) that did not say otherwise. */
#define DEFAULT_SIZE 65536

struct pipes_look {
	struct pipe_look **items;
	size_t count, capacity;
	size_t *table; /* open addressing by inode: index + 1; a power of two long */
	size_t table_size;
};

static size_t slot_of(const struct pipes_look *pipes, dev_t dev, ino_t ino)
{
	return (size_t)((ino ^ dev << 20) * 0x9e3779b97f4a7c15u) & (pipes->table_size - 1);
}

static void insert(struct pipes_look *pipes, size_t index)
{
	const struct pipe_look *pipe = pipes->items[index];
	size_t slot = slot_of(pipes, pipe->dev, pipe->ino);

	while (pipes->table[slot])
		slot = (slot + 1) & (pipes->table_size - 1);
	pipes->table[slot] = index + 1;
}

static struct pipe_look *find(const struct pipes_look *pipes, dev_t dev, ino_t ino)
{
	size_t slot;

	if (!pipes->table_size)
		return NULL;
	for (slot = slot_of(pipes, dev, ino); pipes->table[slot];
		slot = (slot + 1) & (pipes->table_size - 1)) {
		struct pipe_look *pipe = pipes->items[pipes->table[slot] - 1];

		if (pipe->dev == dev && pipe->ino == ino)
			return pipe;
	}
	return NULL;
}

static bool id_is_used(const struct pipes_look *pipes, uint32_t id)
{
	for (size_t i = 0; i < pipes->count; i++)
		if (pipes->items[i]->fifo && pipes->items[i]->id == id)
			return true;
	return false;
}

static struct pipe_look *add(
	struct dump_context *context, const struct file_source *source, bool fifo)
{
	struct pipes_look *pipes = context->files->pipes;
	struct pipe_look *pipe = arena_new(context->arena, struct pipe_look);

	pipe->dev = source->st.st_dev;
	pipe->ino = source->st.st_ino;
	pipe->fifo = fifo;
	/* A pipe's inode number has 32 bits; those of fifos may be longer, and meet. */
	pipe->id = (uint32_t)source->st.st_ino;
	while (fifo && id_is_used(pipes, pipe->id))
		pipe->id++;
	pipes->items = arena_grow(context->arena, pipes->items, &pipes->capacity, pipes->count + 1,
		sizeof(*pipes->items));
	pipes->items[pipes->count++] = pipe;
	if (pipes->count * 2 > pipes->table_size) {
		pipes->table_size = MAX(64, pipes->table_size * 2);
		pipes->table = arena_array(context->arena, size_t, pipes->table_size);
		for (size_t i = 0; i < pipes->count; i++)
			insert(pipes, i);
	} else {
		insert(pipes, pipes->count - 1);
	}
	return pipe;
}

/* Whether the end that this description is not is open anywhere. A writer learns by POLLERR that
 * nobody reads, a reader by POLLHUP that nobody writes. */
static bool other_end_exists(const struct file_source *source)
{
	struct pollfd poller = {.fd = source->fd};

	if ((source->info.flags & O_ACCMODE) == O_RDWR)
		return true;
	return poll(&poller, 1, 0) < 0 || !(poller.revents & (POLLERR | POLLHUP));
}

struct pipe_look *pipe_look(
	struct dump_context *context, const struct file_source *source, bool fifo)
{
	struct files_look *look = files_look_state(context);
	int access = source->info.flags & O_ACCMODE;
	struct pipe_look *pipe;

	if (!look->pipes)
		look->pipes = arena_new(context->arena, struct pipes_look);
	pipe = find(look->pipes, source->st.st_dev, source->st.st_ino);
	if (!pipe) {
		pipe = add(context, source, fifo);
		pipe->pid = pipe->what_pid = source->pid;
		pipe->number = source->number;
		pipe->what = source->what;
		pipe->other_end = other_end_exists(source);
	}
	if (access != O_WRONLY && !pipe->readers) {
		pipe->readers = true;
		pipe->pid = source->pid;
		pipe->number = source->number;
	}
	pipe->writers = pipe->writers || access != O_RDONLY;
	return pipe;
}

struct pipe_look *pipe_look_at(const struct dump_context *context, size_t index)
{
	const struct pipes_look *pipes = context->files ? context->files->pipes : NULL;

	return pipes && index < pipes->count ? pipes->items[index] : NULL;
}

/* A copy of the content, in a pipe of our own with room for it. */
static int copy_content(int fd, int size, int ret_ends[2], int *ret_bytes)
{
	ssize_t copied;

	if (ioctl(fd, FIONREAD, ret_bytes) < 0)
		return -errno;
	if (pipe2(ret_ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	if (fcntl(ret_ends[1], F_SETPIPE_SZ, size) < 0)
		return -errno;
	if (!*ret_bytes)
		return 0;
	copied = tee(fd, ret_ends[1], (size_t)*ret_bytes, SPLICE_F_NONBLOCK);
	if (copied < 0)
		return -errno;
	/* Empty packets do not exist, and nobody reads meanwhile. */
	return copied == *ret_bytes ? 0 : -EIO;
}

/* Whether what is first in the pipe is a packet: reading one byte of it takes all of it. */
static int first_is_packet(int fd, int size, bool *ret_packet)
{
	int ends[2] = {-1, -1}, before = 0, after = 0;
	char byte;
	int rc = copy_content(fd, size, ends, &before);

	if (rc == 0 && read(ends[0], &byte, 1) == 1 && ioctl(ends[0], FIONREAD, &after) == 0)
		*ret_packet = before - after > 1;
	close_fd(&ends[0]);
	close_fd(&ends[1]);
	return rc;
}

/* Reads the copy, noting where reads end. */
static int read_copy(struct arena *arena, int fd, PipeDataEntry *entry, uint8_t *bytes)
{
	size_t done = 0, capacity = 0;

	while (done < entry->bytes) {
		ssize_t n = read(fd, bytes + done, entry->bytes - done);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		entry->packet_bytes = arena_grow(arena, entry->packet_bytes, &capacity,
			entry->n_packet_bytes + 1, sizeof(uint32_t));
		entry->packet_bytes[entry->n_packet_bytes++] = (uint32_t)n;
		done += (size_t)n;
	}
	return 0;
}

static int read_content(
	struct dump_context *context, int fd, PipeDataEntry *entry, void **ret_bytes)
{
	int ends[2] = {-1, -1}, size = fcntl(fd, F_GETPIPE_SZ), count = 0;
	bool packet = true;
	int rc = size < 0 ? -errno : copy_content(fd, size, ends, &count);

	if (rc == 0) {
		entry->has_size = true;
		entry->size = (uint32_t)size;
		entry->bytes = (uint32_t)count;
		*ret_bytes = arena_alloc(context->arena, (size_t)count + 1);
		rc = read_copy(context->arena, ends[0], entry, *ret_bytes);
	}
	/* One read has had everything: a stream, or a single packet. */
	if (rc == 0 && entry->n_packet_bytes == 1)
		rc = first_is_packet(fd, size, &packet);
	if (!packet)
		entry->n_packet_bytes = 0;
	close_fd(&ends[0]);
	close_fd(&ends[1]);
	return rc;
}

static int save_pipe(struct dump_context *context, const struct pipe_look *pipe,
	struct image_writer *writer, struct error *err)
{
	_cleanup_(close_fd) int fd = files_fetch(context, pipe->pid, pipe->number);
	PipeDataEntry entry = PIPE_DATA_ENTRY__INIT;
	void *bytes = NULL;
	int rc;

	entry.pipe_id = pipe->id;
	rc = fd < 0 ? fd : read_content(context, fd, &entry, &bytes);
	if (rc < 0) {
		rc = error_set(err, -rc, "reading what is in the %s of %s of task %d",
			pipe->fifo ? "fifo" : "pipe", pipe->what, pipe->what_pid);
		error_about_fd(err, pipe->pid, pipe->number);
		return rc;
	}
	rc = image_write(writer, &entry.base, err);
	return rc < 0 ? rc : image_write_extra(writer, bytes, entry.bytes, err);
}

int pipe_content_save(
	struct dump_context *context, bool fifo, enum image_type type, struct error *err)
{
	const struct pipe_look *pipe;
	struct image_writer *writer;
	int rc = 0;

	for (size_t i = 0; rc >= 0 && (pipe = pipe_look_at(context, i)); i++) {
		/* Without a reader nobody will ever read it. */
		if (pipe->fifo != fifo || !pipe->readers)
			continue;
		rc = dump_writer(context, type, &writer, err);
		if (rc >= 0)
			rc = save_pipe(context, pipe, writer, err);
	}
	return rc;
}

/*
 * Restore.
 */

struct pipes {
	struct pipe_object **items;
	size_t count, capacity;
};

static struct pipe_object *find_object(const struct pipes *pipes, uint32_t id, bool fifo)
{
	for (size_t i = pipes->count; i-- > 0;)
		if (pipes->items[i]->id == id && pipes->items[i]->fifo == fifo)
			return pipes->items[i];
	return NULL;
}

struct pipe_object *pipe_object(struct restore_context *context, uint32_t id, bool fifo)
{
	struct files_restore *state = files_restore_state(context);
	struct pipe_object *pipe;

	if (!state->pipes)
		state->pipes = arena_new(context->arena, struct pipes);
	pipe = find_object(state->pipes, id, fifo);
	if (pipe)
		return pipe;
	pipe = arena_new(context->arena, struct pipe_object);
	pipe->id = id;
	pipe->fifo = fifo;
	pipe->ends[0] = pipe->ends[1] = -1;
	state->pipes->items = arena_grow(context->arena, state->pipes->items,
		&state->pipes->capacity, state->pipes->count + 1, sizeof(pipe));
	state->pipes->items[state->pipes->count++] = pipe;
	return pipe;
}

static bool packets_add_up(const PipeDataEntry *data)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < data->n_packet_bytes; i++) {
		if (!data->packet_bytes[i] || data->packet_bytes[i] > PAGE_SIZE)
			return false;
		sum += data->packet_bytes[i];
	}
	return !data->n_packet_bytes || sum == data->bytes;
}

static uint32_t size_limit(void)
{
	_cleanup_(free_ptr) char *text = NULL;

	if (read_text_file(AT_FDCWD, "/proc/sys/fs/pipe-max-size", &text, NULL) < 0)
		return UINT32_MAX;
	return (uint32_t)strtoul(text, NULL, 10);
}

static void check_object(
	struct restore_context *context, const struct pipe_object *pipe, uint32_t limit)
{
	const PipeDataEntry *data = pipe->data;
	uint32_t size = data->has_size ? data->size : DEFAULT_SIZE;
	const char *what = pipe->fifo ? "fifo" : "pipe";
	struct error *problem;

	if (data->bytes > MAX(size, (uint32_t)DEFAULT_SIZE) || size > (uint32_t)1 << 31 ||
		data->n_packet_bytes > MAX(size, (uint32_t)DEFAULT_SIZE) / PAGE_SIZE ||
		!packets_add_up(data)) {
		problem = problems_add(context->problems);
		error_refuse(problem, ERROR_BAD_IMAGE,
			"%s %u: %u bytes cannot be in a %s of size %u", what, pipe->id, data->bytes,
			what, size);
		error_about_object(problem, "%s %u", what, pipe->id);
	} else if (size > limit) {
		problem = problems_add(context->problems);
		error_refuse(problem, ERROR_KERNEL_LACKS,
			"%s %u has a size of %u, more than the %u of /proc/sys/fs/pipe-max-size",
			what, pipe->id, size, limit);
		error_hint(problem, "raise fs.pipe-max-size");
		error_about_object(problem, "%s %u", what, pipe->id);
	}
}

static void check_objects(struct restore_context *context, bool fifo)
{
	const struct pipes *pipes = context->files ? context->files->pipes : NULL;
	uint32_t limit = size_limit();

	for (size_t i = 0; pipes && i < pipes->count; i++)
		if (pipes->items[i]->data && pipes->items[i]->fifo == fifo)
			check_object(context, pipes->items[i], limit);
}

static int load_one(struct restore_context *context, bool fifo, struct image_reader *reader,
	PipeDataEntry *entry, struct error *err)
{
	struct pipe_object *pipe = pipe_object(context, entry->pipe_id, fifo);

	if (pipe->data)
		return error_refuse(err, ERROR_BAD_IMAGE, "%s-data.img: %s %u is there twice",
			fifo ? "fifo" : "pipes", fifo ? "fifo" : "pipe", entry->pipe_id);
	pipe->data = entry;
	return image_read_extra(reader, context->arena, entry->bytes, &pipe->bytes, err);
}

int pipe_content_load(
	struct restore_context *context, bool fifo, enum image_type type, struct error *err)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	ProtobufCMessage *message;
	int rc = image_reader_open(context->dir, type, 0, &reader, err);

	if (rc <= 0)
		return rc;
	while ((rc = image_read(reader, context->arena, &message, err)) > 0) {
		rc = load_one(context, fifo, reader, (PipeDataEntry *)message, err);
		if (rc < 0)
			return rc;
	}
	if (rc == 0)
		check_objects(context, fifo);
	return rc;
}

int pipe_object_fill(struct pipe_object *pipe, int fd, struct error *err)
{
	const PipeDataEntry *data = pipe->data;
	const uint8_t *bytes = pipe->bytes;
	int flags = fcntl(fd, F_GETFL), rc = 0;

	if (pipe->filled || !data)
		return 0;
	pipe->filled = true;
	if (data->has_size && data->size && fcntl(fd, F_SETPIPE_SZ, (int)data->size) < 0)
		return error_set(
			err, errno, "setting the size of pipe %u to %u", pipe->id, data->size);
	if (fcntl(fd, F_SETFL, O_NONBLOCK | (data->n_packet_bytes ? O_DIRECT : 0)) < 0)
		return error_set(err, errno, "filling pipe %u", pipe->id);
	if (!data->n_packet_bytes)
		rc = write_full(fd, bytes, data->bytes);
	for (size_t i = 0; i < data->n_packet_bytes && rc >= 0; i++) {
		rc = write_full(fd, bytes, data->packet_bytes[i]);
		bytes += data->packet_bytes[i];
	}
	if (rc < 0)
		return error_set(err, -rc, "filling pipe %u", pipe->id);
	(void)fcntl(fd, F_SETFL, flags);
	return 0;
}

void pipe_content_close(struct files_restore *state, bool fifo)
{
	struct pipes *pipes = state->pipes;

	for (size_t i = 0; pipes && i < pipes->count; i++) {
		if (pipes->items[i]->fifo != fifo)
			continue;
		close_fd(&pipes->items[i]->ends[0]);
		close_fd(&pipes->items[i]->ends[1]);
	}
}
