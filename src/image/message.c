#include "image/message.h"

#include <inttypes.h>

#include "image/fields.h"

/* A value of a field: `at` points to it, in the message or in the array of a repeated field. */
struct value {
	const ProtobufCFieldDescriptor *field;
	const struct field_hint *hint;
	const void *at;
};

static void emit_unsigned(struct emitter *emitter, const struct value *value, uint64_t number)
{
	char text[512];

	if (!emitter->json && field_print(value->hint, number, text, sizeof(text)))
		emit_string(emitter, text, strlen(text));
	else
		emit_number(emitter, "%" PRIu64, number);
}

static void emit_enum(struct emitter *emitter, const struct value *value)
{
	int number = *(const int *)value->at;
	const ProtobufCEnumValue *known =
		protobuf_c_enum_descriptor_get_value(value->field->descriptor, number);

	if (known)
		emit_string(emitter, known->name, strlen(known->name));
	else
		emit_number(emitter, "%d", number);
}

static void emit_bytes(struct emitter *emitter, const struct value *value)
{
	const ProtobufCBinaryData *bytes = value->at;

	if (value->hint && value->hint->format == FIELD_PRINTABLE)
		emit_quoted_printable(emitter, bytes->data, bytes->len);
	else
		emit_base64(emitter, bytes->data, bytes->len);
}

static void emit_text(struct emitter *emitter, const struct value *value)
{
	const char *text = *(char *const *)value->at;

	emit_string(emitter, text ? text : "", text ? strlen(text) : 0);
}

static void emit_value(struct emitter *emitter, const struct value *value)
{
	switch (value->field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		emit_number(emitter, "%" PRId32, *(const int32_t *)value->at);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		emit_number(emitter, "%" PRId64, *(const int64_t *)value->at);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		emit_unsigned(emitter, value, *(const uint32_t *)value->at);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		emit_unsigned(emitter, value, *(const uint64_t *)value->at);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		emit_number(emitter, "%.9g", (double)*(const float *)value->at);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		emit_number(emitter, "%.17g", *(const double *)value->at);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		emit_bool(emitter, *(const protobuf_c_boolean *)value->at);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		emit_enum(emitter, value);
		break;
	case PROTOBUF_C_TYPE_STRING:
		emit_text(emitter, value);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		emit_bytes(emitter, value);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		emit_object_begin(emitter);
		emit_message_fields(emitter, *(ProtobufCMessage *const *)value->at);
		emit_object_end(emitter);
		break;
	}
}

static size_t element_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}

static void emit_repeated(struct emitter *emitter, struct value *value, size_t count)
{
	const uint8_t *array = *(uint8_t *const *)value->at;
	bool scalars = value->field->type != PROTOBUF_C_TYPE_MESSAGE;

	emit_array_begin(emitter, scalars);
	for (size_t i = 0; i < count; i++) {
		value->at = array + i * element_size(value->field->type);
		emit_value(emitter, value);
	}
	emit_array_end(emitter, scalars);
}

/* How many values of the field there are: optional strings and messages are pointers, of which NULL
 * or the default in the descriptor means 'not there'; other optional fields have a flag. */
static size_t count_values(
	const ProtobufCFieldDescriptor *field, const uint8_t *message, const void *at)
{
	if (field->label == PROTOBUF_C_LABEL_REQUIRED)
		return 1;
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)(message + field->quantifier_offset);
	if (field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING) {
		const void *pointer = *(const void *const *)at;

		return pointer && pointer != field->default_value;
	}
	return *(const protobuf_c_boolean *)(message + field->quantifier_offset) ? 1 : 0;
}

void emit_message_fields(struct emitter *emitter, const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *descriptor = message->descriptor;
	const uint8_t *base = (const uint8_t *)message;

	for (unsigned i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		struct value value = {field, NULL, base + field->offset};
		size_t count = count_values(field, base, value.at);

		if (!count)
			continue;
		value.hint = field_hint(descriptor->name, field->name);
		emit_key(emitter, field->name);
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
			emit_repeated(emitter, &value, count);
		else
			emit_value(emitter, &value);
	}
}
