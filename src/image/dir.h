#pragma once
/*
 * The image directory: the only door to image files.
 *
 * Format: ../shared/format/files.md (CRIU 4.2, image version 1.1), told again in docs/images.md. A
 * directory that is being written holds temporary names only; image_dir_commit() makes it a whole
 * checkpoint (manifest with a checksum for each file, fsync, rename), so that a directory either
 * holds one or says that it does not. Every byte read is treated as hostile.
 */
#include <google/protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/error.h"
#include "image/catalogue.h"

struct image_dir;
struct image_writer;
struct image_reader;

/* Opens a directory that holds a checkpoint. One that a killed dump left half-written is refused by
 * name (ERROR_BAD_IMAGE), so is one that does not exist. Directories of CRIU have no manifest and
 * are taken as they are; where there is a manifest, sizes are checked here and checksums by
 * image_dir_verify(). */
int image_dir_open(const char *path, struct image_dir **ret_dir, struct error *err);

/* Prepares an existing directory for a new checkpoint. What an earlier, committed checkpoint left
 * there stays valid until the commit replaces it. Leftovers of a killed dump are removed. */
int image_dir_create(const char *path, struct image_dir **ret_dir, struct error *err);

/* Makes what was written since image_dir_create() the checkpoint: writes the manifest, fsyncs,
 * renames into place, and removes images of an earlier checkpoint that the new one does not have.
 */
int image_dir_commit(struct image_dir *dir, struct error *err);

/* Compares every file with the manifest's checksums; all differences into problems. */
int image_dir_verify(struct image_dir *dir, struct problems *problems, struct error *err);

/* Closes. Of an uncommitted checkpoint nothing is left. NULL is fine. */
void image_dir_destroy(struct image_dir *dir);
static inline void image_dir_cleanup(struct image_dir **dir)
{
	image_dir_destroy(*dir);
}

const char *image_dir_path(const struct image_dir *dir);

/* The descriptor of the directory (logs, pidfiles and the parent link are opened relative to it).
 */
int image_dir_fd(const struct image_dir *dir);

/* A new image of the given type; `id` fills the number in its name (0 where the name has none). */
int image_writer_open(struct image_dir *dir, enum image_type type, uint64_t id,
	struct image_writer **ret_writer, struct error *err);
int image_write(struct image_writer *writer, const ProtobufCMessage *entry, struct error *err);
/* Bytes that follow an entry (pipe content and the like: catalogue.h). */
int image_write_extra(
	struct image_writer *writer, const void *data, size_t size, struct error *err);
/* Flushes and closes; the writer is gone afterwards also on failure. */
int image_writer_close(struct image_writer *writer, struct error *err);
/* For ways out: closes without a word. NULL is fine. */
void image_writer_cleanup(struct image_writer **writer);

/* One entry, written as a whole image. */
int image_write_single(struct image_dir *dir, enum image_type type, uint64_t id,
	const ProtobufCMessage *entry, struct error *err);

/* Opens an image for reading. Returns 1 and the reader, 0 when there is no such image (which means
 * 'none of these'; *ret_reader is NULL then), or a negative errno. */
int image_reader_open(struct image_dir *dir, enum image_type type, uint64_t id,
	struct image_reader **ret_reader, struct error *err);
/* The next entry, unpacked into the arena as the catalogue's message for this image (which for
 * pagemap images is pagemap_head first, pagemap_entry afterwards). Returns 1, 0 at the end, or a
 * negative errno with ERROR_BAD_IMAGE naming file and entry. Never allocates more than a small
 * multiple of the file's size. */
int image_read(struct image_reader *reader, struct arena *arena, ProtobufCMessage **ret_entry,
	struct error *err);
/* Takes `size` bytes that follow the entry just read; they belong to the arena. */
int image_read_extra(struct image_reader *reader, struct arena *arena, uint64_t size,
	void **ret_data, struct error *err);
/* Bytes of the file not yet consumed, and the file's descriptor and offset, for bulk data that is
 * copied without passing through memory (ghost files). */
uint64_t image_reader_remaining(const struct image_reader *reader);
int image_reader_fd(const struct image_reader *reader, uint64_t *ret_offset);
void image_reader_cleanup(struct image_reader **reader);

/* The only entry of an image that must exist. */
int image_read_single(struct image_dir *dir, enum image_type type, uint64_t id, struct arena *arena,
	ProtobufCMessage **ret_entry, struct error *err);

/* Raw images (IMAGE_PAGES and others without entries): a descriptor to write to, or to read from,
 * and its size. The descriptor belongs to the caller. Reading returns 1, 0 (no such image) or
 * -errno. */
int image_create_raw(
	struct image_dir *dir, enum image_type type, uint64_t id, int *ret_fd, struct error *err);
int image_open_raw(struct image_dir *dir, enum image_type type, uint64_t id, int *ret_fd,
	uint64_t *ret_size, struct error *err);
