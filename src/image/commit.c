/*
 * The commit: how many files become one checkpoint in one step.
 *
 * 1. All images are in .stasis-partial, with the manifest beside them, and (durable) on the disk.
 * 2. .stasis-partial is renamed to .stasis-commit. This one rename is the decision: before it the
 *    directory holds what it held, after it the new checkpoint.
 * 3. The images move up into place. The old inventory goes first and the new one comes last, so
 * that a program that knows nothing of this (CRIU) finds no checkpoint in between instead of a
 * mixture.
 *
 * A process that is killed in step 3 leaves images in both places; image_dir_open() looks for each
 * image of the manifest in .stasis-commit first, and the next image_dir_create() finishes the move.
 * Since each file is always in exactly one place, it does not matter in which order a crashing
 * machine has kept the renames of step 3, and no fsync is needed between them.
 */
#include <fcntl.h>
#include <sched.h>

#include "base/log.h"
#include "base/testpoint.h"
#include "image/internal.h"

/* Below this, threads cost more than they bring. */
#define PARALLEL_BYTES ((uint64_t)64 << 20)
#define THREADS_MAX    16

struct checksum_job {
	struct image_dir *dir;
	_Atomic size_t next;
	_Atomic int rc;
	_Atomic size_t failed;
};

static int measure_item(struct image_dir *dir, struct manifest_item *item)
{
	_cleanup_(close_fd) int fd = -1;
	struct stat st;
	int rc;

	/* Its writer has told size and checksum. */
	if (item->has_checksum && !dir->durable)
		return 0;
	fd = openat(dir->staging_fd, item->name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* The disk can work while we count. */
	if (dir->durable)
		sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	item->size = (uint64_t)st.st_size;
	if (item->has_checksum)
		return 0;
	rc = checksum_own_file(fd, item->size, &item->checksum);
	item->has_checksum = rc == 0;
	return rc;
}

static void *measure_items(void *context)
{
	struct checksum_job *job = context;

	for (;;) {
		size_t i = job->next++;
		int rc;

		if (i >= job->dir->manifest.count || job->rc)
			return NULL;
		rc = measure_item(job->dir, &job->dir->manifest.items[i]);
		if (rc < 0) {
			job->failed = i;
			job->rc = rc;
		}
	}
}

static unsigned helper_count(const struct image_dir *dir)
{
	uint64_t bytes = 0;
	size_t files = 0;
	cpu_set_t cpus;

	for (size_t i = 0; i < dir->manifest.count; i++) {
		const struct manifest_item *item = &dir->manifest.items[i];
		struct stat st;

		if (item->has_checksum || fstatat(dir->staging_fd, item->name, &st, 0) < 0)
			continue;
		bytes += (uint64_t)st.st_size;
		files++;
	}
	if (bytes < PARALLEL_BYTES || sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return 0;
	return (unsigned)MIN(MIN((size_t)CPU_COUNT(&cpus), files), THREADS_MAX) - 1;
}

static int measure(struct image_dir *dir, struct error *err)
{
	struct checksum_job job = {.dir = dir};
	unsigned wanted = helper_count(dir), started = 0;
	pthread_t threads[THREADS_MAX];

	while (started < wanted &&
		pthread_create(&threads[started], NULL, measure_items, &job) == 0)
		started++;
	measure_items(&job);
	while (started)
		pthread_join(threads[--started], NULL);
	if (job.rc)
		return error_set(err, -job.rc, "cannot read back %s/%s", dir->path,
			dir->manifest.items[job.failed].name);
	return 0;
}

/* Writeback of all files has been started; the first fsync commits the journal for most of them. */
static int sync_images(struct image_dir *dir, int manifest_fd, struct error *err)
{
	for (size_t i = 0; i < dir->manifest.count; i++) {
		const char *name = dir->manifest.items[i].name;
		_cleanup_(close_fd) int fd = openat(dir->staging_fd, name, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || fsync(fd) < 0)
			return error_set(
				err, errno, "cannot write %s/%s to the disk", dir->path, name);
	}
	if (fsync(manifest_fd) < 0 || fsync(dir->staging_fd) < 0)
		return error_set(
			err, errno, "cannot write %s/%s to the disk", dir->path, MANIFEST_NAME);
	return 0;
}

/*
 * Also those that the new checkpoint has again, unless they have been moved up already: ext4 writes
 * a file to the disk when it replaces another by rename (auto_da_alloc), 0.2 ms for each.
 */
static int remove_replaced(void *context, const char *name)
{
	struct image_dir *dir = context;
	enum image_type type;
	uint64_t id;

	/* Statistics and caches belong to no checkpoint. */
	if (!image_type_of_name(name, &type, &id))
		return 0;
	if (manifest_find(&dir->manifest, name) ? faccessat(dir->staging_fd, name, F_OK, 0) < 0
						: image_info(type)->service)
		return 0;
	return unlinkat(dir->fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int move_up(const struct image_dir *dir, const char *name)
{
	if (renameat(dir->staging_fd, name, dir->fd, name) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

static int move_all(struct image_dir *dir)
{
	int rc;

	/* Only while the new one waits: after its move an interrupted commit must not remove it. */
	if (faccessat(dir->staging_fd, "inventory.img", F_OK, 0) == 0 &&
		unlinkat(dir->fd, "inventory.img", 0) < 0 && errno != ENOENT)
		return -errno;
	rc = for_each_name(dir->fd, remove_replaced, dir);
	if (rc < 0)
		return rc;
	if (!dir->manifest.parent && unlinkat(dir->fd, PARENT_NAME, 0) < 0 && errno != ENOENT &&
		errno != EISDIR)
		return -errno;
	(void)test_point("commit-old-removed");
	rc = dir->manifest.parent ? move_up(dir, PARENT_NAME) : 0;
	for (size_t i = 0; rc == 0 && i < dir->manifest.count; i++)
		if (dir->manifest.items[i].type != IMAGE_INVENTORY)
			rc = move_up(dir, dir->manifest.items[i].name);
	(void)test_point("commit-images-moved");
	if (rc == 0)
		rc = move_up(dir, "inventory.img");
	(void)test_point("commit-inventory-moved");
	return rc == 0 ? move_up(dir, MANIFEST_NAME) : rc;
}

int finish_commit(struct image_dir *dir, struct error *err)
{
	int rc = move_all(dir);

	if (rc < 0)
		return error_set(err, -rc, "cannot move the images in %s into place", dir->path);
	(void)test_point("commit-moved");
	close_fd(&dir->staging_fd);
	rc = remove_flat_dir(dir->fd, COMMIT_NAME);
	if (rc < 0)
		return error_set(err, -rc, "cannot remove %s/%s", dir->path, COMMIT_NAME);
	return 0;
}

int image_dir_commit(struct image_dir *dir, struct error *err)
{
	_cleanup_(close_fd) int manifest_fd = -1;
	struct error late = ERROR_INIT;
	int rc = measure(dir, err);

	if (rc == 0)
		rc = manifest_sort(&dir->manifest, err);
	if (rc == 0)
		rc = manifest_write(&dir->manifest, dir->staging_fd, &manifest_fd, err);
	(void)test_point("commit-manifest-written");
	if (rc == 0 && dir->durable)
		rc = sync_images(dir, manifest_fd, err);
	if (rc < 0)
		return error_wrap(err, rc, "the checkpoint in %s is not complete", dir->path);
	rc = test_point("commit-ready");
	if (rc < 0)
		return error_set(err, -rc, "cannot commit the checkpoint in %s", dir->path);
	if (renameat(dir->fd, PARTIAL_NAME, dir->fd, COMMIT_NAME) < 0)
		return error_set(err, errno, "cannot commit the checkpoint in %s", dir->path);
	dir->writing = false;
	(void)test_point("commit-decided");
	if (dir->durable && fsync(dir->fd) < 0)
		return error_set(err, errno, "cannot write %s to the disk", dir->path);
	/* The checkpoint is decided and whole: what goes wrong from here on is no failure of it. */
	if (finish_commit(dir, &late) < 0)
		log_warn("%s; the checkpoint is complete, but only stasis can read it until then",
			late.message);
	return 0;
}

static void verify_item(
	struct image_dir *dir, const struct manifest_item *item, struct problems *problems)
{
	struct stat st;
	uint64_t checksum;
	_cleanup_(close_fd) int fd = open_image_file(dir, item->name, &st);
	int rc;

	if (fd < 0) {
		error_set(problems_add(problems), -fd, "cannot open %s", item->name);
	} else if ((uint64_t)st.st_size != item->size) {
		error_refuse(problems_add(problems), ERROR_BAD_IMAGE,
			"%s has another size than when it was written", item->name);
	} else if (item->has_checksum) {
		rc = checksum_file(fd, item->size, &checksum);
		if (rc < 0)
			error_set(problems_add(problems), -rc, "cannot read %s", item->name);
		else if (checksum != item->checksum)
			error_refuse(problems_add(problems), ERROR_BAD_IMAGE,
				"%s is damaged: its checksum is not the manifest's", item->name);
		else
			return;
	} else {
		return;
	}
	error_class(&problems->items[problems->count - 1], ERROR_BAD_IMAGE);
	error_about_object(&problems->items[problems->count - 1], "%s/%s", dir->path, item->name);
}

int image_dir_verify(struct image_dir *dir, struct problems *problems, struct error *err)
{
	if (!dir->has_manifest) {
		error_refuse(err, ERROR_BAD_IMAGE, "%s has no %s to compare with", dir->path,
			MANIFEST_NAME);
		error_hint(err, "only checkpoints written by stasis have one");
		return -EINVAL;
	}
	for (size_t i = 0; i < dir->manifest.count; i++)
		verify_item(dir, &dir->manifest.items[i], problems);
	return 0;
}
