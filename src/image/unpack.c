/*
 * Unpacking of hostile protobuf.
 *
 * protobuf-c checks the wire format well, but two things it leaves to its caller: it recurses as
 * deep as the message nests (cgroup directories and AppArmor namespaces nest in themselves, two
 * bytes a level), and it allocates what the message asks for (two bytes can ask for a struct of
 * hundreds). So the nesting is walked first, without recursion into anything but submessages and
 * with a limit, and the memory comes from an allocator with a budget that is a multiple of the
 * message's size. The multiple is well above what the densest honest message needs (a core image:
 * 5).
 */
#include "image/internal.h"

#define NESTING_MAX   48
#define BUDGET_BASE   ((size_t)8192)
#define BUDGET_FACTOR ((size_t)64)

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_32 = 5 };

struct cursor {
	const uint8_t *at, *end;
};

static bool take_varint(struct cursor *cursor, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte;

		if (cursor->at == cursor->end)
			return false;
		byte = *cursor->at++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static bool skip(struct cursor *cursor, uint64_t size)
{
	if ((uint64_t)(cursor->end - cursor->at) < size)
		return false;
	cursor->at += size;
	return true;
}

/* Returns NULL, or what is wrong. Recursion ends at NESTING_MAX. */
static const char *check_nesting(
	const ProtobufCMessageDescriptor *descriptor, struct cursor cursor, unsigned depth)
{
	if (depth > NESTING_MAX)
		return "it nests too deeply";
	while (cursor.at < cursor.end) {
		const ProtobufCFieldDescriptor *field;
		uint64_t key, length;
		const char *reason;

		if (!take_varint(&cursor, &key))
			return "a field's key is cut short";
		switch (key & 7) {
		case WIRE_VARINT:
			if (!take_varint(&cursor, &length))
				return "a number is cut short";
			continue;
		case WIRE_64:
			if (!skip(&cursor, 8))
				return "a number is cut short";
			continue;
		case WIRE_32:
			if (!skip(&cursor, 4))
				return "a number is cut short";
			continue;
		case WIRE_LENGTH:
			break;
		default:
			return "a field is of an unknown wire type";
		}
		if (!take_varint(&cursor, &length) || length > (uint64_t)(cursor.end - cursor.at))
			return "a field is longer than the message";
		field = key >> 3 <= UINT32_MAX ? protobuf_c_message_descriptor_get_field(
							 descriptor, (unsigned)(key >> 3))
					       : NULL;
		if (field && field->type == PROTOBUF_C_TYPE_MESSAGE) {
			struct cursor inner = {cursor.at, cursor.at + length};

			reason = check_nesting(field->descriptor, inner, depth + 1);
			if (reason)
				return reason;
		}
		cursor.at += length;
	}
	return NULL;
}

struct budget {
	struct arena *arena;
	size_t left;
};

static void *budget_alloc(void *data, size_t size)
{
	struct budget *budget = data;
	/* What the arena adds for alignment counts too. */
	size_t cost = size + sizeof(max_align_t);

	if (size > SIZE_MAX / 2 || cost > budget->left)
		return NULL;
	budget->left -= cost;
	return arena_alloc(budget->arena, size);
}

/* The arena takes nothing back; what protobuf-c frees (its scratch tables) is within the budget. */
static void budget_free(void *data _unused_, void *pointer _unused_)
{
}

int image_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t size,
	struct arena *arena, ProtobufCMessage **ret_message, const char **ret_reason)
{
	struct budget budget = {arena, BUDGET_BASE + size * BUDGET_FACTOR};
	ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
	struct cursor cursor = {data, (const uint8_t *)data + size};
	ProtobufCMessage *message;

	*ret_reason = check_nesting(descriptor, cursor, 0);
	if (*ret_reason)
		return -EBADMSG;
	message = protobuf_c_message_unpack(descriptor, &allocator, size, data);
	if (!message) {
		*ret_reason = "it does not unpack (a required field is missing or of a wrong type)";
		return -EBADMSG;
	}
	*ret_message = message;
	return 0;
}
