/*
 * Dump: page contents, from a stopped task into its pages file.
 *
 * In pieces that stay in the cache: read out of the task, then write(2). There are two ways to read:
 *
 * process_vm_readv(2) is the faster one, but it pins what it reads, and since 5.19 pinning a page
 * that is shared copy on write first makes a copy of it for the task: a dump would unshare what
 * fork shared. And the task itself must be allowed to read.
 *
 * /proc/PID/mem takes a page without pinning it, of any protection. It is used for everything that
 * some other process maps too, as the pagemap tells, and for small ranges, where asking does not
 * pay.
 *
 * That a task writes its own pages, several at once, comes in through this file alone: everything
 * above speaks of ranges.
 */
#include <fcntl.h>
#include <sys/uio.h>

#include "base/io.h"
#include "memory/internal.h"

#define PIECE      ((uint64_t)1 << 20)
#define PIECE_IOVS 512
/* Ranges shorter than this are read through /proc/PID/mem unasked. */
#define SMALL_RANGE (16 * PAGE_SIZE)
#define ASK_PAGES   4096

int pages_writer_open(struct dump_context *context, enum image_type type, uint64_t id,
	struct pages_writer *ret_writer, struct error *err)
{
	struct dump_memory *memory = context->memory;
	struct pages_writer writer = {.fd = -1, .stats = &memory->stats};
	PagemapHead head = PAGEMAP_HEAD__INIT;
	int rc;

	head.pages_id = (uint32_t)memory->next_pages_id++;
	rc = image_create_raw(context->dir, IMAGE_PAGES, head.pages_id, &writer.fd, err);
	if (rc >= 0)
		rc = image_writer_open(context->dir, type, id, &writer.pagemap, err);
	if (rc >= 0)
		rc = image_write(writer.pagemap, &head.base, err);
	if (rc < 0) {
		pages_writer_cleanup(&writer);
		return rc;
	}
	*ret_writer = writer;
	return 0;
}

int pages_writer_entry(struct pages_writer *writer, uint64_t start, uint64_t end, uint32_t flags,
	bool shared_by_fork, struct error *err)
{
	PagemapEntry entry = PAGEMAP_ENTRY__INIT;

	entry.vaddr = start;
	entry.has_flags = true;
	entry.flags = flags;
	entry.has_nr_pages = true;
	entry.nr_pages = (end - start) / PAGE_SIZE;
	entry.has_shared_by_fork = entry.shared_by_fork = shared_by_fork;
	writer->stats->pages_scanned += entry.nr_pages;
	return image_write(writer->pagemap, &entry.base, err);
}

int pages_writer_data(struct pages_writer *writer, const void *data, size_t size, struct error *err)
{
	int rc = write_full(writer->fd, data, size);

	if (rc < 0) {
		error_set(err, -rc, "writing pages");
		if (rc == -ENOSPC || rc == -EDQUOT)
			error_hint(err, "make room there, or give another directory with -D");
		return rc;
	}
	writer->stats->bytes_written += size;
	writer->stats->pages_written += size / PAGE_SIZE;
	return 0;
}

int pages_writer_close(struct pages_writer *writer, struct error *err)
{
	struct image_writer *pagemap = take_ptr(writer->pagemap);

	close_fd(&writer->fd);
	return image_writer_close(pagemap, err);
}

void pages_writer_cleanup(struct pages_writer *writer)
{
	close_fd(&writer->fd);
	image_writer_cleanup(&writer->pagemap);
}

/* Reads pages out of a task. */
struct page_copier {
	const struct dumped_space *space;
	struct pages_writer *writer;
	int mem; /* /proc/PID/mem */
	struct pagemap pagemap;
	unsigned char *buffer;
	uint64_t filled; /* bytes of the buffer that are read, or will be by the vectors */
	struct iovec from[PIECE_IOVS], to[PIECE_IOVS];
	size_t count;
	uint64_t wanted; /* their bytes */
	uint64_t entries[ASK_PAGES];
};

static int read_mem(struct page_copier *copier, uint64_t address, unsigned char *to, size_t size,
	struct error *err)
{
	ssize_t n = pread_full(copier->mem, to, size, (off_t)address);
	int rc;

	if (n == (ssize_t)size)
		return 0;
	address += n > 0 ? (uint64_t)n : 0;
	rc = error_set(err, n < 0 ? (int)-n : EFAULT, "reading the page at %llx of task %d",
		(unsigned long long)address, copier->space->pid);
	error_about_task(err, copier->space->pid);
	error_about_object(err, "%llx", (unsigned long long)address);
	error_hint(err, "the kernel log tells when memory is broken (hardware poison)");
	return rc;
}

/* What process_vm_readv() stopped short of, vector by vector. */
static int read_rest(struct page_copier *copier, uint64_t done, struct error *err)
{
	uint64_t before = 0;

	for (size_t i = 0; i < copier->count; i++) {
		uint64_t size = copier->from[i].iov_len;

		if (before + size > done) {
			uint64_t skip = done > before ? done - before : 0;
			int rc = read_mem(copier, (uintptr_t)copier->from[i].iov_base + skip,
				(unsigned char *)copier->to[i].iov_base + skip, size - skip, err);

			if (rc < 0)
				return rc;
		}
		before += size;
	}
	return 0;
}

static int run_vectors(struct page_copier *copier, struct error *err)
{
	ssize_t n;
	int rc = 0;

	if (!copier->count)
		return 0;
	n = process_vm_readv(
		copier->space->pid, copier->to, copier->count, copier->from, copier->count, 0);
	if (n != (ssize_t)copier->wanted)
		rc = read_rest(copier, n > 0 ? (uint64_t)n : 0, err);
	copier->count = 0;
	copier->wanted = 0;
	return rc;
}

static int copier_flush(struct page_copier *copier, struct error *err)
{
	int rc = run_vectors(copier, err);

	if (rc >= 0 && copier->filled)
		rc = pages_writer_data(copier->writer, copier->buffer, copier->filled, err);
	copier->filled = 0;
	return rc;
}

/* Pages that are read one way, in the order of the file. */
static int copy_pages(
	struct page_copier *copier, uint64_t start, uint64_t end, bool pin, struct error *err)
{
	int rc = 0;

	while (rc >= 0 && start < end) {
		uint64_t size = MIN(end - start, PIECE - copier->filled);
		unsigned char *to = copier->buffer + copier->filled;

		if (pin) {
			copier->from[copier->count] =
				(struct iovec){(void *)(uintptr_t)start, size};
			copier->to[copier->count++] = (struct iovec){to, size};
			copier->wanted += size;
		} else {
			rc = read_mem(copier, start, to, size, err);
		}
		copier->filled += size;
		start += size;
		if (rc >= 0 && copier->count == PIECE_IOVS)
			rc = run_vectors(copier, err);
		if (rc >= 0 && copier->filled == PIECE)
			rc = copier_flush(copier, err);
	}
	return rc;
}

/* Runs of pages that this task alone maps, and of others. */
static int copy_by_sharing(
	struct page_copier *copier, uint64_t start, uint64_t end, struct error *err)
{
	while (start < end) {
		uint64_t count = MIN((end - start) / PAGE_SIZE, (uint64_t)ASK_PAGES);
		int rc = pagemap_read(&copier->pagemap, start, copier->entries, count, err);

		for (uint64_t i = 0, j; rc >= 0 && i < count; i = j) {
			uint64_t own = copier->entries[i] & PAGEMAP_EXCLUSIVE;

			for (j = i + 1; j < count; j++)
				if ((copier->entries[j] & PAGEMAP_EXCLUSIVE) != own)
					break;
			rc = copy_pages(
				copier, start + i * PAGE_SIZE, start + j * PAGE_SIZE, own, err);
		}
		if (rc < 0)
			return rc;
		start += count * PAGE_SIZE;
	}
	return 0;
}

static int copy_vdso(struct page_copier *copier, const struct page_range *range, struct error *err)
{
	uint64_t size = range->end - range->start;
	int rc;

	if (size > PIECE)
		return error_refuse(err, ERROR_CANNOT_DUMP,
			"the vdso of task %d is %llu bytes long", copier->space->pid,
			(unsigned long long)size);
	rc = copier_flush(copier, err);
	if (rc >= 0)
		rc = read_mem(copier, range->start, copier->buffer, size, err);
	if (rc < 0)
		return rc;
	vdso_clean_tail(copier->buffer, size);
	copier->filled = size;
	return 0;
}

static int copy_range(struct page_copier *copier, const struct page_range *range, struct error *err)
{
	if (range->flags & RANGE_VDSO)
		return copy_vdso(copier, range, err);
	if (range->flags & RANGE_UNREADABLE || range->end - range->start < SMALL_RANGE)
		return copy_pages(copier, range->start, range->end, false, err);
	return copy_by_sharing(copier, range->start, range->end, err);
}

static int save_ranges(struct dump_context *context, struct page_copier *copier, struct error *err)
{
	const struct page_ranges *ranges = &copier->space->ranges;
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < ranges->count; i++) {
		const struct page_range *range = &ranges->items[i];
		bool shared = range->flags & RANGE_SHARED;
		uint32_t flags = PE_PRESENT | (range->flags & RANGE_LAZY ? PE_LAZY : 0);

		if (shared && context->job->share_pages)
			flags = PE_PARENT;
		rc = pages_writer_entry(
			copier->writer, range->start, range->end, flags, shared, err);
		if (rc < 0 || !(flags & PE_PRESENT))
			continue;
		rc = copy_range(copier, range, err);
	}
	return rc < 0 ? rc : copier_flush(copier, err);
}

static void copier_deinit(struct page_copier *copier)
{
	close_fd(&copier->mem);
	pagemap_close(&copier->pagemap);
	free(copier->buffer);
}

int space_save_pages(struct dump_context *context, struct dumped_space *space, struct error *err)
{
	_cleanup_(pages_writer_cleanup) struct pages_writer writer = {.fd = -1};
	_cleanup_(copier_deinit) struct page_copier copier = {
		.space = space, .writer = &writer, .mem = -1, .pagemap.fd = -1};
	int rc = pages_writer_open(
		context, IMAGE_PAGEMAP, (uint64_t)space->space->owner->pid, &writer, err);

	if (rc < 0)
		return rc;
	copier.buffer = malloc(PIECE);
	if (!copier.buffer)
		out_of_memory(PIECE);
	copier.mem = procfs_open(space->pid, "mem", O_RDONLY, err);
	if (copier.mem < 0)
		return copier.mem;
	rc = pagemap_open(space->pid, &copier.pagemap, err);
	if (rc >= 0)
		rc = save_ranges(context, &copier, err);
	return rc < 0 ? rc : pages_writer_close(&writer, err);
}
