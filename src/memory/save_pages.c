/*
 * Dump: page contents, from a stopped task into its pages file.
 *
 * process_vm_readv(2) in pieces that stay in the cache, then write(2). What the task itself may not
 * read (PROT_NONE, write-only and execute-only areas) goes through /proc/PID/mem, which may. That a
 * task writes its own pages, several at once, comes in through this file alone: everything above
 * speaks of ranges.
 */
#include <fcntl.h>
#include <sys/uio.h>

#include "base/io.h"
#include "memory/internal.h"

#define PIECE      ((uint64_t)1 << 20)
#define PIECE_IOVS 512

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
	int mem; /* /proc/PID/mem; -1: not open yet */
	unsigned char *buffer;
	struct iovec iovs[PIECE_IOVS];
	size_t iov_count;
	uint64_t gathered;
};

static int read_mem(struct page_copier *copier, uint64_t address, unsigned char *to, size_t size,
	struct error *err)
{
	int rc;
	ssize_t n;

	if (copier->mem < 0) {
		copier->mem = procfs_open(copier->space->pid, "mem", O_RDONLY, err);
		if (copier->mem < 0)
			return copier->mem;
	}
	n = pread_full(copier->mem, to, size, (off_t)address);
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

/* What process_vm_readv() stopped short of, range by range. */
static int read_rest(struct page_copier *copier, uint64_t done, struct error *err)
{
	uint64_t before = 0;

	for (size_t i = 0; i < copier->iov_count; i++) {
		uint64_t size = copier->iovs[i].iov_len;

		if (before + size > done) {
			uint64_t skip = done > before ? done - before : 0;
			int rc = read_mem(copier, (uintptr_t)copier->iovs[i].iov_base + skip,
				copier->buffer + before + skip, size - skip, err);

			if (rc < 0)
				return rc;
		}
		before += size;
	}
	return 0;
}

static int copier_flush(struct page_copier *copier, struct error *err)
{
	struct iovec local = {copier->buffer, copier->gathered};
	ssize_t n;
	int rc = 0;

	if (!copier->gathered)
		return 0;
	n = process_vm_readv(copier->space->pid, &local, 1, copier->iovs, copier->iov_count, 0);
	if (n < 0 && errno == ESRCH) {
		rc = error_set(err, ESRCH, "reading the memory of task %d", copier->space->pid);
		error_class(err, ERROR_GONE);
		return rc;
	}
	if (n != (ssize_t)copier->gathered)
		rc = read_rest(copier, n > 0 ? (uint64_t)n : 0, err);
	if (rc >= 0)
		rc = pages_writer_data(copier->writer, copier->buffer, copier->gathered, err);
	copier->gathered = 0;
	copier->iov_count = 0;
	return rc;
}

static int copy_readable(
	struct page_copier *copier, uint64_t start, uint64_t end, struct error *err)
{
	while (start < end) {
		uint64_t size = MIN(end - start, PIECE - copier->gathered);

		copier->iovs[copier->iov_count++] = (struct iovec){(void *)(uintptr_t)start, size};
		copier->gathered += size;
		start += size;
		if (copier->gathered == PIECE || copier->iov_count == PIECE_IOVS) {
			int rc = copier_flush(copier, err);

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int copy_forced(
	struct page_copier *copier, const struct page_range *range, struct error *err)
{
	int rc = copier_flush(copier, err);

	for (uint64_t at = range->start; rc >= 0 && at < range->end;) {
		uint64_t size = MIN(range->end - at, PIECE);

		rc = read_mem(copier, at, copier->buffer, size, err);
		if (rc >= 0 && range->flags & RANGE_VDSO)
			vdso_clean_tail(copier->buffer, size);
		if (rc >= 0)
			rc = pages_writer_data(copier->writer, copier->buffer, size, err);
		at += size;
	}
	return rc;
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
		if (range->flags & (RANGE_UNREADABLE | RANGE_VDSO))
			rc = copy_forced(copier, range, err);
		else
			rc = copy_readable(copier, range->start, range->end, err);
	}
	return rc < 0 ? rc : copier_flush(copier, err);
}

int space_save_pages(struct dump_context *context, struct dumped_space *space, struct error *err)
{
	_cleanup_(pages_writer_cleanup) struct pages_writer writer = {.fd = -1};
	_cleanup_(free_ptr) unsigned char *buffer = NULL;
	struct page_copier *copier = arena_new(context->arena, struct page_copier);
	int rc = pages_writer_open(
		context, IMAGE_PAGEMAP, (uint64_t)space->space->owner->pid, &writer, err);

	if (rc < 0)
		return rc;
	buffer = malloc(PIECE);
	if (!buffer)
		out_of_memory(PIECE);
	*copier = (struct page_copier){
		.space = space, .writer = &writer, .mem = -1, .buffer = buffer};
	rc = save_ranges(context, copier, err);
	close_fd(&copier->mem);
	return rc < 0 ? rc : pages_writer_close(&writer, err);
}
