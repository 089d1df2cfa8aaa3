/*
 * Restore: which areas are there already, because the puppet was forked from its filled parent.
 *
 * Private memory that both have at the same addresses stays, and with it the pages that they share
 * copy on write. All else of the parent's is unmapped, and what is missing is mapped.
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "memory/restore.h"

/* The kernel's own areas come in PHASE_MAP_LATE, when all children are forked. */
static bool is_mapped_early(const struct restored_space *space, const VmaEntry *vma)
{
	enum area_type type = vma_type(vma);

	if (type == AREA_VDSO)
		return space->vdso.mode == VDSO_PATCH;
	return !vma_is_guard(vma) && type != AREA_VSYSCALL && type != AREA_VVAR &&
	       type != AREA_UPROBES && type != AREA_AIO;
}

static bool is_same_memory(const VmaEntry *a, const VmaEntry *b)
{
	const uint64_t huge = (uint64_t)1 << MADV_HUGEPAGE;
	enum area_type type = vma_type(a);

	if (type != vma_type(b) || (a->flags ^ b->flags) & ~(uint32_t)MAP_LOCKED)
		return false;
	/* The advice is given before pages are read, and cannot be taken back. */
	if ((a->madv ^ b->madv) & huge)
		return false;
	if ((a->flags & MAP_TYPE_BITS) == MAP_SHARED)
		return false;
	if (type == AREA_ANON)
		return true;
	return (type == AREA_FILE || type == AREA_MEMFD) && a->shmid == b->shmid &&
	       a->pgoff - a->start == b->pgoff - b->start;
}

static void add_segment(struct space_plan *plan, uint64_t start, uint64_t end, const VmaEntry *vma,
	bool kept, uint32_t prot)
{
	struct segment *segment;

	if (start >= end)
		return;
	plan->segments = arena_grow(plan->context->arena, plan->segments, &plan->segment_capacity,
		plan->segment_count + 1, sizeof(*segment));
	segment = &plan->segments[plan->segment_count++];
	*segment = (struct segment){
		.start = start, .end = end, .vma = vma, .kept = kept, .prot = prot};
}

/* Cuts an area along the parent's segments. Both ascend: `cursor` never goes back. */
static void cut_area(struct space_plan *plan, const VmaEntry *vma, size_t *cursor)
{
	const struct restored_space *parent = plan->parent;
	uint64_t at = vma->start;

	while (parent && *cursor < parent->segment_count &&
		parent->segments[*cursor].end <= vma->start)
		(*cursor)++;
	for (size_t i = *cursor; parent && i < parent->segment_count; i++) {
		const struct segment *theirs = &parent->segments[i];
		uint64_t start = MAX(at, theirs->start), end = MIN(vma->end, theirs->end);

		if (theirs->start >= vma->end)
			break;
		if (start >= end || !is_same_memory(vma, theirs->vma))
			continue;
		add_segment(plan, at, start, vma, false, vma->prot);
		add_segment(plan, start, end, vma, true, theirs->prot);
		at = end;
	}
	add_segment(plan, at, vma->end, vma, false, vma->prot);
}

struct unmapping {
	struct space_plan *plan;
	uint64_t start, end; /* not yet planned; empty while equal */
};

static void unmap_flush(struct unmapping *u)
{
	if (u->start < u->end)
		batch_op(u->plan->map, "unmap what the parent has and this task has not",
			__NR_munmap, VAL(u->start), VAL(u->end - u->start));
	u->start = u->end = 0;
}

/* One call for neighbours, but never across our own range or an area that stays. */
static void unmap_add(struct unmapping *u, uint64_t start, uint64_t end, uint64_t barrier)
{
	const struct memory_host *host = u->plan->host;

	if (start >= end)
		return;
	if (u->start == u->end) {
		u->start = start;
	} else if (barrier > u->end || (host->keep_start.v < start && host->keep_end.v > u->end)) {
		unmap_flush(u);
		u->start = start;
	}
	u->end = end;
}

static void plan_unmapping(struct space_plan *plan)
{
	const struct restored_space *parent = plan->parent;
	struct unmapping u = {.plan = plan};
	uint64_t kept_end = 0;
	size_t cursor = 0;

	for (size_t i = 0; i < parent->segment_count; i++) {
		uint64_t at = parent->segments[i].start, end = parent->segments[i].end;

		for (; cursor < plan->segment_count && plan->segments[cursor].start < end;
			cursor++) {
			const struct segment *mine = &plan->segments[cursor];

			if (!mine->kept || mine->end <= at)
				continue;
			unmap_add(&u, at, mine->start, kept_end);
			at = kept_end = mine->end;
			if (mine->end > end)
				break;
		}
		unmap_add(&u, at, end, kept_end);
	}
	unmap_flush(&u);
}

void plan_segments(struct space_plan *plan)
{
	size_t cursor = 0;

	for (size_t i = 0; i < plan->mm->n_vmas; i++)
		if (is_mapped_early(plan->space, plan->mm->vmas[i]))
			cut_area(plan, plan->mm->vmas[i], &cursor);
	if (plan->parent)
		plan_unmapping(plan);
}
