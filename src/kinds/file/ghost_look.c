/*
 * Dump: files that are open but at no path any more.
 *
 * A file without any name left (st_nlink 0) dies with its last holder: its content travels in the
 * images as a "ghost" (ghost-file-N.img), once for each inode. One that has other names, which
 * nobody can find, is kept alive by a new name beside the old one (--link-remap).
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <search.h>
#include <sys/sysmacros.h>

#include "base/io.h"
#include "kinds/file/state.h"

struct ghost_look {
	dev_t dev;
	ino_t ino;
	uint32_t id; /* of the image; 0: refused */
	pid_t pid;
	int number; /* -1: fd holds it */
	int fd;
	struct stat st;
};

struct remap_look {
	RemapFilePathEntry entry;
	/* LINKED only: what to give a name, and where. */
	bool linked;
	pid_t pid;
	int number;
	int fd;
	const char *path;
	struct stat st;
};

struct ghosts_look {
	void *by_inode; /* tree of struct ghost_look */
	struct ghost_look **ghosts;
	size_t ghost_count, ghost_capacity;
	struct remap_look *remaps;
	size_t remap_count, remap_capacity;
};

static struct ghosts_look *ghosts_of(struct dump_context *context)
{
	struct files_look *look = files_look_state(context);

	if (!look->ghosts)
		look->ghosts = arena_new(context->arena, struct ghosts_look);
	return look->ghosts;
}

static int compare_ghosts(const void *a, const void *b)
{
	const struct ghost_look *left = a, *right = b;

	if (left->dev != right->dev)
		return left->dev < right->dev ? -1 : 1;
	return left->ino < right->ino ? -1 : left->ino > right->ino;
}

static void keep_node(void *node)
{
	(void)node;
}

void ghost_look_end(struct files_look *look)
{
	struct ghosts_look *ghosts = look->ghosts;

	if (!ghosts)
		return;
	for (size_t i = 0; i < ghosts->ghost_count; i++)
		close_fd(&ghosts->ghosts[i]->fd);
	for (size_t i = 0; i < ghosts->remap_count; i++)
		close_fd(&ghosts->remaps[i].fd);
	tdestroy(take_ptr(ghosts->by_inode), keep_node);
	look->ghosts = NULL;
}

static struct remap_look *add_remap(
	struct dump_context *context, uint32_t id, uint32_t remap_id, RemapType type)
{
	struct ghosts_look *ghosts = ghosts_of(context);
	struct remap_look *remap;

	ghosts->remaps = arena_grow(context->arena, ghosts->remaps, &ghosts->remap_capacity,
		ghosts->remap_count + 1, sizeof(*ghosts->remaps));
	remap = &ghosts->remaps[ghosts->remap_count++];
	*remap = (struct remap_look){.number = -1, .fd = -1};
	remap_file_path_entry__init(&remap->entry);
	remap->entry.orig_id = id;
	remap->entry.remap_id = remap_id;
	remap->entry.has_remap_type = true;
	remap->entry.remap_type = type;
	return remap;
}

/* Can it be carried? */
static bool ghost_is_fine(
	struct dump_context *context, const struct file_source *source, const char *path)
{
	const struct stat *st = &source->st;
	uint64_t bytes = (uint64_t)st->st_blocks * 512;
	struct error *problem;

	if (S_ISREG(st->st_mode) && MIN(bytes, (uint64_t)st->st_size) > context->job->ghost_limit) {
		problem = files_obstacle(context, source,
			"is the deleted file %s of %llu bytes, more than the %llu that deleted "
			"files may have in the images",
			path, (unsigned long long)MIN(bytes, (uint64_t)st->st_size),
			(unsigned long long)context->job->ghost_limit);
		error_hint(problem, "raise --ghost-limit");
		return false;
	}
	if (S_ISBLK(st->st_mode) || S_ISSOCK(st->st_mode)) {
		files_obstacle(context, source, "is the deleted device or socket %s", path);
		return false;
	}
	return true;
}

int ghost_look(struct dump_context *context, const struct file_source *source, uint32_t id,
	const char *path, struct error *err)
{
	struct ghosts_look *ghosts = ghosts_of(context);
	struct ghost_look probe = {.dev = source->st.st_dev, .ino = source->st.st_ino, .fd = -1};
	struct ghost_look **found = tfind(&probe, &ghosts->by_inode, compare_ghosts), *ghost;

	if (!found) {
		probe.pid = source->pid;
		probe.number = source->number;
		probe.st = source->st;
		if (ghost_is_fine(context, source, path))
			probe.id = (uint32_t)ghosts->ghost_count + 1;
		if (probe.id && source->number < 0) {
			probe.fd = fcntl(source->fd, F_DUPFD_CLOEXEC, 0);
			if (probe.fd < 0)
				return error_set(err, errno, "keeping %s open", path);
		}
		ghost = arena_memdup(context->arena, &probe, sizeof(probe));
		found = tsearch(ghost, &ghosts->by_inode, compare_ghosts);
		if (!found)
			out_of_memory(sizeof(void *) * 4);
		if (ghost->id) {
			ghosts->ghosts = arena_grow(context->arena, ghosts->ghosts,
				&ghosts->ghost_capacity, ghosts->ghost_count + 1, sizeof(ghost));
			ghosts->ghosts[ghosts->ghost_count++] = ghost;
		}
	}
	if ((*found)->id)
		add_remap(context, id, (*found)->id, REMAP_TYPE__GHOST);
	return 0;
}

int ghost_look_process(struct dump_context *context, uint32_t id, pid_t pid)
{
	add_remap(context, id, (uint32_t)pid, REMAP_TYPE__PROCFS);
	return 0;
}

int ghost_look_linked(struct dump_context *context, const struct file_source *source, uint32_t id,
	const char *path, struct error *err)
{
	struct remap_look *remap;

	if (!context->job->link_remap) {
		error_hint(
			files_obstacle(context, source,
				"is the file %s, which has been deleted but has other names", path),
			"use --link-remap: a name link_remap.N is made beside the old one, and "
			"removed by the restore");
		return 0;
	}
	remap = add_remap(context, id, 0, REMAP_TYPE__LINKED);
	remap->linked = true;
	remap->pid = source->pid;
	remap->number = source->number;
	remap->path = path;
	remap->st = source->st;
	if (source->number < 0) {
		remap->fd = fcntl(source->fd, F_DUPFD_CLOEXEC, 0);
		if (remap->fd < 0)
			return error_set(err, errno, "keeping %s open", path);
	}
	return 0;
}

/*
 * Writing.
 */

static int write_hole_free(struct image_writer *writer, int fd, off_t size, struct error *err)
{
	off_t at = 0;

	while (at < size) {
		GhostChunkEntry chunk = GHOST_CHUNK_ENTRY__INIT;
		off_t data = lseek(fd, at, SEEK_DATA), hole;
		int rc;

		if (data < 0 && errno == ENXIO)
			return 0; /* a hole up to the end */
		hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return error_set(err, errno, "looking for holes");
		chunk.off = (uint64_t)data;
		chunk.len = (uint64_t)(hole - data);
		rc = image_write(writer, &chunk.base, err);
		if (rc >= 0)
			rc = image_write_extra_from(writer, fd, chunk.off, chunk.len, err);
		if (rc < 0)
			return rc;
		at = hole;
	}
	return 0;
}

static int write_ghost(struct image_writer *writer, const struct ghost_look *ghost, int fd,
	const char *target, struct error *err)
{
	GhostFileEntry entry = GHOST_FILE_ENTRY__INIT;
	Timeval atim = TIMEVAL__INIT, mtim = TIMEVAL__INIT;
	const struct stat *st = &ghost->st;
	bool sparse = S_ISREG(st->st_mode) && st->st_blocks * 512 < st->st_size;
	int rc;

	entry.uid = st->st_uid;
	entry.gid = st->st_gid;
	entry.mode = st->st_mode;
	entry.has_dev = entry.has_ino = true;
	/* As the kernel numbers devices: twelve bits and twenty. */
	entry.dev = (uint32_t)(major(st->st_dev) << 20 | minor(st->st_dev));
	entry.ino = st->st_ino;
	if (S_ISCHR(st->st_mode)) {
		entry.has_rdev = true;
		entry.rdev = (uint32_t)(major(st->st_rdev) << 20 | minor(st->st_rdev));
	}
	atim.tv_sec = (uint64_t)st->st_atim.tv_sec;
	atim.tv_usec = (uint64_t)st->st_atim.tv_nsec / 1000;
	mtim.tv_sec = (uint64_t)st->st_mtim.tv_sec;
	mtim.tv_usec = (uint64_t)st->st_mtim.tv_nsec / 1000;
	entry.atim = &atim;
	entry.mtim = &mtim;
	entry.has_chunks = entry.chunks = sparse;
	entry.has_size = sparse;
	entry.size = (uint64_t)st->st_size;
	entry.symlnk_target = (char *)(uintptr_t)target;
	rc = image_write(writer, &entry.base, err);
	if (rc < 0 || !S_ISREG(st->st_mode))
		return rc;
	return sparse ? write_hole_free(writer, fd, st->st_size, err)
		      : image_write_extra_from(writer, fd, 0, (uint64_t)st->st_size, err);
}

/* A descriptor of the inode, and for regular files one that reads and has a position of its own. */
static int fetch(struct dump_context *context, pid_t pid, int number, int held, mode_t mode)
{
	_cleanup_(close_fd) int fetched = number >= 0 ? files_fetch(context, pid, number) : -1;
	int fd = number >= 0 ? fetched : held;

	if (fd < 0 || !S_ISREG(mode))
		return fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return files_reopen(fd, O_RDONLY | O_NONBLOCK);
}

static int save_ghost(
	struct dump_context *context, const struct ghost_look *ghost, struct error *err)
{
	_cleanup_(close_fd) int fd =
		fetch(context, ghost->pid, ghost->number, ghost->fd, ghost->st.st_mode);
	char target[PATH_MAX] = "";
	struct image_writer *writer;
	int rc;

	if (fd < 0)
		return error_set(
			err, -fd, "reading deleted file %u of task %d", ghost->id, ghost->pid);
	if (S_ISLNK(ghost->st.st_mode) && readlinkat(fd, "", target, sizeof(target) - 1) < 0)
		return error_set(err, errno, "reading a deleted symbolic link");
	rc = image_writer_open(context->dir, IMAGE_GHOST_FILE, ghost->id, &writer, err);
	if (rc < 0)
		return rc;
	rc = write_ghost(writer, ghost, fd, target[0] ? target : NULL, err);
	if (rc < 0) {
		image_writer_cleanup(&writer);
		return error_wrap(err, rc, "writing deleted file %u", ghost->id);
	}
	return image_writer_close(writer, err);
}

/* A name for it, link_remap.N in the same directory. It is removed again if the dump fails. */
static int make_link(struct dump_context *context, const struct remap_look *remap, int fd,
	char **ret_path, struct error *err)
{
	struct files_look *look = files_look_state(context);
	_cleanup_(free_ptr) char *copy = xstrdup(remap->path);
	const char *directory = dirname(copy);
	_cleanup_(close_fd) int dirfd =
		files_openat(look->root_fd, -1, directory, O_PATH | O_DIRECTORY);
	int rc = 0;

	if (dirfd < 0)
		return error_set(
			err, -dirfd, "opening %s for a link to a deleted file of it", directory);
	for (unsigned n = remap->entry.orig_id, tries = 0; tries < 10000; n++, tries++) {
		char name[32];
		char *path;
		uint32_t record;

		snprintf(name, sizeof(name), "link_remap.%u", n);
		path = arena_printf(
			context->arena, "%s/%s", streq(directory, "/") ? "" : directory, name);
		if (faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		/* A task that runs on must not see its file with one more name. CRIU removes the
		 * link again: whoever restores such a checkpoint has to make it. */
		if (context->job->leave_running) {
			*ret_path = path;
			return 0;
		}
		rc = undo_record(dump_undo(context), UNDO_ON_FAILURE, UNDO_UNLINK, path, &remap->st,
			&record, err);
		if (rc < 0)
			return rc;
		if (linkat(fd, "", dirfd, name, AT_EMPTY_PATH) == 0) {
			*ret_path = path;
			return 0;
		}
		rc = -errno;
		undo_forget(dump_undo(context), record);
		if (rc != -EEXIST)
			break;
	}
	rc = error_set(err, rc ? -rc : EEXIST, "linking the deleted file %s", remap->path);
	error_hint(err, "it needs a filesystem with hard links, and CAP_DAC_READ_SEARCH");
	return rc;
}

static int save_link(struct dump_context *context, struct remap_look *remap, struct error *err)
{
	_cleanup_(close_fd) int fetched =
		remap->number >= 0 ? files_fetch(context, remap->pid, remap->number) : -1;
	const struct file *orig = checkpoint_file(context->checkpoint, remap->entry.orig_id);
	RegFileEntry *orig_reg = orig->entry->reg, *reg = arena_new(context->arena, RegFileEntry);
	const struct file_kind *kind = orig->kind;
	struct file *file;
	int fd = remap->number >= 0 ? fetched : remap->fd;
	int rc;

	if (fd < 0)
		return error_set(
			err, -fd, "fetching descriptor %d of task %d", remap->number, remap->pid);
	*reg = *orig_reg;
	rc = make_link(context, remap, fd, &reg->name, err);
	if (rc < 0)
		return rc;
	file = checkpoint_add_file(context->checkpoint);
	file->kind = kind;
	file->entry = arena_new(context->arena, FileEntry);
	file_entry__init(file->entry);
	file->entry->type = FD_TYPES__REG;
	file->entry->id = file->id;
	file->entry->reg = reg;
	reg->id = file->id;
	reg->flags = O_PATH; /* nobody has it open under this name */
	reg->pos = 0;
	remap->entry.remap_id = file->id;
	return 0;
}

int ghost_save(struct dump_context *context, struct error *err)
{
	struct ghosts_look *ghosts = files_look_state(context)->ghosts;
	struct image_writer *writer;
	int rc = 0;

	if (!ghosts)
		return 0;
	for (size_t i = 0; i < ghosts->ghost_count && rc >= 0; i++)
		rc = save_ghost(context, ghosts->ghosts[i], err);
	for (size_t i = 0; i < ghosts->remap_count && rc >= 0; i++) {
		if (ghosts->remaps[i].linked)
			rc = save_link(context, &ghosts->remaps[i], err);
		if (rc >= 0)
			rc = dump_writer(context, IMAGE_REMAP_FPATH, &writer, err);
		if (rc >= 0)
			rc = image_write(writer, &ghosts->remaps[i].entry.base, err);
	}
	return rc;
}
