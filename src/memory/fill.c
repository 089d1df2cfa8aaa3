/*
 * Restore: the puppet reads its pages from the pages file straight to their addresses.
 *
 * One preadv(2) takes up to a thousand ranges whose contents follow each other in the file, as they
 * do in the order of addresses. Pages that are there already, shared with the parent, are left out;
 * pages that the parent has and this task has not are dropped.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "memory/restore.h"

#define FILL_IOVS 1024
/* Of one call: so that a time limit and a progress display see it move. */
#define FILL_BYTES ((uint64_t)128 << 20)

struct filler {
	struct space_plan *plan;
	struct iovec iovs[FILL_IOVS];
	size_t count;
	uint64_t bytes;
	struct pages_file *file;
	uint64_t offset; /* of the first */
};

static void fill_flush(struct filler *f)
{
	struct batch *batch = f->plan->map;
	struct iovec *iovs;
	int op;

	if (!f->count)
		return;
	iovs = arena_memdup(f->plan->context->arena, f->iovs, f->count * sizeof(*iovs));
	op = batch_op(batch, "read pages", __NR_preadv, VAL(-1), IN(iovs, f->count * sizeof(*iovs)),
		VAL(f->count), VAL(f->offset), VAL(0));
	plan_fd(f->plan->context, batch, op, 0, &f->file->inherited);
	batch_expect(batch, op, (int64_t)f->bytes);
	f->count = 0;
	f->bytes = 0;
}

static void fill_add(
	struct filler *f, const struct stored_range *range, uint64_t start, uint64_t end)
{
	struct restore_memory *memory = f->plan->context->memory;
	uint64_t offset = range->offset + (start - range->start);

	memory->pages_planned += (end - start) / PAGE_SIZE;
	while (start < end) {
		uint64_t size;
		struct iovec *last;

		if (f->count && (f->file != range->file || f->offset + f->bytes != offset ||
					f->bytes == FILL_BYTES))
			fill_flush(f);
		if (!f->count) {
			f->file = range->file;
			f->offset = offset;
		}
		size = MIN(end - start, FILL_BYTES - f->bytes);
		last = f->count ? &f->iovs[f->count - 1] : NULL;
		if (last && (uintptr_t)last->iov_base + last->iov_len == start) {
			last->iov_len += size;
		} else {
			if (f->count == FILL_IOVS) {
				fill_flush(f);
				continue;
			}
			f->iovs[f->count++] = (struct iovec){(void *)(uintptr_t)start, size};
		}
		f->bytes += size;
		start += size;
		offset += size;
	}
}

/* Is the stored page to be read into this segment? */
static bool is_filled(const struct segment *segment, const struct stored_range *range)
{
	return vma_type(segment->vma) != AREA_VDSO && !(segment->kept && range->shared);
}

void plan_find_filled(struct space_plan *plan)
{
	const struct stored_pages *pages = &plan->space->pages;
	size_t cursor = 0;

	for (size_t i = 0; i < plan->segment_count; i++) {
		struct segment *segment = &plan->segments[i];

		while (cursor < pages->count && pages->ranges[cursor].end <= segment->start)
			cursor++;
		for (size_t j = cursor; j < pages->count && pages->ranges[j].start < segment->end;
			j++) {
			if (is_filled(segment, &pages->ranges[j])) {
				segment->filled = true;
				break;
			}
		}
	}
}

/* Pages that the parent has in [start, end) and this task has not. */
static void drop_pages(
	struct space_plan *plan, const struct segment *segment, size_t *theirs, size_t cursor)
{
	const struct stored_pages *parent = &plan->parent->pages, *mine = &plan->space->pages;

	while (*theirs < parent->count && parent->ranges[*theirs].end <= segment->start)
		(*theirs)++;
	for (size_t i = *theirs; i < parent->count && parent->ranges[i].start < segment->end; i++) {
		uint64_t at = MAX(parent->ranges[i].start, segment->start);
		uint64_t end = MIN(parent->ranges[i].end, segment->end);

		while (at < end) {
			uint64_t to = end;

			while (cursor < mine->count && mine->ranges[cursor].end <= at)
				cursor++;
			if (cursor < mine->count && mine->ranges[cursor].start <= at) {
				at = mine->ranges[cursor].end;
				continue;
			}
			if (cursor < mine->count)
				to = MIN(to, mine->ranges[cursor].start);
			batch_op(plan->map, "drop pages that only the parent has", __NR_madvise,
				VAL(at), VAL(to - at), VAL(MADV_DONTNEED));
			at = to;
		}
	}
}

void plan_fill(struct space_plan *plan)
{
	const struct stored_pages *pages = &plan->space->pages;
	struct filler *filler = arena_new(plan->context->arena, struct filler);
	size_t cursor = 0, theirs = 0;

	filler->plan = plan;
	for (size_t i = 0; i < plan->segment_count; i++) {
		const struct segment *segment = &plan->segments[i];

		while (cursor < pages->count && pages->ranges[cursor].end <= segment->start)
			cursor++;
		if (segment->kept)
			drop_pages(plan, segment, &theirs, cursor);
		for (size_t j = cursor; j < pages->count && pages->ranges[j].start < segment->end;
			j++) {
			const struct stored_range *range = &pages->ranges[j];

			if (is_filled(segment, range))
				fill_add(filler, range, MAX(range->start, segment->start),
					MIN(range->end, segment->end));
		}
	}
	fill_flush(filler);
}
