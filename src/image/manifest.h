#pragma once
/*
 * The manifest: which images make up a checkpoint, with size and checksum of each.
 */
#include "base/arena.h"
#include "base/error.h"
#include "image/catalogue.h"

#define MANIFEST_NAME "stasis-manifest.json"

struct manifest_item {
	enum image_type type;
	uint64_t id;
	char name[IMAGE_NAME_MAX];
	uint64_t size;
	uint64_t checksum; /* xxh3, 64 bit */
	bool has_checksum;
};

struct manifest {
	struct manifest_item *items;
	size_t count, capacity;
	char *parent; /* content of the link `parent`; NULL: none */
};

struct manifest_item *manifest_add(struct manifest *manifest, enum image_type type, uint64_t id);
/* After this manifest_find() works. Fails on names that are there twice. */
int manifest_sort(struct manifest *manifest, struct error *err);
const struct manifest_item *manifest_find(const struct manifest *manifest, const char *name);
/* Writes the manifest as a new file into a directory; *ret_fd is the open file. */
int manifest_write(const struct manifest *manifest, int dirfd, int *ret_fd, struct error *err);
/* Returns 1, 0 when the directory has none, or -errno. Sorted. */
int manifest_read(int dirfd, struct manifest *ret_manifest, struct error *err);
void manifest_deinit(struct manifest *manifest);
