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
 * are taken as they are; where there is a manifest, sizes are checked here, checksums of small
 * images when they are read, and all of them by image_dir_verify(). */
int image_dir_open(const char *path, struct image_dir **ret_dir, struct error *err);

/* Opens the checkpoint that an incremental one is based on (the link `parent`). Returns 1, 0 when
 * there is none, or a negative errno (also when the chain bites its own tail). */
int image_dir_open_parent(
	const struct image_dir *dir, struct image_dir **ret_parent, struct error *err);

/* Prepares an existing directory for a new checkpoint. What an earlier, committed checkpoint left
 * there stays valid until the commit replaces it. Leftovers of a killed dump are removed. A second
 * dump into the same directory at the same time is refused. */
int image_dir_create(const char *path, struct image_dir **ret_dir, struct error *err);

/* Whether the commit waits until the checkpoint is on the disk (default true). Without it a killed
 * process still leaves a whole checkpoint; only a machine that loses power may not. */
void image_dir_set_durable(struct image_dir *dir, bool durable);

/* Names the checkpoint that this one is based on: a path as the link `parent` holds it, relative to
 * the directory or absolute. Part of the commit. */
int image_dir_set_parent(struct image_dir *dir, const char *parent, struct error *err);

/* Makes what was written since image_dir_create() the checkpoint: writes the manifest, fsyncs,
 * renames into place, and removes images of an earlier checkpoint that the new one does not have.
 * Reads page files back for their checksums, so the tasks should run again by now. */
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

/* The descriptor of the directory (logs and pidfiles are opened relative to it). */
int image_dir_fd(const struct image_dir *dir);

/* Every image of the checkpoint, sorted by type and number; the list belongs to the arena. */
struct image_file {
	enum image_type type;
	uint64_t id;
	uint64_t size;
	char name[IMAGE_NAME_MAX];
};
int image_dir_list(struct image_dir *dir, struct arena *arena, struct image_file **ret_files,
	size_t *ret_count, struct error *err);

/* A new image of the given type; `id` fills the number in its name (0 where the name has none). */
int image_writer_open(struct image_dir *dir, enum image_type type, uint64_t id,
	struct image_writer **ret_writer, struct error *err);
/* One entry: its size and itself. Any message may be given, also one that is nested in the extra
 * data of another (ipc_msg). */
int image_write(struct image_writer *writer, const ProtobufCMessage *entry, struct error *err);
/* Bytes that follow an entry (pipe content and the like: catalogue.h). */
int image_write_extra(
	struct image_writer *writer, const void *data, size_t size, struct error *err);
/* The same, copied from a file. */
int image_write_extra_from(
	struct image_writer *writer, int fd, uint64_t offset, uint64_t size, struct error *err);
/* Flushes and closes; the writer is gone afterwards also on failure. */
int image_writer_close(struct image_writer *writer, struct error *err);
/* For ways out: closes without a word. NULL is fine. */
void image_writer_cleanup(struct image_writer **writer);

/* One entry, written as a whole image. */
int image_write_single(struct image_dir *dir, enum image_type type, uint64_t id,
	const ProtobufCMessage *entry, struct error *err);
/* The statistics of an operation: an image in the work directory, outside of any checkpoint. It is
 * replaced in one step. */
int image_write_stats(
	int dirfd, enum image_type type, const ProtobufCMessage *entry, struct error *err);

/* Opens an image for reading. Returns 1 and the reader, 0 when there is no such image (which means
 * 'none of these'; *ret_reader is NULL then), or a negative errno. */
int image_reader_open(struct image_dir *dir, enum image_type type, uint64_t id,
	struct image_reader **ret_reader, struct error *err);
/* The same for a file outside of a checkpoint; the type comes from its name or else its magic. */
int image_reader_open_file(int dirfd, const char *path, struct image_reader **ret_reader,
	enum image_type *ret_type, struct error *err);
/* The next entry, unpacked into the arena as the catalogue's message for this image (which for
 * pagemap images is pagemap_head first, pagemap_entry afterwards). Returns 1, 0 at the end, or a
 * negative errno with ERROR_BAD_IMAGE naming file and entry. Never allocates more than a small
 * multiple of the file's size. */
int image_read(struct image_reader *reader, struct arena *arena, ProtobufCMessage **ret_entry,
	struct error *err);
/* The same as a message of another kind: one that is nested in extra data (ipc_msg). */
int image_read_as(struct image_reader *reader, const ProtobufCMessageDescriptor *descriptor,
	struct arena *arena, ProtobufCMessage **ret_entry, struct error *err);
/* Takes `size` bytes that follow the entry just read; they belong to the arena. */
int image_read_extra(struct image_reader *reader, struct arena *arena, uint64_t size,
	void **ret_data, struct error *err);
/* Steps over bytes that were taken through image_reader_fd(). */
int image_reader_skip(struct image_reader *reader, uint64_t size, struct error *err);
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
