/*
 * Addresses that nobody uses.
 */
#include "memory/restore.h"

struct span {
	uint64_t start, end;
};

/* Above what programs without position independence, and 32-bit addresses, like to have. */
#define GAP_LOWEST ((uint64_t)1 << 33)
/* Stacks may grow into the gap, and the kernel keeps a megabyte below them free. */
#define GAP_MARGIN ((uint64_t)64 << 20)

static int compare_spans(const void *a, const void *b)
{
	const struct span *left = a, *right = b;

	return (left->start > right->start) - (left->start < right->start);
}

static size_t collect(const struct address_space *space, struct span *spans)
{
	size_t count = 0;

	for (size_t i = 0; space->mm && i < space->mm->n_vmas; i++)
		if (space->mm->vmas[i]->start < TASK_END)
			spans[count++] =
				(struct span){space->mm->vmas[i]->start, space->mm->vmas[i]->end};
	return count;
}

/* The middle of the largest gap, or its lower end: neither a heap nor a stack comes there soon. */
static bool largest_gap(
	struct span *spans, size_t count, uint64_t size, bool middle, uint64_t *ret_address)
{
	uint64_t at = GAP_LOWEST, best_start = 0, best_size = 0;

	qsort(spans, count, sizeof(*spans), compare_spans);
	for (size_t i = 0; i <= count; i++) {
		uint64_t start = i < count ? MIN(spans[i].start, TASK_END) : TASK_END;

		if (start > at && start - at > best_size) {
			best_start = at;
			best_size = start - at;
		}
		if (i < count)
			at = MAX(at, MIN(spans[i].end, TASK_END));
	}
	if (best_size < size)
		return false;
	if (best_size > size + 2 * GAP_MARGIN)
		*ret_address = middle ? PAGE_DOWN(best_start + (best_size - size) / 2)
				      : best_start + GAP_MARGIN;
	else
		*ret_address = best_start;
	return true;
}

int memory_find_gap(
	struct restore_context *context, uint64_t size, raddr *ret_address, struct error *err)
{
	_cleanup_(free_ptr) struct span *spans = NULL;
	size_t total = 0, count = 0;

	for (size_t i = 0; i < context->checkpoint->space_count; i++)
		if (context->checkpoint->spaces[i]->mm)
			total += context->checkpoint->spaces[i]->mm->n_vmas;
	spans = xcalloc(total + 1, sizeof(*spans));
	for (size_t i = 0; i < context->checkpoint->space_count; i++)
		count += collect(context->checkpoint->spaces[i], spans + count);
	if (!largest_gap(spans, count, PAGE_UP(size), true, &ret_address->v))
		return error_set(err, ENOMEM,
			"finding %llu bytes of addresses that no task of the tree uses",
			(unsigned long long)size);
	return 0;
}

bool space_find_gap(const struct address_space *space, uint64_t size, uint64_t *ret_address)
{
	_cleanup_(free_ptr) struct span *spans = xcalloc(space->mm->n_vmas + 1, sizeof(*spans));
	size_t count = collect(space, spans);

	return largest_gap(spans, count, PAGE_UP(size), false, ret_address);
}

bool memory_shares_pages(const struct restore_context *context _unused_,
	const struct address_space *parent, const struct address_space *child)
{
	const struct restored_space *space = restored_space(child);

	return space && space->shares && space->owner->parent &&
	       space->owner->parent->space == parent;
}
