/*
 * PAGEMAP_SCAN reports ranges of equal categories, at most as many as fit the vector, and where it
 * stopped (walk_end). On 6.12 to 6.18 at least walk_end is stale when more than 512 ranges were
 * returned and the walk then completed: it is the end of the last full batch of 512. Going on from
 * there returns ranges twice. So we go on from the later one of walk_end and the end of the last
 * range, and stop as soon as the vector was not filled.
 */
#include "kernel/pagemap.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/io.h"
#include "kernel/procfs.h"

/* linux/fs.h of 6.7 and later; distributions' headers are older. */
struct scan_range {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN         _IOWR('f', 16, struct scan_arg)
#define SCAN_FILE    (1U << 2)
#define SCAN_PRESENT (1U << 3)
#define SCAN_SWAPPED (1U << 4)
#define SCAN_PFNZERO (1U << 5)
#define SCAN_GUARD   (1U << 8)

#define SCAN_VECTOR 2048
#define READ_PAGES  4096

/* The frame of the zero page, as our own pagemap shows it. */
static uint64_t find_zero_pfn(void)
{
	_cleanup_(close_fd) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	volatile char *page = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t entry = 0;

	if (page == MAP_FAILED)
		return 0;
	(void)page[0];
	if (fd < 0 ||
		pread_full(fd, &entry, sizeof(entry),
			(off_t)((uintptr_t)page / PAGE_SIZE * sizeof(entry))) != sizeof(entry))
		entry = 0;
	munmap((void *)page, PAGE_SIZE);
	return entry & PAGEMAP_PRESENT ? entry & PAGEMAP_PFN : 0;
}

int pagemap_open(pid_t pid, struct pagemap *ret_pagemap, struct error *err)
{
	int fd = procfs_open(pid, "pagemap", O_RDONLY, err);

	if (fd < 0)
		return fd;
	*ret_pagemap = (struct pagemap){.fd = fd, .pid = pid};
	return 0;
}

void pagemap_close(struct pagemap *pagemap)
{
	close_fd(&pagemap->fd);
}

void page_ranges_add(struct page_ranges *ranges, uint64_t start, uint64_t end, uint32_t flags)
{
	struct page_range *last = ranges->count ? &ranges->items[ranges->count - 1] : NULL;

	if (last && last->end == start && last->flags == flags) {
		last->end = end;
		return;
	}
	if (ranges->count == ranges->capacity) {
		ranges->capacity = ranges->capacity ? ranges->capacity * 2 : 64;
		ranges->items =
			xreallocarray(ranges->items, ranges->capacity, sizeof(*ranges->items));
	}
	ranges->items[ranges->count++] =
		(struct page_range){.start = start, .end = end, .flags = flags};
}

void page_ranges_deinit(struct page_ranges *ranges)
{
	free(ranges->items);
	*ranges = (struct page_ranges){};
}

static int fail(struct error *err, const struct pagemap *pagemap, int errnum)
{
	int rc = error_set(err, errnum, "reading /proc/%d/pagemap", pagemap->pid);

	error_about_task(err, pagemap->pid);
	return rc;
}

int pagemap_read(
	struct pagemap *pagemap, uint64_t start, uint64_t *entries, size_t count, struct error *err)
{
	ssize_t n = pread_full(pagemap->fd, entries, count * sizeof(*entries),
		(off_t)(start / PAGE_SIZE * sizeof(*entries)));

	if (n < 0)
		return fail(err, pagemap, (int)-n);
	/* Past the end of user space there is nothing. */
	memset((char *)entries + n, 0, count * sizeof(*entries) - (size_t)n);
	return 0;
}

static bool wanted(const struct pagemap *pagemap, uint64_t entry, enum pagemap_want want)
{
	if (!(entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)))
		return false;
	if (want == PAGEMAP_COPIED && entry & PAGEMAP_FILE)
		return false;
	return !(entry & PAGEMAP_PRESENT && pagemap->zero_pfn &&
		 (entry & PAGEMAP_PFN) == pagemap->zero_pfn);
}

static int find_by_reading(struct pagemap *pagemap, uint64_t start, uint64_t end,
	enum pagemap_want want, uint32_t flags, struct page_ranges *ranges,
	struct page_ranges *guards, struct error *err)
{
	_cleanup_(free_ptr) uint64_t *entries = xcalloc(READ_PAGES, sizeof(*entries));

	if (!pagemap->zero_known) {
		pagemap->zero_pfn = find_zero_pfn();
		pagemap->zero_known = true;
	}
	while (start < end) {
		size_t count = (size_t)MIN((end - start) / PAGE_SIZE, (uint64_t)READ_PAGES);
		int rc = pagemap_read(pagemap, start, entries, count, err);

		if (rc < 0)
			return rc;
		for (size_t i = 0; i < count; i++) {
			uint64_t page = start + i * PAGE_SIZE;

			if (entries[i] & PAGEMAP_GUARD_BIT) {
				if (guards)
					page_ranges_add(guards, page, page + PAGE_SIZE, 0);
			} else if (wanted(pagemap, entries[i], want)) {
				page_ranges_add(ranges, page, page + PAGE_SIZE, flags);
			}
		}
		start += count * PAGE_SIZE;
	}
	return 0;
}

static struct scan_arg scan_query(const struct pagemap *pagemap, enum pagemap_want want)
{
	struct scan_arg arg = {.size = sizeof(arg)};

	/* FILE triples the cost of the walk: it is asked for only where files are mapped. */
	arg.category_inverted = SCAN_PFNZERO | (want == PAGEMAP_COPIED ? SCAN_FILE : 0);
	arg.category_mask = arg.category_inverted;
	arg.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED;
	/* Guard pages pass for swapped ones, and are told apart by what is returned. Ranges are cut
	 * where the returned categories differ: nothing else is asked for. */
	arg.return_mask = pagemap->no_guard ? SCAN_PFNZERO : SCAN_GUARD;
	return arg;
}

/* Returns 1 when the kernel does not know what was asked: the caller asks otherwise. */
static int find_by_scan(struct pagemap *pagemap, uint64_t start, uint64_t end,
	enum pagemap_want want, uint32_t flags, struct page_ranges *ranges,
	struct page_ranges *guards, struct error *err)
{
	struct scan_range vector[SCAN_VECTOR];
	struct scan_arg arg = scan_query(pagemap, want);

	while (start < end) {
		int n;

		arg.start = start;
		arg.end = end;
		arg.vec = (uintptr_t)vector;
		arg.vec_len = SCAN_VECTOR;
		n = ioctl(pagemap->fd, SCAN, &arg);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOTTY || errno == EINVAL))
			return 1;
		if (n < 0)
			return fail(err, pagemap, errno);
		for (int i = 0; i < n && i < SCAN_VECTOR; i++) {
			if (!(vector[i].categories & SCAN_GUARD))
				page_ranges_add(ranges, vector[i].start, vector[i].end, flags);
			else if (guards)
				page_ranges_add(guards, vector[i].start, vector[i].end, 0);
		}
		if (n < SCAN_VECTOR)
			return 0;
		start = MAX(arg.walk_end, vector[n - 1].end);
	}
	return 0;
}

int pagemap_find(struct pagemap *pagemap, uint64_t start, uint64_t end, enum pagemap_want want,
	uint32_t flags, struct page_ranges *ranges, struct page_ranges *guards, struct error *err)
{
	while (!pagemap->no_scan) {
		int rc = find_by_scan(pagemap, start, end, want, flags, ranges, guards, err);

		if (rc <= 0)
			return rc;
		/* Kernels before 6.13 have no guard pages and refuse the category. */
		if (!pagemap->no_guard) {
			pagemap->no_guard = true;
			continue;
		}
		pagemap->no_scan = true;
	}
	return find_by_reading(pagemap, start, end, want, flags, ranges, guards, err);
}
