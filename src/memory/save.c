/*
 * Dump, writing: mm, pagemap and pages of every space, and shared memory, each object once.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "base/io.h"
#include "memory/internal.h"

#define PIECE ((size_t)1 << 20)

static int object_open(const struct shared_object *object, struct error *err)
{
	char name[64];

	snprintf(name, sizeof(name), "map_files/%llx-%llx", (unsigned long long)object->start,
		(unsigned long long)object->end);
	return procfs_open(object->pid, name, O_RDONLY, err);
}

static int copy_data(struct pages_writer *writer, int fd, unsigned char *buffer, uint64_t start,
	uint64_t end, struct error *err)
{
	while (start < end) {
		size_t size = (size_t)MIN(end - start, (uint64_t)PIECE);
		ssize_t n = pread_full(fd, buffer, size, (off_t)start);
		int rc;

		if (n < 0)
			return error_set(err, (int)-n, "reading shared memory");
		/* Behind the end of the file its last page is zero. */
		memset(buffer + n, 0, size - (size_t)n);
		rc = pages_writer_data(writer, buffer, size, err);
		if (rc < 0)
			return rc;
		start += size;
	}
	return 0;
}

/* The pages that exist, as SEEK_DATA finds them (pages in swap are data). */
static int copy_object(struct pages_writer *writer, int fd, uint64_t size, struct error *err)
{
	_cleanup_(free_ptr) unsigned char *buffer = malloc(PIECE);
	uint64_t end = PAGE_UP(size);
	off_t at = 0;

	if (!buffer)
		out_of_memory(PIECE);
	while ((uint64_t)at < end) {
		off_t data = lseek(fd, at, SEEK_DATA), hole;
		int rc;

		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (data < 0 || hole < 0)
			return error_set(err, errno, "finding the pages of shared memory");
		data = (off_t)PAGE_DOWN(data);
		hole = (off_t)MIN(PAGE_UP(hole), end);
		rc = pages_writer_entry(
			writer, (uint64_t)data, (uint64_t)hole, PE_PRESENT, false, err);
		if (rc < 0)
			return rc;
		rc = copy_data(writer, fd, buffer, (uint64_t)data, (uint64_t)hole, err);
		if (rc < 0)
			return rc;
		at = hole;
	}
	return 0;
}

static int save_object(
	struct dump_context *context, const struct shared_object *object, struct error *err)
{
	_cleanup_(pages_writer_cleanup) struct pages_writer writer = {.fd = -1};
	_cleanup_(close_fd) int fd = object_open(object, err);
	struct dump_memory *memory = context->memory;
	uint64_t before;
	int rc;

	if (fd < 0)
		return fd;
	rc = pages_writer_open(context, IMAGE_PAGEMAP_SHMEM, object->id, &writer, err);
	if (rc < 0)
		return rc;
	before = memory->stats.pages_written;
	rc = copy_object(&writer, fd, object->size, err);
	if (rc < 0)
		return error_wrap(err, rc, "saving the shared memory at %llx of task %d",
			(unsigned long long)object->start, object->pid);
	memory->stats.shared_pages_written += memory->stats.pages_written - before;
	return pages_writer_close(&writer, err);
}

int shared_objects_save(struct dump_context *context, struct error *err)
{
	struct dump_memory *memory = context->memory;
	struct image_writer *writer;

	for (struct shared_object *o = memory->first_object; o; o = o->next) {
		int rc = save_object(context, o, err);

		if (rc < 0)
			return rc;
		if (!o->memfd && !o->sysv)
			continue;
		rc = dump_writer(
			context, o->memfd ? IMAGE_MEMFD_INODE : IMAGE_IPCNS_SHM, &writer, err);
		if (rc >= 0)
			rc = image_write(writer, o->memfd ? &o->memfd->base : &o->sysv->base, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int memory_save(struct dump_context *context, struct error *err)
{
	struct dump_memory *memory = context->memory;
	int rc;

	if (!memory)
		return 0;
	rc = shared_objects_save(context, err);
	for (size_t i = 0; rc >= 0 && i < memory->space_count; i++) {
		struct dumped_space *space = memory->spaces[i];
		uint64_t id = (uint64_t)space->space->owner->pid;

		rc = image_write_single(context->dir, IMAGE_MM, id, &space->space->mm->base, err);
		if (rc >= 0)
			rc = space_save_pages(context, space, err);
	}
	return rc;
}
