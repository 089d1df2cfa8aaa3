/*
 * Restore: shared memory is made once, by the conductor, filled, and inherited by every puppet.
 *
 * Shared anonymous memory has no descriptor; but an open of its /proc/self/map_files entry is the
 * very file that the kernel made for it, so that areas which map that descriptor are again shown
 * as "/dev/zero (deleted)".
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/io.h"
#include "memory/restore.h"

#ifndef MFD_ALLOW_SEALING
#define MFD_ALLOW_SEALING 0x0002U
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif
#define SEALS_KNOWN                                                                       \
	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | \
		F_SEAL_EXEC)

/* CRIU writes shared anonymous memory as a memfd of this name on kernels where both live on one
 * tmpfs. */
static bool is_zero_memfd(const MemfdInodeEntry *memfd)
{
	return streq(memfd->name, "/dev/zero");
}

static const MemfdInodeEntry *memfd_of_area(struct restore_context *context, const VmaEntry *vma)
{
	struct restore_memory *memory = context->memory;
	const struct file *file = checkpoint_file(context->checkpoint, (uint32_t)vma->shmid);

	if (!file || !file->entry || !file->entry->memfd)
		return NULL;
	return table_get(&memory->memfds, (struct table_key){file->entry->memfd->inode_id});
}

static struct table_key object_key(
	struct restore_context *context, const VmaEntry *vma, const MemfdInodeEntry **ret_memfd)
{
	enum area_type type = vma_type(vma);

	*ret_memfd = type == AREA_MEMFD ? memfd_of_area(context, vma) : NULL;
	if (*ret_memfd)
		return (struct table_key){AREA_MEMFD, (*ret_memfd)->inode_id, 1};
	return (struct table_key){type, vma->shmid, 0};
}

struct restored_object *object_of_area(struct restore_context *context, const VmaEntry *vma)
{
	struct restore_memory *memory = context->memory;
	const MemfdInodeEntry *memfd;

	return table_get(&memory->objects, object_key(context, vma, &memfd));
}

static int load_object(
	struct restore_context *context, struct restored_object *object, struct error *err)
{
	int rc = pages_load(context, IMAGE_PAGEMAP_SHMEM, object->id, &object->pages, err);

	for (size_t i = 0; i < object->pages.count; i++)
		if (!object->pages.ranges[i].file)
			bad_image(
				context, "pagemap-shmem", "%u: a page without content", object->id);
	return rc;
}

static void describe_memfd(struct restore_context *context, struct restored_object *object)
{
	const MemfdInodeEntry *memfd = object->memfd;

	object->id = memfd->shmid;
	object->size = memfd->size;
	if (is_zero_memfd(memfd))
		object->type = AREA_SHARED_ANON;
	if (memfd->seals & ~(uint32_t)SEALS_KNOWN || strlen(memfd->name) > 249 ||
		memfd->size > INT64_MAX - PAGE_SIZE)
		bad_image(context, "memfd.img", "the entry of inode %llu makes no sense",
			(unsigned long long)memfd->inode_id);
}

static struct restored_object *add_object(
	struct restore_context *context, const VmaEntry *vma, struct error *err)
{
	struct restore_memory *memory = context->memory;
	const MemfdInodeEntry *memfd;
	struct table_key key = object_key(context, vma, &memfd);
	struct restored_object *object;

	if (vma_type(vma) == AREA_MEMFD && !memfd) {
		bad_image(context, "memfd.img", "no entry for the memfd mapped at %llx",
			(unsigned long long)vma->start);
		return NULL;
	}
	object = arena_new(context->arena, struct restored_object);
	object->type = vma_type(vma);
	object->id = (uint32_t)vma->shmid;
	object->fd = object->read_fd = -1;
	object->memfd = memfd;
	if (memfd)
		describe_memfd(context, object);
	else
		object->map_flags = vma->flags & ~(uint32_t)(MAP_TYPE_BITS | MAP_LOCKED);
	if (object->type == AREA_SYSV) {
		object->sysv = table_get(&memory->segments, (struct table_key){object->id});
		if (!object->sysv) {
			bad_image(context, "ipcns-shm", "no entry for the segment mapped at %llx",
				(unsigned long long)vma->start);
			return NULL;
		}
		object->size = object->sysv->size;
	}
	if (load_object(context, object, err) < 0)
		return NULL;
	table_put(&memory->objects, context->arena, key, object);
	*memory->last_object = object;
	memory->last_object = &object->next;
	return object;
}

static int check_area(struct restore_context *context, const VmaEntry *vma, struct error *err)
{
	enum area_type type = vma_type(vma);
	struct restored_object *object;

	if (vma_is_guard(vma) ||
		(type != AREA_MEMFD && type != AREA_SHARED_ANON && type != AREA_SYSV))
		return 0;
	object = object_of_area(context, vma);
	if (!object)
		object = add_object(context, vma, err);
	if (!object)
		return error_is_set(err) ? (err->errnum ? -err->errnum : -EINVAL) : 0;
	/* The image does not say how long shared anonymous memory is: as far as it is mapped. */
	if (!object->memfd && !object->sysv)
		object->size = MAX(object->size, vma->pgoff + (vma->end - vma->start));
	if (object->memfd && (vma->flags & MAP_TYPE_BITS) == MAP_SHARED && vma->has_fdflags &&
		(vma->fdflags & O_ACCMODE) == O_RDONLY)
		object->needs_read_fd = true;
	return 0;
}

int objects_check(struct restore_context *context, struct error *err)
{
	struct restore_memory *memory = context->memory;

	for (size_t i = 0; i < context->checkpoint->space_count; i++) {
		const MmEntry *mm = context->checkpoint->spaces[i]->mm;

		for (size_t j = 0; mm && j < mm->n_vmas; j++) {
			int rc = check_area(context, mm->vmas[j], err);

			if (rc < 0)
				return rc;
		}
	}
	for (struct restored_object *o = memory->first_object; o; o = o->next) {
		const struct stored_pages *pages = &o->pages;

		if (pages->count && pages->ranges[pages->count - 1].end > PAGE_UP(o->size))
			bad_image(context, "pagemap-shmem",
				"%u: pages at %#llx of an object of %llu bytes", o->id,
				(unsigned long long)pages->ranges[pages->count - 1].start,
				(unsigned long long)o->size);
		if (o->type == AREA_SYSV) {
			int rc = sysv_check(context, o, err);

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

int object_fill(
	const struct restored_object *object, void *mapping, uint64_t size, struct error *err)
{
	for (size_t i = 0; i < object->pages.count; i++) {
		const struct stored_range *range = &object->pages.ranges[i];
		/* The last page may be cut by the end of a memfd, but its mapping is whole. */
		uint64_t length = MIN(range->end, size) - MIN(range->start, size);
		ssize_t n = pread_full(range->file->fd, (char *)mapping + range->start, length,
			(off_t)range->offset);

		if (n != (ssize_t)length)
			return error_set(err, n < 0 ? (int)-n : EIO,
				"filling shared memory object %u", object->id);
	}
	return 0;
}

/* An open of the file behind a mapping of ours. */
static int open_mapping(const void *mapping, uint64_t size, int flags)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)mapping,
		(unsigned long)mapping + size);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_anon(
	struct restore_context *context, struct restored_object *object, struct error *err)
{
	uint64_t size = PAGE_UP(object->size);
	uint32_t flags = MAP_SHARED | MAP_ANONYMOUS |
			 (object->map_flags &
				 (MAP_NORESERVE | MAP_HUGETLB | MAP_HUGE_BITS << MAP_HUGE_OFFSET));
	void *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, (int)flags, -1, 0);
	int fd, rc;

	if (mapping == MAP_FAILED) {
		rc = error_set(
			err, errno, "making %llu bytes of shared memory", (unsigned long long)size);
		if (flags & MAP_HUGETLB)
			error_hint(err, "there must be enough free huge pages: "
					"/sys/kernel/mm/hugepages/*/nr_hugepages");
		return rc;
	}
	fd = open_mapping(mapping, size, O_RDWR);
	if (fd < 0) {
		rc = error_set(err, -fd, "opening shared memory through /proc/self/map_files");
		error_class(err, ERROR_KERNEL_LACKS);
		error_hint(err, "needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE");
	} else {
		rc = object_fill(object, mapping, size, err);
	}
	munmap(mapping, size);
	if (rc < 0) {
		close_fd(&fd);
		return rc;
	}
	object->fd = restore_inherit(context, fd, "shared memory", err);
	return object->fd < 0 ? object->fd : 0;
}

static int make_memfd(const struct restored_object *object, struct error *err)
{
	const MemfdInodeEntry *memfd = object->memfd;
	unsigned flags = MFD_CLOEXEC | (memfd->has_hugetlb_flag ? memfd->hugetlb_flag : 0);
	int fd;

	if (memfd->seals != F_SEAL_SEAL)
		flags |= MFD_ALLOW_SEALING;
	/* Since 6.3; executable ones where the system setting forbids them unasked. */
	fd = memfd_create(memfd->name, flags | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(memfd->name, flags);
	if (fd < 0)
		return error_set(err, errno, "making the memfd %s", memfd->name);
	if (ftruncate(fd, (off_t)memfd->size) < 0 || fchown(fd, memfd->uid, memfd->gid) < 0 ||
		(memfd->has_mode && fchmod(fd, memfd->mode & 07777) < 0)) {
		int rc = error_set(err, errno, "setting up the memfd %s of %llu bytes", memfd->name,
			(unsigned long long)memfd->size);

		close(fd);
		return rc;
	}
	return fd;
}

static int fill_memfd(const struct restored_object *object, int fd, struct error *err)
{
	uint64_t size = PAGE_UP(object->size);
	void *mapping;
	int rc;

	if (!object->pages.count)
		return 0;
	mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (mapping == MAP_FAILED)
		return error_set(
			err, errno, "mapping the memfd %s to fill it", object->memfd->name);
	rc = object_fill(object, mapping, size, err);
	munmap(mapping, size);
	return rc;
}

/* All but the one that is the default, and the one that forbids the mappings yet to be made. */
static int seal_memfd(const struct restored_object *object, int fd, struct error *err)
{
	uint32_t seals = object->memfd->seals;

	if (seals & F_SEAL_FUTURE_WRITE || seals == F_SEAL_SEAL)
		return 0;
	if (seals && fcntl(fd, F_ADD_SEALS, seals) < 0)
		return error_set(err, errno, "sealing the memfd %s", object->memfd->name);
	return 0;
}

static int open_memfd(
	struct restore_context *context, struct restored_object *object, struct error *err)
{
	int fd = make_memfd(object, err), rc;

	if (fd < 0)
		return fd;
	rc = fill_memfd(object, fd, err);
	if (rc >= 0)
		rc = seal_memfd(object, fd, err);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	if (object->needs_read_fd) {
		char path[64];
		int read_fd;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		read_fd = open(path, O_RDONLY | O_CLOEXEC);
		if (read_fd < 0) {
			rc = error_set(err, errno, "opening a memfd again");
			close(fd);
			return rc;
		}
		object->read_fd = restore_inherit(context, read_fd, "memfd, read only", err);
		if (object->read_fd < 0) {
			close(fd);
			return object->read_fd;
		}
	}
	object->fd = restore_inherit(context, fd, "memfd", err);
	return object->fd < 0 ? object->fd : 0;
}

static int inherit_pages_file(
	struct restore_context *context, struct pages_file *file, struct error *err)
{
	int fd;

	if (!file->needed || file->inherited >= 0)
		return 0;
	fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, errno, "opening pages-%u.img", file->id);
	file->inherited = restore_inherit(context, fd, "pages", err);
	return file->inherited < 0 ? file->inherited : 0;
}

/* The image's vdso with jumps to the kernel's. */
static int open_vdso(
	struct restore_context *context, struct vdso_placement *vdso, struct error *err)
{
	int fd, rc;

	if (vdso->mode != VDSO_PATCH || vdso->fd >= 0)
		return 0;
	fd = memfd_create("vdso", MFD_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "making a file for the vdso");
	rc = write_full(fd, vdso->patched, vdso->image_size);
	if (rc < 0) {
		close(fd);
		return error_set(err, -rc, "writing the vdso");
	}
	vdso->fd = restore_inherit(context, fd, "vdso", err);
	return vdso->fd < 0 ? vdso->fd : 0;
}

int memory_open(struct restore_context *context, struct error *err)
{
	struct restore_memory *memory = context->memory;
	int rc = 0;

	for (struct restored_object *o = memory->first_object; rc >= 0 && o; o = o->next) {
		if (o->type == AREA_SYSV)
			rc = sysv_open(context, o, err);
		else if (o->type == AREA_MEMFD)
			rc = open_memfd(context, o, err);
		else
			rc = open_anon(context, o, err);
	}
	/* Every pages file that holds private memory, whether it is planned for already or not. */
	for (size_t i = 0; rc >= 0 && i < memory->file_count; i++)
		rc = inherit_pages_file(context, memory->files[i], err);
	for (size_t i = 0; rc >= 0 && i < context->checkpoint->space_count; i++) {
		struct restored_space *space = restored_space(context->checkpoint->spaces[i]);

		if (space)
			rc = open_vdso(context, &space->vdso, err);
	}
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < memory->fixup_count; i++) {
		const struct fd_fixup *fixup = &memory->fixups[i];

		if (fixup->word)
			*fixup->word = (uint32_t)*fixup->fd;
		else
			fixup->batch->ops[fixup->op].args[fixup->arg].value = (uint64_t)*fixup->fd;
	}
	memory->fixup_count = 0;
	return 0;
}

void memory_close(struct restore_context *context)
{
	struct restore_memory *memory = context->memory;

	if (!memory)
		return;
	for (size_t i = 0; i < memory->file_count; i++)
		close_fd(&memory->files[i]->fd);
}

static void add_fixup(struct restore_context *context, struct fd_fixup fixup)
{
	struct restore_memory *memory = context->memory;

	if (*fixup.fd >= 0)
		return;
	memory->fixups = arena_grow(context->arena, memory->fixups, &memory->fixup_capacity,
		memory->fixup_count + 1, sizeof(*memory->fixups));
	memory->fixups[memory->fixup_count++] = fixup;
}

void plan_fd(struct restore_context *context, struct batch *batch, int op, int arg, const int *fd)
{
	batch->ops[op].args[arg] = VAL(*fd);
	add_fixup(context, (struct fd_fixup){.batch = batch, .op = op, .arg = arg, .fd = fd});
}

void plan_fd_word(struct restore_context *context, uint32_t *word, const int *fd)
{
	*word = (uint32_t)*fd;
	add_fixup(context, (struct fd_fixup){.word = word, .fd = fd});
}
