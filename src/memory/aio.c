/*
 * Restore: rings of asynchronous I/O (io_setup(2)).
 *
 * The ring's address is the context's id. io_setup() puts it where the kernel likes; mremap(2)
 * moves it, and the id follows. Where that is cannot be told to the next op, but it can be known
 * beforehand: at the place where a plain mapping of the same length would go. The kernel counts
 * completed events by itself; requests of no bytes bring its count to where it was.
 */
#include <linux/aio_abi.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/io.h"
#include "memory/restore.h"

/* fs/aio.c: struct aio_ring */
struct aio_ring {
	uint32_t id, nr, head, tail, magic, compat, incompat, header_length;
};

#define AIO_MAGIC 0xa10a10a1
#define AIO_EVENT 32 /* sizeof(struct io_event) */
#define AIO_CHUNK 64

static const VmaEntry *find_ring(const MmEntry *mm, const AioRingEntry *entry)
{
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (mm->vmas[i]->start == entry->id && vma_type(mm->vmas[i]) == AREA_AIO)
			return mm->vmas[i];
	return NULL;
}

/* The header as it was; zeros where the image has none. */
static int read_header(const struct restored_space *space, const AioRingEntry *entry,
	struct aio_ring *ret_ring, struct error *err)
{
	const struct stored_range *range = stored_pages_find(&space->pages, entry->id);
	ssize_t n;

	*ret_ring = (struct aio_ring){};
	if (!range || !range->file)
		return 0;
	n = pread_full(range->file->fd, ret_ring, sizeof(*ret_ring),
		(off_t)(range->offset + (entry->id - range->start)));
	if (n != sizeof(*ret_ring))
		return error_set(err, n < 0 ? (int)-n : EIO, "reading an AIO ring of task %d",
			space->owner->pid);
	return 0;
}

int aio_check(struct restore_context *context, struct restored_space *space, struct error *err)
{
	const MmEntry *mm = space->space->mm;
	char image[64];

	snprintf(image, sizeof(image), "mm-%d.img", space->owner->pid);
	for (size_t i = 0; i < mm->n_aios; i++) {
		const AioRingEntry *entry = mm->aios[i];
		const VmaEntry *vma = find_ring(mm, entry);
		struct aio_ring ring;
		uint32_t events = (entry->ring_len - (uint32_t)sizeof(ring)) / AIO_EVENT;
		int rc;

		if (!vma || vma->end - vma->start != entry->ring_len || !entry->nr_req ||
			entry->nr_req > events) {
			bad_image(context, image, "the AIO ring at %#llx makes no sense",
				(unsigned long long)entry->id);
			continue;
		}
		rc = read_header(space, entry, &ring, err);
		if (rc < 0)
			return rc;
		if (ring.nr > events || (ring.nr && (ring.head >= ring.nr || ring.tail >= ring.nr)))
			bad_image(context, image,
				"the AIO ring at %#llx has %u events, from %u to %u",
				(unsigned long long)entry->id, ring.nr, ring.head, ring.tail);
	}
	return 0;
}

/* `count` requests of no bytes, which complete at once, and their events taken out again. */
static void plan_dummies(
	struct space_plan *plan, uint64_t context_id, uint32_t count, struct pages_file *file)
{
	struct arena *arena = plan->context->arena;
	struct iocb *request = arena_new(arena, struct iocb);
	void *events = arena_alloc(arena, AIO_CHUNK * AIO_EVENT);
	uint64_t *pointers = arena_array(arena, uint64_t, AIO_CHUNK);
	int op;

	request->aio_lio_opcode = IOCB_CMD_PREAD;
	plan_fd_word(plan->context, &request->aio_fildes, &file->inherited);
	op = batch_op(plan->late, "submit empty requests", __NR_io_submit, VAL(context_id),
		VAL(count), IN(pointers, count * sizeof(*pointers)));
	batch_expect(plan->late, op, count);
	for (uint32_t i = 0; i < count; i++)
		batch_nest(plan->late, op, 2, i * (uint32_t)sizeof(*pointers), request,
			sizeof(*request), true, false);
	op = batch_op(plan->late, "take their events", __NR_io_getevents, VAL(context_id),
		VAL(count), VAL(count), OUT(events, count * AIO_EVENT), VAL(0));
	batch_expect(plan->late, op, count);
}

static void plan_read(
	struct space_plan *plan, const struct stored_range *range, uint64_t start, uint64_t size)
{
	struct iovec *iov = arena_new(plan->context->arena, struct iovec);
	int op;

	*iov = (struct iovec){(void *)(uintptr_t)start, size};
	op = batch_op(plan->late, "read an AIO ring", __NR_preadv, VAL(-1), IN(iov, sizeof(*iov)),
		VAL(1), VAL(range->offset + (start - range->start)));
	plan_fd(plan->context, plan->late, op, 0, &range->file->inherited);
	batch_expect(plan->late, op, (int64_t)size);
}

static void plan_ring(struct space_plan *plan, const AioRingEntry *entry)
{
	const struct stored_range *range = stored_pages_find(&plan->space->pages, entry->id);
	uint64_t *id = arena_new(plan->context->arena, uint64_t);
	uint64_t size = entry->ring_len, at = entry->id;
	struct error ignored = ERROR_INIT;
	struct aio_ring ring;
	int place, op;

	place = batch_op(plan->late, "see where an AIO ring will go", __NR_mmap, VAL(0), VAL(size),
		VAL(PROT_READ | PROT_WRITE), VAL(MAP_PRIVATE | MAP_ANONYMOUS), VAL(-1), VAL(0));
	batch_op(plan->late, "make room for it", __NR_munmap, RESULT(place), VAL(size));
	batch_op(plan->late, "make an AIO ring", __NR_io_setup, VAL(entry->nr_req),
		INOUT(id, sizeof(*id)));
	op = batch_op(plan->late, "move the AIO ring to its place", __NR_mremap, RESULT(place),
		VAL(size), VAL(size), VAL(MREMAP_MAYMOVE | MREMAP_FIXED), VAL(at));
	batch_expect(plan->late, op, (int64_t)at);
	if (read_header(plan->space, entry, &ring, &ignored) < 0 || !range || !range->file ||
		range->end < at + size)
		return;
	for (uint32_t done = 0; done < ring.tail; done += AIO_CHUNK)
		plan_dummies(plan, at, MIN(ring.tail - done, (uint32_t)AIO_CHUNK), range->file);
	/* All but the number that the kernel finds the context by, and the length. */
	plan_read(plan, range, at + offsetof(struct aio_ring, head), sizeof(ring.head));
	plan_read(plan, range, at + sizeof(ring), size - sizeof(ring));
}

void plan_aio(struct space_plan *plan)
{
	for (size_t i = 0; i < plan->mm->n_aios; i++)
		plan_ring(plan, plan->mm->aios[i]);
}
