#include "kinds/file/ghost_tree.h"

#include <fcntl.h>

#include "base/testpoint.h"

void ghost_temporary_name(char *name, size_t size, uint32_t id)
{
	snprintf(name, size, ".stasis-%d-%x", getpid(), id);
}

static int fail(struct error *err, const char *path, const char *doing)
{
	int rc = error_set(err, errno,
		"%s the directory %s for a moment, to restore a deleted file", doing, path);

	error_class(err, ERROR_CONFLICT);
	error_about_object(err, "%s", path);
	return rc;
}

/* Under a name of our own first, so that the journal can name the very inode before it has a name
 * that could be anybody's. Leaves the directory open at *ret_fd. */
static int make_one(struct restore_context *context, struct ghost_tree *tree, int parent_fd,
	const char *parent, const char *name, int *ret_fd, struct error *err)
{
	struct undo_journal *undo = restore_undo(context);
	struct arena *arena = context->arena;
	_cleanup_(close_fd) int fd = -1;
	const char *path = arena_printf(arena, "%s/%s", streq(parent, "/") ? "" : parent, name);
	char temporary[64];
	uint32_t first, second;
	struct stat st;
	int rc;

	ghost_temporary_name(temporary, sizeof(temporary), 0xd0000000 + (uint32_t)tree->count);
	rc = undo_record(undo, UNDO_ON_FAILURE, UNDO_RMDIR,
		arena_printf(arena, "%s/%s", parent, temporary), NULL, &first, err);
	if (rc < 0)
		return rc;
	if (mkdirat(parent_fd, temporary, 0755) < 0 && errno != EEXIST)
		return fail(err, path, "making");
	fd = openat(parent_fd, temporary, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(err, path, "opening");
	rc = undo_record(undo, UNDO_ON_FAILURE, UNDO_RMDIR, path, &st, &second, err);
	if (rc < 0)
		return rc;
	if (renameat2(parent_fd, temporary, parent_fd, name, RENAME_NOREPLACE) < 0)
		return fail(err, path, "naming");
	undo_forget(undo, first);
	tree->items = arena_grow(
		arena, tree->items, &tree->capacity, tree->count + 1, sizeof(*tree->items));
	tree->items[tree->count++] = (struct ghost_tree_item){path, second};
	*ret_fd = take_fd(&fd);
	rc = test_point("ghost-directory-made");
	return rc < 0 ? error_set(err, -rc, "making %s", path) : 0;
}

/* Opens a directory by its path, making what is missing. */
static int open_directory(struct restore_context *context, struct ghost_tree *tree,
	const char *path, int *ret_fd, struct error *err)
{
	struct files_restore *state = files_restore_state(context);
	_cleanup_(close_fd) int parent_fd = -1;
	char parent[PATH_MAX];
	char *slash;
	int rc;

	*ret_fd = files_openat(state->root_fd, -1, path, O_PATH | O_DIRECTORY);
	if (*ret_fd >= 0)
		return 0;
	if (*ret_fd != -ENOENT || streq(path, "/")) {
		errno = -*ret_fd;
		return fail(err, path, "opening");
	}
	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (slash == parent)
		parent[1] = '\0';
	else
		*slash = '\0';
	rc = open_directory(context, tree, parent, &parent_fd, err);
	if (rc < 0)
		return rc;
	return make_one(context, tree, parent_fd, parent, path + (slash - parent) + 1, ret_fd, err);
}

/* Splits an absolute path; neither part is ever empty, "." or "..". */
static int split(const char *path, struct ghost_place *place, struct error *err)
{
	const char *slash = strrchr(path, '/');
	size_t length = (size_t)(slash - path);

	if (path[0] != '/' || !slash[1] || strlen(slash + 1) > NAME_MAX ||
		length >= sizeof(place->directory) || streq(slash + 1, ".") ||
		streq(slash + 1, "..") || strstr(path, "/../") || strstr(path, "//"))
		return error_refuse(err, ERROR_BAD_IMAGE,
			"the path of a deleted file, %.200s, is impossible", path);
	memcpy(place->directory, path, length);
	place->directory[length] = '\0';
	if (!length)
		strcpy(place->directory, "/");
	strcpy(place->name, slash + 1);
	return 0;
}

int ghost_find_place(struct restore_context *context, struct ghost_tree *tree,
	const RegFileEntry *reg, struct ghost_place *ret_place, struct error *err)
{
	int rc = split(reg->name, ret_place, err);

	if (rc < 0)
		return rc;
	rc = open_directory(context, tree, ret_place->directory, &ret_place->fd, err);
	if (rc < 0)
		ret_place->fd = -1;
	return rc;
}

int ghost_make_directory(struct restore_context *context, struct ghost_tree *tree, const char *path,
	const GhostFileEntry *entry, int *ret_fd, struct error *err)
{
	_cleanup_(ghost_place_deinit) struct ghost_place place = GHOST_PLACE_INIT;
	char name[64];
	int rc = split(path, &place, err);

	if (rc < 0)
		return rc;
	/* Made already, as the parent of another deleted file. */
	for (size_t i = 0; i < tree->count; i++)
		if (streq(tree->items[i].path, path))
			return open_directory(context, tree, path, ret_fd, err);
	rc = open_directory(context, tree, place.directory, &place.fd, err);
	if (rc < 0)
		return rc;
	rc = make_one(context, tree, place.fd, place.directory, place.name, ret_fd, err);
	if (rc != -EEXIST)
		return rc;
	/* Something else has its name now: under one of ours. */
	(void)entry;
	*err = ERROR_INIT;
	ghost_temporary_name(name, sizeof(name), 0xe0000000 + (uint32_t)tree->count);
	return make_one(context, tree, place.fd, place.directory, name, ret_fd, err);
}

int ghost_tree_remove(struct restore_context *context, struct ghost_tree *tree, struct error *err)
{
	struct files_restore *state = files_restore_state(context);
	int result = 0;

	while (tree->count) {
		struct ghost_tree_item *item = &tree->items[--tree->count];
		struct ghost_place place = GHOST_PLACE_INIT;
		int rc = split(item->path, &place, err);

		if (rc >= 0)
			place.fd = files_openat(
				state->root_fd, -1, place.directory, O_PATH | O_DIRECTORY);
		if (rc < 0 || place.fd < 0 || unlinkat(place.fd, place.name, AT_REMOVEDIR) < 0)
			result = fail(err, item->path, "removing");
		else
			undo_forget(restore_undo(context), item->record);
		ghost_place_deinit(&place);
	}
	return result;
}
