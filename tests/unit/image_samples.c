#include "image_samples.h"

#include "base/io.h"
#include "file.pb-c.h"
#include "ipc.pb-c.h"
#include "socket.pb-c.h"

#define DEPTH_MAX 4

static size_t element_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return 8;
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}

static ProtobufCMessage *fill(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
	uint64_t *seed, unsigned depth);

static void fill_value(struct arena *arena, const ProtobufCFieldDescriptor *field, void *at,
	uint64_t *seed, unsigned depth)
{
	const ProtobufCEnumDescriptor *values = field->descriptor;
	ProtobufCBinaryData bytes;
	uint64_t n = ++*seed;

	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
		*(int32_t *)at = -(int32_t)n;
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
		*(int64_t *)at = -(int64_t)n * (INT64_C(1) << 40);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		*(uint32_t *)at = (uint32_t)n | 1u << 31;
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		*(uint64_t *)at = n | UINT64_C(1) << 63;
		break;
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)at = 1;
		break;
	case PROTOBUF_C_TYPE_ENUM:
		*(int *)at = values->values[n % values->n_values].value;
		break;
	case PROTOBUF_C_TYPE_STRING:
		*(char **)at = arena_printf(
			arena, "text \"%llu\"\\\t\xc3\xa9\xf0\x9f\x8c\x8d/", (unsigned long long)n);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		bytes.data = (uint8_t *)arena_printf(
			arena, "=b.ytes %0*llu\xff", (int)(n % 97) + 1, (unsigned long long)n);
		bytes.len = strlen((char *)bytes.data) + 1;
		memcpy(at, &bytes, sizeof(bytes));
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		*(ProtobufCMessage **)at = fill(arena, field->descriptor, seed, depth + 1);
		break;
	default:
		abort();
	}
}

static void fill_field(struct arena *arena, const ProtobufCFieldDescriptor *field, uint8_t *base,
	uint64_t *seed, unsigned depth)
{
	bool message = field->type == PROTOBUF_C_TYPE_MESSAGE;

	if (message && depth >= DEPTH_MAX && field->label != PROTOBUF_C_LABEL_REQUIRED)
		return;
	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		uint8_t *array = arena_alloc(arena, 2 * element_size(field->type));

		for (size_t i = 0; i < 2; i++)
			fill_value(
				arena, field, array + i * element_size(field->type), seed, depth);
		*(uint8_t **)(base + field->offset) = array;
		*(size_t *)(base + field->quantifier_offset) = 2;
		return;
	}
	fill_value(arena, field, base + field->offset, seed, depth);
	if (field->label == PROTOBUF_C_LABEL_OPTIONAL && !message &&
		field->type != PROTOBUF_C_TYPE_STRING)
		*(protobuf_c_boolean *)(base + field->quantifier_offset) = 1;
}

static ProtobufCMessage *fill(struct arena *arena, const ProtobufCMessageDescriptor *descriptor,
	uint64_t *seed, unsigned depth)
{
	ProtobufCMessage *message = arena_alloc(arena, descriptor->sizeof_message);

	protobuf_c_message_init(descriptor, message);
	for (unsigned i = 0; i < descriptor->n_fields; i++)
		fill_field(arena, &descriptor->fields[i], (uint8_t *)message, seed, depth);
	return message;
}

ProtobufCMessage *sample_message(
	struct arena *arena, const ProtobufCMessageDescriptor *descriptor, uint64_t *seed)
{
	return fill(arena, descriptor, seed, 0);
}

static uint8_t *some_bytes(struct arena *arena, size_t size)
{
	uint8_t *bytes = arena_alloc(arena, size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 7 + size);
	return bytes;
}

/* Two System V messages of five bytes each, padded. */
static uint8_t *some_messages(struct arena *arena, size_t *ret_size)
{
	IpcMsg message = IPC_MSG__INIT;
	uint32_t size;
	uint8_t *bytes;

	message.mtype = UINT64_C(1) << 63;
	message.msize = 5;
	size = (uint32_t)protobuf_c_message_get_packed_size(&message.base);
	*ret_size = 2 * (sizeof(size) + size + 8);
	bytes = arena_alloc(arena, *ret_size);
	for (uint8_t *at = bytes; at < bytes + *ret_size; at += sizeof(size) + size + 8) {
		memcpy(at, &size, sizeof(size));
		protobuf_c_message_pack(&message.base, at + sizeof(size));
		memcpy(at + sizeof(size) + size, "hello", 5);
	}
	return bytes;
}

uint8_t *sample_extra(
	struct arena *arena, enum image_extra extra, ProtobufCMessage *entry, size_t *ret_size)
{
	*ret_size = 0;
	switch (extra) {
	case EXTRA_PIPE_DATA:
		*ret_size = ((PipeDataEntry *)entry)->bytes = 100;
		break;
	case EXTRA_SK_QUEUES:
		*ret_size = ((SkPacketEntry *)entry)->length = 57;
		break;
	case EXTRA_TCP_STREAM:
		((TcpStreamEntry *)entry)->inq_len = 3;
		((TcpStreamEntry *)entry)->outq_len = 4;
		*ret_size = 7;
		break;
	case EXTRA_GHOST:
		if (entry->descriptor == &ghost_file_entry__descriptor)
			return NULL;
		*ret_size = ((GhostChunkEntry *)entry)->len = 77;
		break;
	case EXTRA_IPC_SEM:
		((IpcSemEntry *)entry)->nsems = 3;
		*ret_size = 8;
		break;
	case EXTRA_IPC_MSG:
		((IpcMsgEntry *)entry)->qnum = 2;
		return some_messages(arena, ret_size);
	case EXTRA_IPC_SHM:
		((IpcShmEntry *)entry)->in_pagemaps = 0;
		((IpcShmEntry *)entry)->size = 10;
		*ret_size = 12;
		break;
	case EXTRA_BPFMAP_DATA:
		((BpfmapDataEntry *)entry)->keys_bytes = 6;
		((BpfmapDataEntry *)entry)->values_bytes = 9;
		*ret_size = 15;
		break;
	case EXTRA_NONE:
		return NULL;
	}
	return some_bytes(arena, *ret_size);
}

size_t sample_entries(enum image_type type)
{
	return image_info(type)->rest ? 3 : 2;
}

ProtobufCMessage *sample_entry(
	struct arena *arena, enum image_type type, size_t n, uint8_t **ret_extra, size_t *ret_size)
{
	const struct image_info *info = image_info(type);
	uint64_t seed = (uint64_t)type * 1000 + n * 100;
	ProtobufCMessage *entry =
		sample_message(arena, n && info->rest ? info->rest : info->first, &seed);

	*ret_extra = sample_extra(arena, info->extra, entry, ret_size);
	return entry;
}

static int write_raw(struct image_dir *dir, enum image_type type, uint64_t id, struct error *err)
{
	_cleanup_(close_fd) int fd = -1;
	char page[4096];
	int rc = image_create_raw(dir, type, id, &fd, err);

	memset(page, (int)type, sizeof(page));
	if (rc == 0 && write_full(fd, page, sizeof(page)) < 0)
		rc = error_set(err, EIO, "write");
	return rc;
}

int sample_write(struct image_dir *dir, enum image_type type, uint64_t id, struct error *err)
{
	_cleanup_(image_writer_cleanup) struct image_writer *writer = NULL;
	struct arena arena = {};
	int rc;

	if (!image_info(type)->magic)
		return write_raw(dir, type, id, err);
	rc = image_writer_open(dir, type, id, &writer, err);
	for (size_t n = 0; rc == 0 && n < sample_entries(type); n++) {
		size_t size;
		uint8_t *extra;
		ProtobufCMessage *entry = sample_entry(&arena, type, n, &extra, &size);

		rc = image_write(writer, entry, err);
		if (rc == 0 && size)
			rc = image_write_extra(writer, extra, size, err);
	}
	arena_deinit(&arena);
	return rc < 0 ? rc : image_writer_close(take_ptr(writer), err);
}
