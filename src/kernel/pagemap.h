#pragma once
/*
 * Which pages of an area exist: PAGEMAP_SCAN (Linux 6.7), or reads of /proc/PID/pagemap.
 */
#include <sys/types.h>

#include "base/error.h"

struct pagemap {
	int fd;
	pid_t pid;
	bool no_scan; /* the kernel has no PAGEMAP_SCAN */
	bool no_guard; /* ... or one that does not know guard pages */
	bool zero_known;
	uint64_t zero_pfn; /* without PAGEMAP_SCAN: the frame of the zero page; 0: not to be had */
};

enum pagemap_want {
	PAGEMAP_ANY, /* present or swapped, not the zero page */
	PAGEMAP_COPIED, /* ... and not a page of the mapped file: copied on write */
};

struct page_range {
	uint64_t start, end;
	uint32_t flags; /* the caller's own */
};

/* Ascending, adjoining ones with equal flags merged. */
struct page_ranges {
	struct page_range *items; /* malloc'ed */
	size_t count, capacity;
};

int pagemap_open(pid_t pid, struct pagemap *ret_pagemap, struct error *err);
void pagemap_close(struct pagemap *pagemap);
/* Appends the ranges of wanted pages in [start, end), each with `flags`, and those of guard pages
 * (MADV_GUARD_INSTALL, Linux 6.13) to `guards`, which may be NULL. */
int pagemap_find(struct pagemap *pagemap, uint64_t start, uint64_t end, enum pagemap_want want,
	uint32_t flags, struct page_ranges *ranges, struct page_ranges *guards, struct error *err);
/* The raw 64-bit entries of `count` pages from `start` on. Frame numbers need CAP_SYS_ADMIN. */
int pagemap_read(struct pagemap *pagemap, uint64_t start, uint64_t *entries, size_t count,
	struct error *err);

void page_ranges_add(struct page_ranges *ranges, uint64_t start, uint64_t end, uint32_t flags);
void page_ranges_deinit(struct page_ranges *ranges);

/* Bits of an entry: Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PFN       (((uint64_t)1 << 55) - 1)
#define PAGEMAP_EXCLUSIVE ((uint64_t)1 << 56)
#define PAGEMAP_GUARD_BIT ((uint64_t)1 << 58)
#define PAGEMAP_FILE      ((uint64_t)1 << 61)
#define PAGEMAP_SWAPPED   ((uint64_t)1 << 62)
#define PAGEMAP_PRESENT   ((uint64_t)1 << 63)
