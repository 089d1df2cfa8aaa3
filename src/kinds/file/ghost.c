/*
 * Restore: files that had no path any more when they were dumped (see ghost_look.c).
 *
 * What a task sees of such a file is its content and "/the/old/path (deleted)" in /proc/self/fd. So
 * the inode is made under a name of our own beside the old path, filled, linked to the old path if
 * that is free, opened there as often as it was open, and unlinked. Every step is in the journal
 * before it happens; once a name is one that others could use as well, the record holds only for
 * the very inode.
 */
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "base/io.h"
#include "base/testpoint.h"
#include "kinds/file/ghost_tree.h"
#include "kinds/file/state.h"

/* A file that is to be had under a path that it must not keep. */
struct remap {
	uint32_t file_id;
	RemapType type;
	struct ghost *ghost; /* NULL: PROCFS */
	pid_t pid; /* PROCFS */
	int fd; /* opened, and not asked for yet; -1: none */
};

struct ghost {
	uint32_t id; /* of ghost-file-N.img, or of the file that is the link */
	GhostFileEntry *entry; /* NULL: LINKED */
	const RegFileEntry *link; /* LINKED */
	bool checked, made;
	int keep; /* holds the inode while it is opened */
};

struct ghosts {
	struct remap *remaps; /* ascending by file_id */
	size_t remap_count, remap_capacity;
	struct ghost **ghosts;
	size_t ghost_count, ghost_capacity;
	struct ghost_tree tree; /* directories that exist for a while */
};

static struct ghosts *ghosts_of(const struct restore_context *context)
{
	return context->files ? context->files->ghosts : NULL;
}

static struct remap *find_remap(const struct restore_context *context, uint32_t file_id)
{
	struct ghosts *ghosts = ghosts_of(context);
	size_t low = 0, high = ghosts ? ghosts->remap_count : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct remap *remap = &ghosts->remaps[middle];

		if (remap->file_id == file_id)
			return remap;
		if (remap->file_id < file_id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool ghost_has(const struct restore_context *context, uint32_t file_id)
{
	const struct remap *remap = find_remap(context, file_id);

	return remap && remap->ghost;
}

pid_t ghost_process_of(const struct restore_context *context, uint32_t file_id)
{
	const struct remap *remap = find_remap(context, file_id);

	return remap ? remap->pid : 0;
}

/*
 * Reading and checking.
 */

static int bad_remap(const RemapFilePathEntry *entry, const char *what, struct error *err)
{
	int rc = error_refuse(
		err, ERROR_BAD_IMAGE, "remap-fpath.img: file %u %s", entry->orig_id, what);

	error_about_object(err, "remap-fpath.img");
	return rc;
}

static int load_ghost(struct restore_context *context, struct ghost *ghost, struct error *err)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	ProtobufCMessage *message = NULL;
	int rc = image_reader_open(context->dir, IMAGE_GHOST_FILE, ghost->id, &reader, err);

	if (rc > 0)
		rc = image_read(reader, context->arena, &message, err);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return error_refuse(err, ERROR_BAD_IMAGE,
			"ghost-file-%x.img is missing or empty: the content of a deleted file",
			ghost->id);
	ghost->entry = (GhostFileEntry *)message;
	return 0;
}

static int find_ghost(struct restore_context *context, const RemapFilePathEntry *entry,
	struct ghost **ret_ghost, struct error *err)
{
	struct ghosts *ghosts = ghosts_of(context);
	bool linked = entry->remap_type == REMAP_TYPE__LINKED;
	struct ghost *ghost;
	int rc = 0;

	for (size_t i = ghosts->ghost_count; i-- > 0;) {
		ghost = ghosts->ghosts[i];
		if (ghost->id == entry->remap_id && linked == !!ghost->link) {
			*ret_ghost = ghost;
			return 0;
		}
	}
	ghost = arena_new(context->arena, struct ghost);
	ghost->id = entry->remap_id;
	ghost->keep = -1;
	if (linked) {
		const struct file *file = checkpoint_file(context->checkpoint, ghost->id);

		if (!file || !file->entry->reg || file->entry->reg->name[0] != '/')
			return bad_remap(entry, "refers to a link that is not there", err);
		ghost->link = file->entry->reg;
	} else {
		rc = load_ghost(context, ghost, err);
	}
	ghosts->ghosts = arena_grow(context->arena, ghosts->ghosts, &ghosts->ghost_capacity,
		ghosts->ghost_count + 1, sizeof(ghost));
	ghosts->ghosts[ghosts->ghost_count++] = ghost;
	*ret_ghost = ghost;
	return rc;
}

static int add_remap(
	struct restore_context *context, const RemapFilePathEntry *entry, struct error *err)
{
	struct ghosts *ghosts = ghosts_of(context);
	const struct file *file = checkpoint_file(context->checkpoint, entry->orig_id);
	struct remap *remap;

	if (!file || !file->entry->reg)
		return bad_remap(entry, "is not a file of files.img", err);
	ghosts->remaps = arena_grow(context->arena, ghosts->remaps, &ghosts->remap_capacity,
		ghosts->remap_count + 1, sizeof(*ghosts->remaps));
	remap = &ghosts->remaps[ghosts->remap_count++];
	*remap = (struct remap){.file_id = entry->orig_id, .type = entry->remap_type, .fd = -1};
	if (entry->remap_type == REMAP_TYPE__PROCFS) {
		if (!entry->remap_id || entry->remap_id > INT32_MAX)
			return bad_remap(entry, "is of an impossible process", err);
		remap->pid = (pid_t)entry->remap_id;
		return 0;
	}
	return find_ghost(context, entry, &remap->ghost, err);
}

static int compare_remaps(const void *a, const void *b)
{
	const struct remap *left = a, *right = b;

	return left->file_id < right->file_id ? -1 : left->file_id > right->file_id;
}

int ghost_load(struct restore_context *context, struct error *err)
{
	struct files_restore *state = files_restore_state(context);
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	struct ghosts *ghosts = arena_new(context->arena, struct ghosts);
	ProtobufCMessage *message;
	int rc = image_reader_open(context->dir, IMAGE_REMAP_FPATH, 0, &reader, err);

	if (rc <= 0)
		return rc;
	state->ghosts = ghosts;
	while ((rc = image_read(reader, context->arena, &message, err)) > 0) {
		rc = add_remap(context, (RemapFilePathEntry *)message, err);
		if (rc < 0)
			return rc;
	}
	if (ghosts->remap_count)
		qsort(ghosts->remaps, ghosts->remap_count, sizeof(*ghosts->remaps), compare_remaps);
	for (size_t i = 1; i < ghosts->remap_count; i++)
		if (ghosts->remaps[i].file_id == ghosts->remaps[i - 1].file_id)
			return error_refuse(err, ERROR_BAD_IMAGE,
				"remap-fpath.img: file %u is there twice",
				ghosts->remaps[i].file_id);
	return rc;
}

/* Copies the content out of the image, or (to = -1) only checks that it is whole. */
static int copy_bytes(
	struct image_reader *reader, uint64_t size, int to, uint64_t offset, struct error *err)
{
	static const size_t piece = 128 * 1024;
	_cleanup_(free_ptr) void *buffer = NULL;
	uint64_t from;
	int fd = image_reader_fd(reader, &from);
	uint64_t left = size;

	if (to < 0 || size > image_reader_remaining(reader))
		return image_reader_skip(reader, size, err);
	buffer = xcalloc(1, piece);
	while (left) {
		ssize_t n = pread_full(fd, buffer, MIN(left, piece), (off_t)from);
		int rc = n <= 0 ? (int)n : pwrite_full(to, buffer, (size_t)n, (off_t)offset);

		if (rc < 0 || n <= 0)
			return error_set(err, rc < 0 ? -rc : ENODATA, "writing a deleted file");
		from += (uint64_t)n;
		offset += (uint64_t)n;
		left -= (uint64_t)n;
	}
	return image_reader_skip(reader, size, err);
}

static int read_content(
	struct restore_context *context, const struct ghost *ghost, int to, struct error *err)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	ProtobufCMessage *message;
	int rc = image_reader_open(context->dir, IMAGE_GHOST_FILE, ghost->id, &reader, err);

	if (rc > 0)
		rc = image_read(reader, context->arena, &message, err);
	if (rc <= 0)
		return rc;
	if (!ghost->entry->has_chunks || !ghost->entry->chunks)
		return copy_bytes(reader, image_reader_remaining(reader), to, 0, err);
	while ((rc = image_read(reader, context->arena, &message, err)) > 0) {
		const GhostChunkEntry *chunk = (const GhostChunkEntry *)message;

		if (chunk->off > INT64_MAX || chunk->len > INT64_MAX - chunk->off ||
			(ghost->entry->has_size && chunk->off + chunk->len > ghost->entry->size))
			return error_refuse(err, ERROR_BAD_IMAGE,
				"ghost-file-%x.img: a piece lies outside of the file", ghost->id);
		rc = copy_bytes(reader, chunk->len, to, chunk->off, err);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static void check_entry(
	struct restore_context *context, const struct file *file, const struct ghost *ghost)
{
	const GhostFileEntry *entry = ghost->entry;
	struct error failure = ERROR_INIT;
	mode_t type = entry->mode & S_IFMT;

	if (type != S_IFREG && type != S_IFDIR && type != S_IFIFO && type != S_IFCHR &&
		!(type == S_IFLNK && entry->symlnk_target))
		files_damage(
			context, file, "the deleted file is of no type (mode %o)", entry->mode);
	else if (type == S_IFCHR && (!entry->has_rdev || entry->rdev >> 20 != 1))
		files_damage(context, file, "the deleted file is a device of an unknown kind");
	else if (entry->has_size && entry->size > INT64_MAX)
		files_damage(context, file, "the deleted file has an impossible size");
	else if (type == S_IFREG && read_content(context, ghost, -1, &failure) < 0)
		problems_take(context->problems, &failure);
}

int ghost_check(struct restore_context *context, const struct file *file, const RegFileEntry *reg,
	struct error *err)
{
	struct files_restore *state = files_restore_state(context);
	struct remap *remap = find_remap(context, file->id);
	struct ghost *ghost = remap->ghost;
	struct stat st;

	(void)err;
	if (reg->has_mode && ghost->entry && ((reg->mode ^ ghost->entry->mode) & S_IFMT))
		files_damage(context, file, "the deleted file is of another type");
	if (ghost->checked)
		return 0;
	ghost->checked = true;
	if (ghost->entry)
		check_entry(context, file, ghost);
	else if (files_statat(state->root_fd, -1, ghost->link->name, &st) < 0)
		error_hint(files_conflict(context, file,
				   "%s, the name that the dump gave to the deleted file %s, is "
				   "missing",
				   ghost->link->name, reg->name),
			"an earlier restore of these images has used it up, or the dump, with "
			"--leave-running, has not made it: link the file to that name");
	return 0;
}

/*
 * Making.
 */

static int fail(struct error *err, const char *path, const char *doing)
{
	int rc =
		error_set(err, errno, "%s %s for a moment, to restore a deleted file", doing, path);

	error_class(err, ERROR_CONFLICT);
	error_about_object(err, "%s", path);
	return rc;
}

static int set_attributes(const struct ghost *ghost, int fd, const char *path, struct error *err)
{
	const GhostFileEntry *entry = ghost->entry;
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (fchownat(fd, "", entry->uid, entry->gid, AT_EMPTY_PATH) < 0)
		return fail(err, path, "giving the owner to");
	/* Through /proc: fchmod(2) refuses O_PATH descriptors. */
	if (!S_ISLNK(entry->mode) && chmod(self, entry->mode & 07777) < 0)
		return fail(err, path, "giving the mode to");
	if (entry->atim)
		times[0] = (struct timespec){
			(time_t)entry->atim->tv_sec, (long)(entry->atim->tv_usec % 1000000) * 1000};
	if (entry->mtim)
		times[1] = (struct timespec){
			(time_t)entry->mtim->tv_sec, (long)(entry->mtim->tv_usec % 1000000) * 1000};
	/* Advisory: times that the filesystem cannot have. */
	(void)utimensat(AT_FDCWD, self, times, 0);
	return 0;
}

static int make_node(const GhostFileEntry *entry, int dirfd, const char *name)
{
	int fd;

	switch (entry->mode & S_IFMT) {
	case S_IFREG:
		fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		return fd;
	case S_IFLNK:
		if (symlinkat(entry->symlnk_target, dirfd, name) < 0)
			return -1;
		break;
	case S_IFIFO:
		if (mkfifoat(dirfd, name, 0600) < 0)
			return -1;
		/* Held open at both ends, so that opening one does not wait for the other and
		 * what is written stays. */
		return openat(dirfd, name, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	default:
		if (mknodat(dirfd, name, S_IFCHR | 0600,
			    makedev(entry->rdev >> 20, entry->rdev & 0xfffff)) < 0)
			return -1;
	}
	return openat(dirfd, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
}

static int fill_inode(struct restore_context *context, const struct ghost *ghost, const char *path,
	struct error *err)
{
	const GhostFileEntry *entry = ghost->entry;

	if (S_ISREG(entry->mode)) {
		int rc = read_content(context, ghost, ghost->keep, err);

		if (rc < 0)
			return rc;
		if (entry->has_chunks && entry->has_size &&
			ftruncate(ghost->keep, (off_t)entry->size) < 0)
			return fail(err, path, "setting the size of");
	}
	return set_attributes(ghost, ghost->keep, path, err);
}

/* The inode, under a name of our own next to `place`; ghost->keep holds it. */
static int make_inode(struct restore_context *context, struct ghost *ghost,
	const struct ghost_place *place, char *name, size_t size, uint32_t *ret_record,
	struct error *err)
{
	const GhostFileEntry *entry = ghost->entry;
	char path[PATH_MAX];
	int rc;

	ghost_temporary_name(name, size, ghost->id);
	if (snprintf(path, sizeof(path), "%s/%s", place->directory, name) >= (int)sizeof(path))
		return error_set(err, ENAMETOOLONG, "restoring deleted file %u", ghost->id);
	rc = undo_record(
		restore_undo(context), UNDO_ON_FAILURE, UNDO_UNLINK, path, NULL, ret_record, err);
	if (rc < 0)
		return rc;
	(void)unlinkat(place->fd, name, 0); /* what somebody of our pid has left */
	ghost->keep = make_node(entry, place->fd, name);
	if (ghost->keep < 0)
		return fail(err, path, "making");
	rc = test_point("ghost-made");
	if (rc < 0)
		return error_set(err, -rc, "making %s", path);
	return fill_inode(context, ghost, path, err);
}

/* Opens the ghost as `file` had it, under the file's own old path if that is free. */
static int open_at_place(struct restore_context *context, struct ghost *ghost,
	const struct file *file, struct remap *remap, struct error *err)
{
	const RegFileEntry *reg = file->entry->reg;
	struct undo_journal *undo = restore_undo(context);
	_cleanup_(ghost_place_deinit) struct ghost_place place = GHOST_PLACE_INIT;
	uint64_t flags = files_open_flags(reg->flags);
	struct stat st;
	uint32_t record;
	int rc = ghost_find_place(context, &ghosts_of(context)->tree, reg, &place, err);

	if (rc < 0)
		return rc;
	if (fstat(ghost->keep, &st) < 0)
		return fail(err, reg->name, "looking at");
	rc = undo_record(undo, UNDO_ON_FAILURE, UNDO_UNLINK, reg->name, &st, &record, err);
	if (rc < 0)
		return rc;
	if (linkat(ghost->keep, "", place.fd, place.name, AT_EMPTY_PATH) == 0) {
		rc = test_point("ghost-linked");
		remap->fd =
			rc < 0 ? -1
			       : openat(place.fd, place.name, (int)flags | O_CLOEXEC | O_NOCTTY);
		if (remap->fd < 0)
			rc = rc < 0 ? error_set(err, -rc, "opening %s", reg->name)
				    : fail(err, reg->name, "opening");
		unlinkat(place.fd, place.name, 0);
	} else {
		/* The path belongs to another file now: the link in /proc will show our name. */
		remap->fd = files_reopen(ghost->keep, (int)flags & ~O_NOFOLLOW);
		if (remap->fd < 0) {
			errno = -remap->fd;
			rc = fail(err, reg->name, "opening");
		}
	}
	undo_forget(undo, record);
	return rc;
}

static int open_everywhere(struct restore_context *context, struct ghost *ghost, struct error *err)
{
	struct ghosts *ghosts = ghosts_of(context);
	int rc = 0;

	for (size_t i = 0; i < ghosts->remap_count && rc >= 0; i++) {
		struct remap *remap = &ghosts->remaps[i];

		if (remap->ghost == ghost)
			rc = open_at_place(context, ghost,
				checkpoint_file(context->checkpoint, remap->file_id), remap, err);
	}
	ghost->made = true;
	return rc;
}

/* It never had a name (O_TMPFILE): made in the same way, so that F_GETFL shows it again. Only the one
 * description that made it can have the flag. */
static int make_nameless(struct restore_context *context, struct ghost *ghost,
	const struct file *file, const RegFileEntry *reg, struct error *err)
{
	_cleanup_(ghost_place_deinit) struct ghost_place place = GHOST_PLACE_INIT;
	struct ghosts *ghosts = ghosts_of(context);
	_cleanup_(close_fd) int fd = -1;
	int rc = ghost_find_place(context, &ghosts->tree, reg, &place, err);

	if (rc < 0)
		return rc;
	fd = openat(place.fd, ".", (int)reg->flags | O_CLOEXEC, 0600);
	ghost->keep = fd < 0 ? -1 : files_reopen(fd, O_RDWR);
	if (ghost->keep < 0)
		return fail(err, reg->name, "making");
	rc = fill_inode(context, ghost, reg->name, err);
	for (size_t i = 0; i < ghosts->remap_count && rc >= 0; i++) {
		struct remap *remap = &ghosts->remaps[i];
		const struct file *other;

		if (remap->ghost != ghost)
			continue;
		other = checkpoint_file(context->checkpoint, remap->file_id);
		remap->fd = other == file
				    ? take_fd(&fd)
				    : files_reopen(ghost->keep,
					      (int)files_open_flags(other->entry->reg->flags) &
						      ~O_NOFOLLOW);
		if (remap->fd < 0)
			rc = fail(err, reg->name, "opening");
	}
	ghost->made = true;
	return rc;
}

/* A new inode for each ghost. */
static int make_ghost(struct restore_context *context, struct ghost *ghost, const RegFileEntry *reg,
	struct error *err)
{
	_cleanup_(ghost_place_deinit) struct ghost_place place = GHOST_PLACE_INIT;
	char name[64];
	uint32_t record;
	int rc = ghost_find_place(context, &ghosts_of(context)->tree, reg, &place, err);

	if (rc < 0)
		return rc;
	rc = make_inode(context, ghost, &place, name, sizeof(name), &record, err);
	if (rc < 0)
		return rc; /* the journal removes what there is */
	rc = open_everywhere(context, ghost, err);
	if (unlinkat(place.fd, name, 0) < 0 && rc >= 0)
		return fail(err, name, "removing");
	undo_forget(restore_undo(context), record);
	return rc;
}

/* The inode lives under the name that the dump gave it; a success ends that. */
static int take_link(struct restore_context *context, struct ghost *ghost, struct error *err)
{
	struct files_restore *state = files_restore_state(context);
	struct stat st;
	int rc;

	ghost->keep = files_openat(state->root_fd, -1, ghost->link->name, O_PATH | O_NOFOLLOW);
	if (ghost->keep < 0 || fstat(ghost->keep, &st) < 0) {
		errno = ghost->keep < 0 ? -ghost->keep : errno;
		return fail(err, ghost->link->name, "opening");
	}
	rc = open_everywhere(context, ghost, err);
	if (rc < 0)
		return rc;
	return undo_record(restore_undo(context), UNDO_ON_SUCCESS, UNDO_UNLINK, ghost->link->name,
		&st, NULL, err);
}

/* A directory has one name: it is made where it was. */
static int make_directory(struct restore_context *context, struct ghost *ghost,
	const RegFileEntry *reg, struct error *err)
{
	struct ghosts *ghosts = ghosts_of(context);
	int rc = ghost_make_directory(
		context, &ghosts->tree, reg->name, ghost->entry, &ghost->keep, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ghosts->remap_count; i++) {
		struct remap *remap = &ghosts->remaps[i];
		const RegFileEntry *entry;

		if (remap->ghost != ghost)
			continue;
		entry = checkpoint_file(context->checkpoint, remap->file_id)->entry->reg;
		remap->fd = files_reopen(
			ghost->keep, (int)files_open_flags(entry->flags) & ~O_NOFOLLOW);
		if (remap->fd < 0) {
			errno = -remap->fd;
			return fail(err, reg->name, "opening");
		}
	}
	ghost->made = true;
	return set_attributes(ghost, ghost->keep, reg->name, err);
}

int ghost_open(struct restore_context *context, const struct file *file, const RegFileEntry *reg,
	int *ret_fd, struct error *err)
{
	struct remap *remap = find_remap(context, file->id);
	struct ghost *ghost = remap->ghost;
	int rc = 0;

	if (!ghost->made) {
		if (ghost->link)
			rc = take_link(context, ghost, err);
		else if (S_ISDIR(ghost->entry->mode))
			rc = make_directory(context, ghost, reg, err);
		else if (S_ISREG(ghost->entry->mode) && (reg->flags & KERNEL_O_TMPFILE))
			rc = make_nameless(context, ghost, file, reg, err);
		else
			rc = make_ghost(context, ghost, reg, err);
		if (rc < 0)
			return rc;
		/* Every description is open now, and holds the inode; a fifo has to stay open at
		 * both ends until all are. */
		if (ghost->link || !S_ISFIFO(ghost->entry->mode))
			close_fd(&ghost->keep);
	}
	*ret_fd = take_fd(&remap->fd);
	return 0;
}

int ghost_opened(struct restore_context *context, struct error *err)
{
	struct ghosts *ghosts = ghosts_of(context);

	if (!ghosts)
		return 0;
	for (size_t i = 0; i < ghosts->ghost_count; i++)
		close_fd(&ghosts->ghosts[i]->keep);
	return ghost_tree_remove(context, &ghosts->tree, err);
}

void ghost_close(struct files_restore *state)
{
	struct ghosts *ghosts = state->ghosts;

	if (!ghosts)
		return;
	for (size_t i = 0; i < ghosts->ghost_count; i++)
		close_fd(&ghosts->ghosts[i]->keep);
	for (size_t i = 0; i < ghosts->remap_count; i++)
		close_fd(&ghosts->remaps[i].fd);
}
