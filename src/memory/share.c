/*
 * Dump: pages that a process still shares with its parent since fork, copy on write.
 *
 * They have the same frame (or swap entry) at the same address in both. A frame that only one
 * process maps says so in its pagemap entry, so that the parent is asked only where it pays.
 */
#include "memory/internal.h"

#define COMPARE_PAGES ((uint64_t)4096)

struct comparison {
	struct pagemap child, parent;
	uint64_t child_entries[COMPARE_PAGES], parent_entries[COMPARE_PAGES];
	struct page_ranges result;
};

static void comparison_destroy(struct comparison **c)
{
	if (!*c)
		return;
	pagemap_close(&(*c)->child);
	pagemap_close(&(*c)->parent);
	page_ranges_deinit(&(*c)->result);
	free(*c);
}

static bool same_page(uint64_t a, uint64_t b)
{
	const uint64_t kind = PAGEMAP_PRESENT | PAGEMAP_SWAPPED | PAGEMAP_FILE;

	/* Without CAP_SYS_ADMIN frame numbers read 0: nothing is known to be shared then. */
	return a & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED) && a & PAGEMAP_PFN &&
	       ((a ^ b) & (kind | PAGEMAP_PFN)) == 0;
}

/* Pages of the child in [start, end), all of which the parent has pages at, too. */
static int compare(
	struct comparison *c, uint64_t start, uint64_t end, uint32_t flags, struct error *err)
{
	while (start < end) {
		uint64_t count = MIN((end - start) / PAGE_SIZE, COMPARE_PAGES);
		bool any = false;
		int rc = pagemap_read(&c->child, start, c->child_entries, count, err);

		if (rc < 0)
			return rc;
		for (uint64_t i = 0; i < count; i++)
			any |= !(c->child_entries[i] & PAGEMAP_EXCLUSIVE);
		if (any) {
			rc = pagemap_read(&c->parent, start, c->parent_entries, count, err);
			if (rc < 0)
				return rc;
		}
		for (uint64_t i = 0; i < count; i++) {
			bool same = any && same_page(c->child_entries[i], c->parent_entries[i]);

			page_ranges_add(&c->result, start + i * PAGE_SIZE,
				start + (i + 1) * PAGE_SIZE, flags | (same ? RANGE_SHARED : 0));
		}
		start += count * PAGE_SIZE;
	}
	return 0;
}

int space_find_shared_pages(
	struct dumped_space *child, const struct dumped_space *parent, struct error *err)
{
	_cleanup_(comparison_destroy) struct comparison *c = xcalloc(1, sizeof(*c));
	const struct page_ranges *theirs = &parent->ranges;
	size_t j = 0;
	int rc;

	c->child.fd = c->parent.fd = -1;
	rc = pagemap_open(child->pid, &c->child, err);
	if (rc >= 0)
		rc = pagemap_open(parent->pid, &c->parent, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < child->ranges.count; i++) {
		const struct page_range *range = &child->ranges.items[i];
		uint64_t at = range->start;

		while (j < theirs->count && theirs->items[j].end <= at)
			j++;
		for (size_t k = j; at < range->end; k++) {
			const struct page_range *other =
				k < theirs->count ? &theirs->items[k] : NULL;
			uint64_t from = other ? MIN(other->start, range->end) : range->end;
			uint64_t to = other ? MIN(other->end, range->end) : range->end;

			if (from > at) {
				page_ranges_add(&c->result, at, from, range->flags);
				at = from;
			}
			if (to <= at)
				continue;
			if (range->flags & RANGE_VDSO || other->flags & RANGE_VDSO) {
				page_ranges_add(&c->result, at, to, range->flags);
			} else {
				rc = compare(c, at, to, range->flags, err);
				if (rc < 0)
					return rc;
			}
			at = to;
		}
	}
	page_ranges_deinit(&child->ranges);
	child->ranges = c->result;
	c->result = (struct page_ranges){};
	return 0;
}
