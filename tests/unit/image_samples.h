#pragma once
/* Filled messages and images of every kind, for the tests of the image room. */
#include "image/dir.h"

/* A message with every field set (two values in repeated ones). The same seed gives the same
 * values. */
ProtobufCMessage *sample_message(
	struct arena *arena, const ProtobufCMessageDescriptor *descriptor, uint64_t *seed);
/* Extra data that fits an entry; sets the lengths in the entry. NULL when there is none. */
uint8_t *sample_extra(
	struct arena *arena, enum image_extra extra, ProtobufCMessage *entry, size_t *ret_size);
/* Number of entries in a sample image. */
size_t sample_entries(enum image_type type);
/* The n-th entry of a sample image. */
ProtobufCMessage *sample_entry(
	struct arena *arena, enum image_type type, size_t n, uint8_t **ret_extra, size_t *ret_size);
/* Writes the sample image of one type; raw images get a page of bytes. */
int sample_write(struct image_dir *dir, enum image_type type, uint64_t id, struct error *err);
