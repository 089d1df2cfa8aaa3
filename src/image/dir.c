/* Opening, preparing and closing an image directory. The commit is in commit.c. */
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/vfs.h>

#include "base/log.h"
#include "image/internal.h"

static struct image_dir *new_dir(const char *path)
{
	struct image_dir *dir = xcalloc(1, sizeof(*dir));

	dir->path = xstrdup(path);
	dir->fd = dir->staging_fd = -1;
	dir->durable = true;
	pthread_mutex_init(&dir->mutex, NULL);
	return dir;
}

void image_dir_destroy(struct image_dir *dir)
{
	if (!dir)
		return;
	close_fd(&dir->staging_fd);
	if (dir->writing) {
		int rc = remove_flat_dir(dir->fd, PARTIAL_NAME);

		if (rc < 0)
			log_warn("%s/%s could not be removed: %s", dir->path, PARTIAL_NAME,
				strerrordesc_np(-rc));
	}
	close_fd(&dir->fd);
	manifest_deinit(&dir->manifest);
	pthread_mutex_destroy(&dir->mutex);
	free(dir->chain);
	free(dir->path);
	free(dir);
}

const char *image_dir_path(const struct image_dir *dir)
{
	return dir->path;
}

int image_dir_fd(const struct image_dir *dir)
{
	return dir->fd;
}

void image_dir_set_durable(struct image_dir *dir, bool durable)
{
	dir->durable = durable;
}

static int refuse_directory(struct image_dir *dir, const char *hint, struct error *err)
{
	int rc;

	if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
		return error_set(err, errno, "cannot open the image directory %s", dir->path);
	rc = error_set(err, errno, "there is no image directory %s", dir->path);
	error_class(err, ERROR_BAD_IMAGE);
	error_hint(err, "%s", hint);
	return rc;
}

static int open_top(struct image_dir *dir, int at, const char *path, struct error *err)
{
	struct stat st;

	dir->fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0)
		return refuse_directory(dir, "-D (--images-dir) names the directory", err);
	if (fstat(dir->fd, &st) < 0)
		return error_set(err, errno, "cannot stat %s", dir->path);
	dir->chain = xreallocarray(dir->chain, dir->chain_length + 1, sizeof(*dir->chain));
	dir->chain[dir->chain_length++] = (struct dir_identity){st.st_dev, st.st_ino};
	return 0;
}

static int note_if_image(void *context, const char *name)
{
	bool *found = context;
	enum image_type type;
	uint64_t id;

	if (image_type_of_name(name, &type, &id) && !image_info(type)->service)
		*found = true;
	return 0;
}

/* There is no manifest: a checkpoint of CRIU, the remains of a killed dump, or nothing. */
static int judge_unlisted(struct image_dir *dir, struct error *err)
{
	_cleanup_(close_fd) int partial = open_subdir(dir->fd, PARTIAL_NAME);
	bool found = false;
	int rc;

	if (partial >= 0 && faccessat(dir->fd, "inventory.img", F_OK, 0) < 0) {
		bool alive = flock(dir->fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;

		error_refuse(err, ERROR_BAD_IMAGE,
			alive ? "%s: a dump into this directory is still running"
			      : "%s is half-written: the dump into it was killed before it was "
				"done",
			dir->path);
		error_about_object(err, "%s", dir->path);
		flock(dir->fd, LOCK_UN);
		return -EINVAL;
	}
	rc = for_each_name(dir->fd, note_if_image, &found);
	if (rc < 0)
		return error_set(err, -rc, "cannot list %s", dir->path);
	if (!found) {
		error_refuse(err, ERROR_BAD_IMAGE, "%s holds no checkpoint", dir->path);
		error_about_object(err, "%s", dir->path);
		return -EINVAL;
	}
	return 0;
}

static int check_sizes(struct image_dir *dir, struct error *err)
{
	for (size_t i = 0; i < dir->manifest.count; i++) {
		const struct manifest_item *item = &dir->manifest.items[i];
		struct stat st;

		if ((dir->staging_fd < 0 || fstatat(dir->staging_fd, item->name, &st, 0) < 0) &&
			fstatat(dir->fd, item->name, &st, 0) < 0) {
			error_refuse(
				err, ERROR_BAD_IMAGE, "%s/%s is missing", dir->path, item->name);
		} else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != item->size) {
			error_refuse(err, ERROR_BAD_IMAGE,
				"%s/%s has %llu bytes, but had %llu when it was written", dir->path,
				item->name, (unsigned long long)st.st_size,
				(unsigned long long)item->size);
		} else {
			continue;
		}
		error_about_object(err, "%s", item->name);
		error_hint(err,
			"if the images were changed on purpose since, remove %s/%s and try again",
			dir->path, MANIFEST_NAME);
		return -EINVAL;
	}
	return 0;
}

/* Finds out which checkpoint the directory holds; a commit that was cut short counts as done. */
static int load_checkpoint(struct image_dir *dir, struct error *err)
{
	int rc = 0;

	dir->staging_fd = open_subdir(dir->fd, COMMIT_NAME);
	if (dir->staging_fd >= 0) {
		dir->listed_only = true;
		rc = manifest_read(dir->staging_fd, &dir->manifest, err);
	}
	if (rc == 0)
		rc = manifest_read(dir->fd, &dir->manifest, err);
	if (rc < 0)
		return error_wrap(err, rc, "%s", dir->path);
	dir->has_manifest = rc > 0;
	return dir->has_manifest ? check_sizes(dir, err) : judge_unlisted(dir, err);
}

int image_dir_open(const char *path, struct image_dir **ret_dir, struct error *err)
{
	_cleanup_(image_dir_cleanup) struct image_dir *dir = new_dir(path);
	int rc = open_top(dir, AT_FDCWD, path, err);

	if (rc < 0)
		return rc;
	rc = load_checkpoint(dir, err);
	if (rc < 0)
		return rc;
	*ret_dir = take_ptr(dir);
	return 0;
}

static ssize_t read_parent_link(const struct image_dir *dir, char target[PATH_MAX])
{
	ssize_t n = -1;

	if (dir->staging_fd >= 0)
		n = readlinkat(dir->staging_fd, PARENT_NAME, target, PATH_MAX - 1);
	if (n < 0)
		n = readlinkat(dir->fd, PARENT_NAME, target, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	return n;
}

int image_dir_open_parent(
	const struct image_dir *dir, struct image_dir **ret_parent, struct error *err)
{
	_cleanup_(image_dir_cleanup) struct image_dir *parent = NULL;
	_cleanup_(free_ptr) char *path = NULL;
	char target[PATH_MAX];
	struct dir_identity *own;
	ssize_t n = read_parent_link(dir, target);
	int rc;

	if (n == -ENOENT || (dir->has_manifest && dir->listed_only && !dir->manifest.parent))
		return 0;
	if (n < 0)
		return error_set(err, (int)-n, "cannot read the link %s/parent", dir->path);
	if (asprintf(&path, target[0] == '/' ? "%.0s%s" : "%s/%s", dir->path, target) < 0)
		out_of_memory(PATH_MAX);
	parent = new_dir(path);
	parent->chain = xreallocarray(NULL, dir->chain_length, sizeof(*parent->chain));
	memcpy(parent->chain, dir->chain, dir->chain_length * sizeof(*parent->chain));
	parent->chain_length = dir->chain_length;
	rc = open_top(parent, dir->fd, target, err);
	if (rc < 0)
		return error_wrap(err, rc, "parent of %s", dir->path);
	own = &parent->chain[parent->chain_length - 1];
	for (size_t i = 0; i < dir->chain_length; i++)
		if (dir->chain[i].dev == own->dev && dir->chain[i].ino == own->ino)
			return error_refuse(err, ERROR_BAD_IMAGE,
				"the chain of parents of %s leads back to %s", dir->path, path);
	rc = load_checkpoint(parent, err);
	if (rc < 0)
		return error_wrap(err, rc, "parent of %s", dir->path);
	*ret_parent = take_ptr(parent);
	return 1;
}

/* What a killed dump left: a commit past its decision is completed, everything else goes. */
static int recover(struct image_dir *dir, struct error *err)
{
	int rc;

	dir->staging_fd = open_subdir(dir->fd, COMMIT_NAME);
	if (dir->staging_fd >= 0) {
		rc = manifest_read(dir->staging_fd, &dir->manifest, err);
		if (rc == 0)
			rc = manifest_read(dir->fd, &dir->manifest, err);
		/* Without a list it is not ours to say what may go. */
		if (rc == 0)
			rc = error_refuse(
				err, ERROR_BAD_IMAGE, "%s has no %s", COMMIT_NAME, MANIFEST_NAME);
		if (rc > 0)
			rc = finish_commit(dir, err);
		if (rc < 0)
			return error_wrap(
				err, rc, "cannot complete the checkpoint in %s", dir->path);
		manifest_deinit(&dir->manifest);
	}
	rc = remove_flat_dir(dir->fd, PARTIAL_NAME);
	if (rc < 0)
		return error_set(err, -rc, "cannot remove %s/%s", dir->path, PARTIAL_NAME);
	return 0;
}

/* What lies in memory alone need not be brought to a disk: that is six system calls for each image. */
static bool is_in_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

int image_dir_create(const char *path, struct image_dir **ret_dir, struct error *err)
{
	_cleanup_(image_dir_cleanup) struct image_dir *dir = new_dir(path);
	int rc = open_top(dir, AT_FDCWD, path, err);

	if (rc < 0)
		return rc;
	/* Held until the descriptor is closed. Where a filesystem has no locks we go without. */
	if (flock(dir->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return error_refuse(
			err, ERROR_CONFLICT, "another dump is writing to %s at this moment", path);
	rc = recover(dir, err);
	if (rc < 0)
		return rc;
	if (mkdirat(dir->fd, PARTIAL_NAME, 0700) < 0)
		return error_set(err, errno, "cannot write to the image directory %s", path);
	dir->writing = true;
	dir->durable = !is_in_memory(dir->fd);
	dir->staging_fd = open_subdir(dir->fd, PARTIAL_NAME);
	if (dir->staging_fd < 0)
		return error_set(err, errno, "cannot open %s/%s", path, PARTIAL_NAME);
	*ret_dir = take_ptr(dir);
	return 0;
}

int image_dir_set_parent(struct image_dir *dir, const char *parent, struct error *err)
{
	if (symlinkat(parent, dir->staging_fd, PARENT_NAME) < 0)
		return error_set(err, errno, "cannot make the link %s/parent", dir->path);
	dir->manifest.parent = xstrdup(parent);
	return 0;
}

struct listing {
	struct arena *arena;
	struct image_dir *dir;
	struct image_file *files;
	size_t count, capacity;
};

static int list_one(void *context, const char *name)
{
	struct listing *listing = context;
	struct image_file file = {};
	struct stat st;

	if (!image_type_of_name(name, &file.type, &file.id))
		return 0;
	if (listing->dir->listed_only && !manifest_find(&listing->dir->manifest, name))
		return 0;
	if (fstatat(listing->dir->fd, name, &st, 0) < 0 || !S_ISREG(st.st_mode))
		return 0;
	file.size = (uint64_t)st.st_size;
	snprintf(file.name, sizeof(file.name), "%s", name);
	listing->files = arena_grow(listing->arena, listing->files, &listing->capacity,
		listing->count + 1, sizeof(file));
	listing->files[listing->count++] = file;
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	const struct image_file *x = a, *y = b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* Images that a commit cut short has not moved yet: they hide what has the same name outside. */
static void list_staged(struct listing *listing)
{
	for (size_t i = 0; i < listing->dir->manifest.count; i++) {
		const struct manifest_item *item = &listing->dir->manifest.items[i];
		size_t found = 0;

		while (found < listing->count && !streq(listing->files[found].name, item->name))
			found++;
		if (found == listing->count) {
			listing->files = arena_grow(listing->arena, listing->files,
				&listing->capacity, listing->count + 1, sizeof(*listing->files));
			listing->count++;
		}
		listing->files[found] =
			(struct image_file){.type = item->type, .id = item->id, .size = item->size};
		memcpy(listing->files[found].name, item->name, sizeof(item->name));
	}
}

int image_dir_list(struct image_dir *dir, struct arena *arena, struct image_file **ret_files,
	size_t *ret_count, struct error *err)
{
	struct listing listing = {.arena = arena, .dir = dir};
	int rc = for_each_name(dir->fd, list_one, &listing);

	if (rc < 0)
		return error_set(err, -rc, "cannot list %s", dir->path);
	if (dir->listed_only)
		list_staged(&listing);
	if (listing.count)
		qsort(listing.files, listing.count, sizeof(*listing.files), compare_files);
	*ret_files = listing.files;
	*ret_count = listing.count;
	return 0;
}
