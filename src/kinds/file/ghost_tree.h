#pragma once
/*
 * Places for deleted files: directories that were deleted as well exist again for a while.
 */
#include <limits.h>

#include "kinds/file/state.h"

/* Directories that were made, in the order in which they were. */
struct ghost_tree {
	struct ghost_tree_item {
		const char *path;
		uint32_t record; /* in the journal */
	} * items;
	size_t count, capacity;
};

/* Where a deleted file was: its directory, opened, and its name there. */
struct ghost_place {
	int fd;
	char directory[PATH_MAX];
	char name[NAME_MAX + 1];
};
#define GHOST_PLACE_INIT ((struct ghost_place){.fd = -1})
static inline void ghost_place_deinit(struct ghost_place *place)
{
	close_fd(&place->fd);
}

/* Opens the directory of reg->name, making what is missing of it. */
int ghost_find_place(struct restore_context *context, struct ghost_tree *tree,
	const RegFileEntry *reg, struct ghost_place *ret_place, struct error *err);
/* Makes the directory `path` itself. *ret_fd is an O_PATH descriptor of it. */
int ghost_make_directory(struct restore_context *context, struct ghost_tree *tree, const char *path,
	const GhostFileEntry *entry, int *ret_fd, struct error *err);
/* Removes them all, the latest first. */
int ghost_tree_remove(struct restore_context *context, struct ghost_tree *tree, struct error *err);
/* A name that nobody else uses. */
void ghost_temporary_name(char *name, size_t size, uint32_t id);
