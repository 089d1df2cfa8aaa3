/*
 * Reading one image.
 *
 * Nearly all images are small: they are read in one piece, and their checksum is compared at once
 * where there is a manifest. Larger ones (queues, ghost files) go through a window. Not mmap: a
 * file that somebody truncates while it is mapped would kill us.
 */
#include <fcntl.h>
#include <xxhash.h>

#include "base/io.h"
#include "image/internal.h"

#define WHOLE_MAX ((uint64_t)1 << 20)
#define WINDOW    ((uint64_t)1 << 18)
#define ENTRY_MAX ((uint64_t)256 << 20)

struct image_reader {
	char *path; /* for sentences */
	const struct image_info *info;
	int fd;
	uint64_t size; /* of the file */
	uint64_t offset; /* of the next byte to consume */
	uint64_t entry; /* number of the next entry */
	/* The window: bytes [start, start + filled) of the file. */
	uint8_t *buffer;
	uint64_t capacity, start, filled;
};

void image_reader_cleanup(struct image_reader **reader)
{
	if (*reader) {
		close_fd(&(*reader)->fd);
		free((*reader)->buffer);
		free((*reader)->path);
		free(*reader);
	}
	*reader = NULL;
}

static int damaged(const struct image_reader *reader, const char *reason, struct error *err)
{
	error_refuse(err, ERROR_BAD_IMAGE, "%s is damaged: entry %llu: %s", reader->path,
		(unsigned long long)reader->entry, reason);
	error_about_object(err, "%s entry %llu", reader->path, (unsigned long long)reader->entry);
	return -EINVAL;
}

/* Makes the next `size` bytes available in the window. They are known to be in the file. */
static int fetch(
	struct image_reader *reader, uint64_t size, const uint8_t **ret_data, struct error *err)
{
	ssize_t n;
	uint64_t wanted;

	if (reader->offset >= reader->start &&
		reader->offset + size <= reader->start + reader->filled) {
		*ret_data = reader->buffer + (reader->offset - reader->start);
		return 0;
	}
	wanted = MIN(MAX(size, WINDOW), reader->size - reader->offset);
	if (reader->capacity < wanted) {
		free(reader->buffer);
		reader->buffer = xcalloc(1, wanted);
		reader->capacity = wanted;
	}
	reader->start = reader->offset;
	n = pread_full(reader->fd, reader->buffer, wanted, (off_t)reader->start);
	reader->filled = n < 0 ? 0 : (uint64_t)n;
	if (n < 0)
		return error_set(err, (int)-n, "cannot read %s", reader->path);
	if (reader->filled < size)
		return damaged(reader, "the file became shorter while it was read", err);
	*ret_data = reader->buffer;
	return 0;
}

uint64_t image_reader_remaining(const struct image_reader *reader)
{
	return reader->size - reader->offset;
}

int image_reader_fd(const struct image_reader *reader, uint64_t *ret_offset)
{
	*ret_offset = reader->offset;
	return reader->fd;
}

static int read_u32(struct image_reader *reader, uint32_t *ret_value, struct error *err)
{
	const uint8_t *data;
	int rc = fetch(reader, sizeof(*ret_value), &data, err);

	if (rc < 0)
		return rc;
	memcpy(ret_value, data, sizeof(*ret_value));
	reader->offset += sizeof(*ret_value);
	return 0;
}

static int wrong_magic(
	const struct image_reader *reader, uint32_t found, uint32_t wanted, struct error *err)
{
	error_refuse(err, ERROR_BAD_IMAGE, "%s is damaged: its magic is 0x%08x instead of 0x%08x",
		reader->path, found, wanted);
	error_about_object(err, "%s", reader->path);
	return -EINVAL;
}

/* The magics at the front; version 1.0 images have no common one. */
static int check_magics(struct image_reader *reader, struct error *err)
{
	uint32_t common = reader->info->service ? IMAGE_SERVICE_MAGIC : IMAGE_COMMON_MAGIC;
	uint32_t magic = 0;
	int rc;

	if (reader->size < sizeof(magic))
		return damaged(reader, "the file is too short for an image", err);
	rc = read_u32(reader, &magic, err);
	if (rc < 0)
		return rc;
	if (magic == common) {
		if (image_reader_remaining(reader) < sizeof(magic))
			return damaged(reader, "the file is too short for an image", err);
		rc = read_u32(reader, &magic, err);
		if (rc < 0)
			return rc;
	}
	return magic == reader->info->magic ? 0
					    : wrong_magic(reader, magic, reader->info->magic, err);
}

/* Takes the descriptor over. */
static struct image_reader *new_reader(char *path, int fd, const struct stat *st)
{
	struct image_reader *reader = xcalloc(1, sizeof(*reader));

	reader->path = path;
	reader->fd = fd;
	reader->size = (uint64_t)st->st_size;
	return reader;
}

static int check_against(
	struct image_reader *reader, const struct manifest_item *item, struct error *err)
{
	const uint8_t *data;
	int rc;

	if (reader->size != item->size) {
		error_refuse(err, ERROR_BAD_IMAGE, "%s has another size than when it was written",
			reader->path);
		error_about_object(err, "%s", reader->path);
		return -EINVAL;
	}
	if (!item->has_checksum || reader->size > WHOLE_MAX)
		return 0;
	rc = fetch(reader, reader->size, &data, err);
	if (rc < 0)
		return rc;
	if (XXH3_64bits(data, reader->size) == item->checksum)
		return 0;
	error_refuse(err, ERROR_BAD_IMAGE, "%s is damaged: its checksum is not the manifest's",
		reader->path);
	error_about_object(err, "%s", reader->path);
	error_hint(err, "if it was changed on purpose, remove %s and try again", MANIFEST_NAME);
	return -EINVAL;
}

static int cannot_open(int rc, const char *path, struct error *err)
{
	if (rc == -EBADMSG)
		error_refuse(err, ERROR_BAD_IMAGE, "%s is not a regular file", path);
	else
		error_set(err, -rc, "cannot open %s", path);
	error_class(err, ERROR_BAD_IMAGE);
	error_about_object(err, "%s", path);
	return rc;
}

static char *join(const char *directory, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		out_of_memory(strlen(directory));
	return path;
}

int image_reader_open(struct image_dir *dir, enum image_type type, uint64_t id,
	struct image_reader **ret_reader, struct error *err)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	const struct manifest_item *item;
	_cleanup_(free_ptr) char *path = NULL;
	char name[IMAGE_NAME_MAX];
	struct stat st;
	int fd, rc;

	*ret_reader = NULL;
	image_format_name(type, id, name);
	item = manifest_find(&dir->manifest, name);
	if (dir->listed_only && !item)
		return 0;
	fd = open_image_file(dir, name, &st);
	if (fd == -ENOENT && !item)
		return 0;
	path = join(dir->path, name);
	if (fd < 0)
		return cannot_open(fd, path, err);
	reader = new_reader(take_ptr(path), fd, &st);
	reader->info = image_info(type);
	rc = item ? check_against(reader, item, err) : 0;
	if (rc == 0)
		rc = check_magics(reader, err);
	if (rc < 0)
		return rc;
	*ret_reader = take_ptr(reader);
	return 1;
}

/* For a file whose name says nothing: the first type with the magic that it has. */
static bool type_of_magic(struct image_reader *reader, enum image_type *ret_type)
{
	uint32_t words[2] = {};
	uint32_t magic;

	if (pread_full(reader->fd, words, sizeof(words), 0) < (ssize_t)sizeof(words[0]))
		return false;
	magic = words[0] == IMAGE_COMMON_MAGIC || words[0] == IMAGE_SERVICE_MAGIC ? words[1]
										  : words[0];
	for (enum image_type type = 0; type < IMAGE_TYPE_COUNT; type++) {
		if (!image_info(type)->magic || image_info(type)->magic != magic)
			continue;
		*ret_type = type;
		return true;
	}
	return false;
}

int image_reader_open_file(int dirfd, const char *path, struct image_reader **ret_reader,
	enum image_type *ret_type, struct error *err)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *base = strrchr(path, '/');
	struct stat st;
	uint64_t id;
	int rc;

	if (fd < 0)
		return cannot_open(-errno, path, err);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return cannot_open(-EBADMSG, path, err);
	}
	reader = new_reader(xstrdup(path), fd, &st);
	if (!image_type_of_name(base ? base + 1 : path, ret_type, &id) &&
		!type_of_magic(reader, ret_type))
		return error_refuse(err, ERROR_BAD_IMAGE, "%s is no image that is known", path);
	reader->info = image_info(*ret_type);
	if (reader->info->magic) {
		rc = check_magics(reader, err);
		if (rc < 0)
			return rc;
	}
	*ret_reader = take_ptr(reader);
	return 0;
}

int image_read_as(struct image_reader *reader, const ProtobufCMessageDescriptor *descriptor,
	struct arena *arena, ProtobufCMessage **ret_entry, struct error *err)
{
	const uint8_t *data;
	const char *reason;
	uint32_t size;
	int rc;

	if (image_reader_remaining(reader) < sizeof(size))
		return damaged(reader, "its size is cut short", err);
	rc = read_u32(reader, &size, err);
	if (rc < 0)
		return rc;
	if (size > image_reader_remaining(reader))
		return damaged(reader, "it is longer than the file", err);
	if (size > ENTRY_MAX)
		return damaged(reader, "it is larger than any entry can be", err);
	rc = fetch(reader, size, &data, err);
	if (rc < 0)
		return rc;
	if (image_unpack(descriptor, data, size, arena, ret_entry, &reason) < 0)
		return damaged(reader, reason, err);
	reader->offset += size;
	reader->entry++;
	return 1;
}

int image_read(struct image_reader *reader, struct arena *arena, ProtobufCMessage **ret_entry,
	struct error *err)
{
	const struct image_info *info = reader->info;

	*ret_entry = NULL;
	if (!image_reader_remaining(reader))
		return 0;
	return image_read_as(reader, reader->entry && info->rest ? info->rest : info->first, arena,
		ret_entry, err);
}

int image_reader_skip(struct image_reader *reader, uint64_t size, struct error *err)
{
	if (size > image_reader_remaining(reader))
		return damaged(reader, "the data that follows it is cut short", err);
	reader->offset += size;
	return 0;
}

int image_read_extra(struct image_reader *reader, struct arena *arena, uint64_t size,
	void **ret_data, struct error *err)
{
	uint8_t *copy;
	ssize_t n;

	if (size > image_reader_remaining(reader))
		return damaged(reader, "the data that follows it is cut short", err);
	if (size <= WINDOW) {
		const uint8_t *data;
		int rc = fetch(reader, size, &data, err);

		if (rc < 0)
			return rc;
		copy = arena_memdup(arena, data, size);
	} else {
		copy = arena_alloc(arena, size);
		n = pread_full(reader->fd, copy, size, (off_t)reader->offset);
		if (n < 0)
			return error_set(err, (int)-n, "cannot read %s", reader->path);
		if ((uint64_t)n < size)
			return damaged(reader, "the file became shorter while it was read", err);
	}
	reader->offset += size;
	*ret_data = copy;
	return 0;
}

int image_read_single(struct image_dir *dir, enum image_type type, uint64_t id, struct arena *arena,
	ProtobufCMessage **ret_entry, struct error *err)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	ProtobufCMessage *entry;
	int rc = image_reader_open(dir, type, id, &reader, err);

	if (rc < 0)
		return rc;
	if (rc == 0) {
		char name[IMAGE_NAME_MAX];

		image_format_name(type, id, name);
		error_refuse(err, ERROR_BAD_IMAGE, "%s/%s is missing", dir->path, name);
		error_about_object(err, "%s/%s", dir->path, name);
		return -EINVAL;
	}
	rc = image_read(reader, arena, &entry, err);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return damaged(reader, "it is missing", err);
	*ret_entry = entry;
	return 0;
}

int image_open_raw(struct image_dir *dir, enum image_type type, uint64_t id, int *ret_fd,
	uint64_t *ret_size, struct error *err)
{
	const struct manifest_item *item;
	char name[IMAGE_NAME_MAX];
	struct stat st;
	int fd;

	image_format_name(type, id, name);
	item = manifest_find(&dir->manifest, name);
	if (dir->listed_only && !item)
		return 0;
	fd = open_image_file(dir, name, &st);
	if (fd == -ENOENT && !item)
		return 0;
	if (fd < 0) {
		_cleanup_(free_ptr) char *path = join(dir->path, name);

		return cannot_open(fd, path, err);
	}
	*ret_fd = fd;
	*ret_size = (uint64_t)st.st_size;
	return 1;
}
