#pragma once
/* Printing any message of the format, by reflection. */
#include <google/protobuf-c/protobuf-c.h>

#include "image/emit.h"

/* The fields of a message, between the caller's emit_object_begin() and _end(). JSON has the values
 * as crit prints them; text has addresses in hexadecimal, flags by name, and so on (fields.c). */
void emit_message_fields(struct emitter *emitter, const ProtobufCMessage *message);
