/*
 * An image as JSON or text. What follows an entry is printed as its member `extra`, in the form
 * that crit gives it. Entries are printed as they are read, each in an arena of its own, so that
 * memory stays small whatever the image's size.
 */
#include "image/show.h"

#include <fcntl.h>

#include "file.pb-c.h"
#include "image/message.h"
#include "ipc.pb-c.h"
#include "socket.pb-c.h"

struct show {
	struct image_reader *reader;
	struct emitter emitter;
	struct arena arena; /* of one entry */
	bool chunked; /* a ghost file's content comes in chunks */
};

static int emit_bytes_of(struct show *show, uint64_t size, struct error *err)
{
	void *data = NULL;
	int rc = image_read_extra(show->reader, &show->arena, size, &data, err);

	if (rc == 0)
		emit_base64(&show->emitter, data, size);
	return rc;
}

/* Bytes, and then some that fill up to a multiple of `unit`. */
static int emit_padded(struct show *show, uint64_t size, uint64_t unit, struct error *err)
{
	int rc = emit_bytes_of(show, size, err);
	uint64_t padding = -size % unit;

	return rc < 0 ? rc : image_reader_skip(show->reader, padding, err);
}

static int show_tcp(struct show *show, const TcpStreamEntry *entry, struct error *err)
{
	int rc;

	emit_object_begin(&show->emitter);
	emit_key(&show->emitter, "inq");
	rc = emit_bytes_of(show, entry->inq_len, err);
	if (rc < 0)
		return rc;
	emit_key(&show->emitter, "outq");
	rc = emit_bytes_of(show, entry->outq_len, err);
	emit_object_end(&show->emitter);
	return rc;
}

static int show_semaphores(struct show *show, const IpcSemEntry *entry, struct error *err)
{
	uint64_t size = (uint64_t)entry->nsems * sizeof(uint16_t);
	void *values;
	int rc = image_read_extra(show->reader, &show->arena, size, &values, err);

	if (rc < 0)
		return rc;
	emit_array_begin(&show->emitter, true);
	for (uint32_t i = 0; i < entry->nsems; i++)
		emit_number(&show->emitter, "%u", ((const uint16_t *)values)[i]);
	emit_array_end(&show->emitter, true);
	return image_reader_skip(show->reader, -size % 8, err);
}

static int show_messages(struct show *show, const IpcMsgEntry *entry, struct error *err)
{
	emit_array_begin(&show->emitter, false);
	for (uint32_t i = 0; i < entry->qnum; i++) {
		ProtobufCMessage *message;
		int rc = image_read_as(
			show->reader, &ipc_msg__descriptor, &show->arena, &message, err);

		if (rc < 0)
			return rc;
		emit_object_begin(&show->emitter);
		emit_message_fields(&show->emitter, message);
		emit_object_end(&show->emitter);
		rc = emit_padded(show, ((const IpcMsg *)message)->msize, 8, err);
		if (rc < 0)
			return rc;
	}
	emit_array_end(&show->emitter, false);
	return 0;
}

static int show_shared_memory(struct show *show, const IpcShmEntry *entry, struct error *err)
{
	return entry->has_in_pagemaps && entry->in_pagemaps
		       ? emit_bytes_of(show, 0, err)
		       : emit_padded(show, entry->size, 4, err);
}

static int show_ghost(struct show *show, const ProtobufCMessage *entry, struct error *err)
{
	if (entry->descriptor == &ghost_chunk_entry__descriptor)
		return emit_bytes_of(show, ((const GhostChunkEntry *)entry)->len, err);
	return emit_bytes_of(show, image_reader_remaining(show->reader), err);
}

static int show_extra(
	struct show *show, enum image_extra extra, const ProtobufCMessage *entry, struct error *err)
{
	const BpfmapDataEntry *map = (const BpfmapDataEntry *)entry;

	switch (extra) {
	case EXTRA_PIPE_DATA:
		return emit_bytes_of(show, ((const PipeDataEntry *)entry)->bytes, err);
	case EXTRA_SK_QUEUES:
		return emit_bytes_of(show, ((const SkPacketEntry *)entry)->length, err);
	case EXTRA_TCP_STREAM:
		return show_tcp(show, (const TcpStreamEntry *)entry, err);
	case EXTRA_GHOST:
		return show_ghost(show, entry, err);
	case EXTRA_IPC_SEM:
		return show_semaphores(show, (const IpcSemEntry *)entry, err);
	case EXTRA_IPC_MSG:
		return show_messages(show, (const IpcMsgEntry *)entry, err);
	case EXTRA_IPC_SHM:
		return show_shared_memory(show, (const IpcShmEntry *)entry, err);
	case EXTRA_BPFMAP_DATA:
		return emit_bytes_of(show, (uint64_t)map->keys_bytes + map->values_bytes, err);
	case EXTRA_NONE:
		break;
	}
	return 0;
}

static bool has_extra(struct show *show, enum image_extra extra, const ProtobufCMessage *entry)
{
	if (extra == EXTRA_GHOST && entry->descriptor == &ghost_file_entry__descriptor) {
		const GhostFileEntry *ghost = (const GhostFileEntry *)entry;

		show->chunked = ghost->has_chunks && ghost->chunks;
		return !show->chunked;
	}
	return extra != EXTRA_NONE;
}

static int show_entry(struct show *show, const struct image_info *info,
	const ProtobufCMessage *entry, struct error *err)
{
	int rc = 0;

	emit_object_begin(&show->emitter);
	emit_message_fields(&show->emitter, entry);
	if (has_extra(show, info->extra, entry)) {
		emit_key(&show->emitter, "extra");
		rc = show_extra(show, info->extra, entry, err);
	}
	emit_object_end(&show->emitter);
	return rc;
}

static int show_entries(struct show *show, const struct image_info *info, struct error *err)
{
	struct emitter *emitter = &show->emitter;
	int rc;

	emit_object_begin(emitter);
	emit_key(emitter, "magic");
	emit_string(emitter, info->magic_name, strlen(info->magic_name));
	emit_key(emitter, "entries");
	emit_array_begin(emitter, false);
	for (;;) {
		ProtobufCMessage *entry;

		rc = image_read(show->reader, &show->arena, &entry, err);
		if (rc > 0)
			rc = show_entry(show, info, entry, err) ?: 1;
		arena_deinit(&show->arena);
		if (rc <= 0)
			break;
	}
	/* What was read of a damaged image is shown; that it was cut short must not go unnoticed.
	 */
	if (rc == 0) {
		emit_array_end(emitter, false);
		emit_object_end(emitter);
	}
	fputc('\n', emitter->out);
	return rc;
}

static int show_reader(
	struct image_reader *reader, enum image_type type, bool json, FILE *out, struct error *err)
{
	struct show show = {.reader = reader, .emitter = {.out = out, .json = json, .fresh = true}};
	const struct image_info *info = image_info(type);

	if (info->magic)
		return show_entries(&show, info, err);
	return error_refuse(err, ERROR_USAGE,
		"a raw image has no entries to show (pages are described by pagemap images)");
}

int image_show(struct image_dir *dir, const char *name, bool json, FILE *out, struct error *err)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	enum image_type type;
	uint64_t id;
	int rc;

	if (!image_type_of_name(name, &type, &id))
		return error_refuse(err, ERROR_USAGE, "there is no image of the name %s", name);
	if (!image_info(type)->magic)
		return error_refuse(
			err, ERROR_USAGE, "%s is raw data without entries to show", name);
	rc = image_reader_open(dir, type, id, &reader, err);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return error_refuse(
			err, ERROR_BAD_IMAGE, "%s has no %s", image_dir_path(dir), name);
	return show_reader(reader, type, json, out, err);
}

int image_show_file(const char *path, bool json, FILE *out, struct error *err)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	enum image_type type;
	int rc = image_reader_open_file(AT_FDCWD, path, &reader, &type, err);

	return rc < 0 ? rc : show_reader(reader, type, json, out, err);
}
