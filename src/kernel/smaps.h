#pragma once
/*
 * The areas of an address space as /proc/PID/smaps tells them.
 *
 * smaps is the only place that shows VmFlags (madvise state, locks, seals); /proc/PID/maps and
 * PROCMAP_QUERY do not have them. The kernel walks page tables for it, about as long as a pagemap
 * scan; in return the totals of each area say which areas need not be scanned at all.
 */
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"

/* Two letters each in VmFlags; proc_pid_smaps(5) and fs/proc/task_mmu.c. */
enum smaps_flag {
	SMAPS_MAY_WRITE = 1 << 0, /* mw */
	SMAPS_GROWS_DOWN = 1 << 1, /* gd */
	SMAPS_PFN = 1 << 2, /* pf */
	SMAPS_IO = 1 << 3, /* io */
	SMAPS_LOCKED = 1 << 4, /* lo */
	SMAPS_LOCK_ON_FAULT = 1 << 5, /* lf */
	SMAPS_SEQUENTIAL = 1 << 6, /* sr */
	SMAPS_RANDOM = 1 << 7, /* rr */
	SMAPS_DONT_FORK = 1 << 8, /* dc */
	SMAPS_NO_RESERVE = 1 << 9, /* nr */
	SMAPS_HUGETLB = 1 << 10, /* ht */
	SMAPS_SYNC = 1 << 11, /* sf: MAP_SYNC, DAX only */
	SMAPS_WIPE_ON_FORK = 1 << 12, /* wf */
	SMAPS_DONT_DUMP = 1 << 13, /* dd */
	SMAPS_MIXED = 1 << 14, /* mm */
	SMAPS_HUGE = 1 << 15, /* hg */
	SMAPS_NO_HUGE = 1 << 16, /* nh */
	SMAPS_MERGEABLE = 1 << 17, /* mg */
	SMAPS_UFFD_MISSING = 1 << 18, /* um */
	SMAPS_UFFD_WP = 1 << 19, /* uw */
	SMAPS_UFFD_MINOR = 1 << 20, /* ui */
	SMAPS_SHADOW_STACK = 1 << 21, /* ss */
	SMAPS_SEALED = 1 << 22, /* sl */
	SMAPS_DROPPABLE = 1 << 23, /* dp */
	SMAPS_GUARD = 1 << 24, /* gu: may hold guard pages; only where SMAPS_KNOWS_GUARD */
	SMAPS_ACCOUNT = 1 << 25, /* ac */
	SMAPS_SHARED =
		1 << 26, /* sh: of a shared area; not there when the file is open to read only */
};

struct smaps_area {
	uint64_t start, end;
	uint64_t offset; /* bytes in the file */
	uint64_t inode;
	uint32_t major, minor;
	uint32_t prot; /* PROT_* */
	bool shared;
	uint32_t flags; /* enum smaps_flag */
	const char *name; /* as printed: "" for plain anonymous memory; newlines are "\012" */
	uint64_t resident, anonymous, swapped; /* kB */
	uint64_t page_size; /* kB */
	uint32_t protection_key;
};

/* Appends the areas found in a piece of smaps text that holds whole lines; an area whose lines end
 * in a later piece is completed there. All zero to start with. */
struct smaps_parser {
	struct arena *arena; /* of the array and the names */
	struct smaps_area *areas;
	size_t count, capacity;
};
/* Takes the whole lines of `text`; *ret_used says how many bytes that were. -EPROTO when a line is
 * not what the kernel writes. */
int smaps_parse(struct smaps_parser *parser, const char *text, size_t size, size_t *ret_used);

/* All areas of a task, ascending. They belong to the arena. */
int smaps_read(pid_t pid, struct arena *arena, struct smaps_area **ret_areas, size_t *ret_count,
	struct error *err);
