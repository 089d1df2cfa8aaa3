/*
 * Dump: which pages of which area have to be saved.
 *
 * Neighbouring areas that are asked the same are scanned in one call: what lies between areas has
 * no pages. Cost and size depend on the pages that exist, never on the size of an area.
 */
#include <sys/mman.h>

#include "memory/internal.h"

enum scan_mode {
	SCAN_NOTHING, /* nothing there that is ours; may lie inside a scan */
	SCAN_BARRIER, /* has pages that are not ours */
	SCAN_ANY,
	SCAN_COPIED,
	SCAN_WHOLE, /* every page, without asking */
};

struct scan {
	enum scan_mode mode;
	uint32_t flags;
	uint64_t start, end;
};

static enum scan_mode area_scan_mode(const struct area *area)
{
	switch (area->type) {
	case AREA_ANON:
		return SCAN_ANY;
	case AREA_FILE:
	case AREA_MEMFD:
		if (area->vma->flags & MAP_SHARED)
			return SCAN_BARRIER;
		return area->has_pages || area->guards ? SCAN_COPIED : SCAN_BARRIER;
	case AREA_AIO:
	case AREA_VDSO:
		return SCAN_WHOLE;
	default:
		return SCAN_BARRIER;
	}
}

static uint32_t area_range_flags(const struct area *area)
{
	const VmaEntry *vma = area->vma;
	uint32_t flags = 0;

	if (area->type == AREA_VDSO)
		return RANGE_VDSO;
	if (area->type == AREA_ANON && !(vma->flags & (MAP_LOCKED | MAP_HUGETLB)))
		flags |= RANGE_LAZY;
	/* x86 and arm64 read what may be written or (mostly) executed; the rest, and execute-only
	 * memory, is left to /proc/PID/mem, which may always. */
	if (!(vma->prot & PROT_READ))
		flags |= RANGE_UNREADABLE;
	return flags;
}

static int run_scan(struct dumped_space *space, struct pagemap *pagemap, const struct scan *scan,
	struct error *err)
{
	switch (scan->mode) {
	case SCAN_ANY:
	case SCAN_COPIED:
		return pagemap_find(pagemap, scan->start, scan->end,
			scan->mode == SCAN_ANY ? PAGEMAP_ANY : PAGEMAP_COPIED, scan->flags,
			&space->ranges, &space->guards, err);
	case SCAN_WHOLE:
		page_ranges_add(&space->ranges, scan->start, scan->end, scan->flags);
		return 0;
	default:
		return 0;
	}
}

static int find_pages(struct dumped_space *space, struct error *err)
{
	_cleanup_(pagemap_close) struct pagemap pagemap = {.fd = -1};
	struct scan scan = {};
	int rc = pagemap_open(space->pid, &pagemap, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < space->area_count; i++) {
		const struct area *area = &space->areas[i];
		struct scan next = {area_scan_mode(area), area_range_flags(area), area->vma->start,
			area->vma->end};

		if (next.mode == scan.mode && next.flags == scan.flags && next.mode != SCAN_WHOLE) {
			scan.end = next.end;
			continue;
		}
		rc = run_scan(space, &pagemap, &scan, err);
		if (rc < 0)
			return rc;
		scan = next;
	}
	return run_scan(space, &pagemap, &scan, err);
}

/* Areas of our own form, behind the areas that they lie in. */
static void add_guards(struct dump_context *context, struct dumped_space *space)
{
	MmEntry *mm = space->space->mm;
	VmaEntry *guards = arena_array(context->arena, VmaEntry, space->guards.count);

	for (size_t i = 0; i < space->guards.count; i++) {
		VmaEntry *guard = &guards[i];

		vma_entry__init(guard);
		guard->start = space->guards.items[i].start;
		guard->end = space->guards.items[i].end;
		guard->prot = PROT_NONE;
		guard->flags = MAP_PRIVATE | MAP_ANONYMOUS;
		guard->status = VMA_GUARD;
		guard->fd = -1;
		mm->vmas[mm->n_vmas++] = guard;
	}
}

static void fill_vmas(struct dump_context *context, struct dumped_space *space)
{
	MmEntry *mm = space->space->mm;

	mm->vmas = arena_array(context->arena, VmaEntry *, space->area_count + space->guards.count);
	mm->n_vmas = 0;
	for (size_t i = 0; i < space->area_count; i++)
		mm->vmas[mm->n_vmas++] = space->areas[i].vma;
	add_guards(context, space);
}

int memory_find_pages(struct dump_context *context, struct error *err)
{
	struct dump_memory *memory = context->memory;

	if (!memory)
		return 0;
	shared_objects_number(context);
	for (size_t i = 0; i < memory->space_count; i++) {
		int rc = find_pages(memory->spaces[i], err);

		if (rc < 0)
			return rc;
		fill_vmas(context, memory->spaces[i]);
	}
	for (size_t i = 0; i < context->checkpoint->task_count; i++) {
		const struct task *task = context->checkpoint->tasks[i];
		struct dumped_space *child = dumped_space(task->space), *parent;
		int rc;

		if (!child || child->space->owner != task || !task->parent)
			continue;
		parent = dumped_space(task->parent->space);
		if (!parent || parent == child)
			continue;
		rc = space_find_shared_pages(child, parent, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}
