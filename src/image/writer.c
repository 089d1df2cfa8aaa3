/*
 * Writing one image: entries gather in a buffer, the checksum is counted as the buffer is written.
 */
#include <fcntl.h>
#include <xxhash.h>

#include "base/io.h"
#include "image/internal.h"

#define BUFFER_SIZE ((size_t)64 * 1024)

struct image_writer {
	struct image_dir *dir; /* NULL: outside of a checkpoint */
	size_t item; /* index in the directory's manifest */
	char name[IMAGE_NAME_MAX];
	int fd;
	size_t used;
	uint64_t written;
	XXH3_state_t *checksum; /* apart: it needs 64-byte alignment */
	uint8_t buffer[BUFFER_SIZE];
};

int create_image_file(struct image_dir *dir, enum image_type type, uint64_t id, size_t *ret_index,
	int *ret_fd, struct error *err)
{
	char name[IMAGE_NAME_MAX];
	int fd;

	image_format_name(type, id, name);
	if (!dir->writing)
		return error_set(
			err, EROFS, "cannot add %s to the checkpoint in %s", name, dir->path);
	fd = openat(dir->staging_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, errno, "cannot create %s/%s", dir->path, name);
	pthread_mutex_lock(&dir->mutex);
	manifest_add(&dir->manifest, type, id);
	*ret_index = dir->manifest.count - 1;
	pthread_mutex_unlock(&dir->mutex);
	*ret_fd = fd;
	return 0;
}

void image_writer_cleanup(struct image_writer **writer)
{
	if (*writer) {
		close_fd(&(*writer)->fd);
		XXH3_freeState((*writer)->checksum);
		free(*writer);
	}
	*writer = NULL;
}

static struct image_writer *new_writer(struct image_dir *dir, enum image_type type, uint64_t id)
{
	const struct image_info *info = image_info(type);
	uint32_t magics[2] = {
		info->service ? IMAGE_SERVICE_MAGIC : IMAGE_COMMON_MAGIC, info->magic};
	/* Not zeroed: the buffer would cost more than many an image. */
	struct image_writer *writer = malloc(sizeof(*writer));

	if (!writer)
		out_of_memory(sizeof(*writer));
	writer->dir = dir;
	writer->fd = -1;
	writer->written = 0;
	image_format_name(type, id, writer->name);
	writer->checksum = XXH3_createState();
	if (!writer->checksum)
		out_of_memory(0);
	XXH3_64bits_reset(writer->checksum);
	memcpy(writer->buffer, magics, sizeof(magics));
	writer->used = info->magic ? sizeof(magics) : 0;
	return writer;
}

int image_writer_open(struct image_dir *dir, enum image_type type, uint64_t id,
	struct image_writer **ret_writer, struct error *err)
{
	_cleanup_(image_writer_cleanup) struct image_writer *writer = new_writer(dir, type, id);
	int rc = create_image_file(dir, type, id, &writer->item, &writer->fd, err);

	if (rc < 0)
		return rc;
	*ret_writer = take_ptr(writer);
	return 0;
}

static int write_out(struct image_writer *writer, const void *data, size_t size, struct error *err)
{
	int rc = write_full(writer->fd, data, size);

	if (rc < 0)
		return error_set(err, -rc, "cannot write %s%s%s",
			writer->dir ? writer->dir->path : "", writer->dir ? "/" : "", writer->name);
	XXH3_64bits_update(writer->checksum, data, size);
	writer->written += size;
	return 0;
}

static int flush(struct image_writer *writer, struct error *err)
{
	int rc = write_out(writer, writer->buffer, writer->used, err);

	writer->used = 0;
	return rc;
}

int image_write_extra(struct image_writer *writer, const void *data, size_t size, struct error *err)
{
	if (size > BUFFER_SIZE - writer->used) {
		int rc = flush(writer, err);

		if (rc < 0)
			return rc;
		if (size > BUFFER_SIZE)
			return write_out(writer, data, size, err);
	}
	if (size)
		memcpy(writer->buffer + writer->used, data, size);
	writer->used += size;
	return 0;
}

int image_write_extra_from(
	struct image_writer *writer, int fd, uint64_t offset, uint64_t size, struct error *err)
{
	while (size) {
		ssize_t n;
		int rc = writer->used == BUFFER_SIZE ? flush(writer, err) : 0;

		if (rc < 0)
			return rc;
		n = pread_full(fd, writer->buffer + writer->used,
			MIN(size, BUFFER_SIZE - writer->used), (off_t)offset);
		if (n < 0)
			return error_set(
				err, (int)-n, "cannot read what goes into %s", writer->name);
		if (n == 0)
			return error_set(
				err, ENODATA, "what goes into %s has become shorter", writer->name);
		writer->used += (size_t)n;
		offset += (uint64_t)n;
		size -= (uint64_t)n;
	}
	return 0;
}

int image_write(struct image_writer *writer, const ProtobufCMessage *entry, struct error *err)
{
	size_t size = protobuf_c_message_get_packed_size(entry);
	uint32_t header = (uint32_t)size;
	_cleanup_(free_ptr) uint8_t *large = NULL;
	int rc;

	if (size > UINT32_MAX)
		return error_set(err, EFBIG, "an entry of %s is too large", writer->name);
	rc = image_write_extra(writer, &header, sizeof(header), err);
	if (rc < 0)
		return rc;
	if (size <= BUFFER_SIZE) {
		if (size > BUFFER_SIZE - writer->used) {
			rc = flush(writer, err);
			if (rc < 0)
				return rc;
		}
		writer->used += protobuf_c_message_pack(entry, writer->buffer + writer->used);
		return 0;
	}
	large = xcalloc(1, size);
	protobuf_c_message_pack(entry, large);
	return image_write_extra(writer, large, size, err);
}

int image_writer_close(struct image_writer *writer, struct error *err)
{
	int rc = flush(writer, err);

	if (rc == 0 && writer->dir) {
		struct manifest_item *item;

		pthread_mutex_lock(&writer->dir->mutex);
		item = &writer->dir->manifest.items[writer->item];
		item->size = writer->written;
		item->checksum = XXH3_64bits_digest(writer->checksum);
		item->has_checksum = true;
		pthread_mutex_unlock(&writer->dir->mutex);
	}
	image_writer_cleanup(&writer);
	return rc;
}

int image_write_single(struct image_dir *dir, enum image_type type, uint64_t id,
	const ProtobufCMessage *entry, struct error *err)
{
	_cleanup_(image_writer_cleanup) struct image_writer *writer = NULL;
	int rc = image_writer_open(dir, type, id, &writer, err);

	if (rc == 0)
		rc = image_write(writer, entry, err);
	return rc < 0 ? rc : image_writer_close(take_ptr(writer), err);
}

int image_write_stats(
	int dirfd, enum image_type type, const ProtobufCMessage *entry, struct error *err)
{
	_cleanup_(image_writer_cleanup) struct image_writer *writer = new_writer(NULL, type, 0);
	char partial[IMAGE_NAME_MAX + 8], name[IMAGE_NAME_MAX];
	int rc;

	memcpy(name, writer->name, sizeof(name));
	snprintf(partial, sizeof(partial), ".%s.new", name);
	writer->fd = openat(dirfd, partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (writer->fd < 0)
		return error_set(err, errno, "cannot create %s", name);
	rc = image_write(writer, entry, err);
	if (rc == 0)
		rc = image_writer_close(take_ptr(writer), err);
	if (rc == 0 && renameat(dirfd, partial, dirfd, name) < 0)
		rc = error_set(err, errno, "cannot rename %s", name);
	if (rc < 0)
		unlinkat(dirfd, partial, 0);
	return rc;
}

int image_create_raw(
	struct image_dir *dir, enum image_type type, uint64_t id, int *ret_fd, struct error *err)
{
	size_t index;

	return create_image_file(dir, type, id, &index, ret_fd, err);
}
