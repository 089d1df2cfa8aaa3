#pragma once
/*
 * What the files of the memory room share: the restore side. (The dump side: internal.h.)
 */
#include "memory/internal.h"

/* A pages-N.img. */
struct pages_file {
	uint32_t id;
	int fd; /* the conductor's; -1: there is none */
	uint64_t size;
	int inherited; /* its number in every puppet; -1: not yet */
	bool needed; /* some puppet reads from it */
};

/* Pages with content, at [start, end): addresses, or offsets in a shared object. */
struct stored_range {
	uint64_t start, end;
	struct pages_file *file; /* NULL: the content is with the parent process (until resolved) */
	uint64_t offset;
	bool shared; /* the parent process's own pages */
};

struct stored_pages {
	struct stored_range *ranges; /* ascending */
	size_t count, capacity;
	struct pages_file *file;
};

/* Where the kernel's vdso goes. */
enum vdso_mode {
	VDSO_NONE, /* the image has none: it stays parked, and goes with what is ours */
	VDSO_MOVE, /* to the image's place */
	VDSO_PATCH, /* elsewhere; the image's own stays, and jumps there */
};

struct vdso_placement {
	enum vdso_mode mode;
	uint64_t image_start, image_size;
	uint64_t new_start; /* of the kernel's [vdso]; vvar lies in front */
	unsigned char *patched; /* image_size bytes */
	int fd; /* holds them, inherited; -1: not yet */
};

/* address_space.memory during a restore */
struct restored_space {
	struct address_space *space;
	const struct task *owner;
	struct stored_pages pages;
	struct vdso_placement vdso;
	bool shares; /* pages with the parent process */
	/* As PHASE_MAP leaves them, once it is planned. */
	struct segment *segments;
	size_t segment_count;
};

struct restored_object {
	enum area_type type;
	struct restored_object *next;
	uint32_t id;
	uint64_t size;
	uint32_t map_flags; /* MAP_NORESERVE, MAP_HUGETLB and size */
	const MemfdInodeEntry *memfd;
	const IpcShmEntry *sysv;
	struct stored_pages pages;
	int fd, read_fd; /* inherited; -1: not open */
	bool needs_read_fd;
	bool planned_seals;
};

/* An argument of an op that is a descriptor not yet open while planning. */
struct fd_fixup {
	struct batch *batch;
	int op, arg;
	uint32_t *word; /* or a word of an op's data */
	const int *fd;
};

/* restore_context.memory */
struct restore_memory {
	struct restored_object *first_object, **last_object;
	struct table objects; /* (type, id) */
	struct table memfds; /* inode_id -> MemfdInodeEntry */
	struct table segments; /* id -> IpcShmEntry */
	struct table pages_files; /* id -> struct pages_file */
	struct pages_file **files;
	size_t file_count, file_capacity;
	struct fd_fixup *fixups;
	size_t fixup_count, fixup_capacity;
	bool opened;
	uint64_t pages_planned;
};

static inline struct restored_space *restored_space(const struct address_space *space)
{
	return space ? space->memory : NULL;
}

/* User space ends here: 47 bits on x86-64 without five-level paging, 48 on arm64. */
#if defined(__aarch64__)
#define TASK_END ((uint64_t)1 << 48)
#else
#define TASK_END (((uint64_t)1 << 47) - PAGE_SIZE)
#endif

/* What an area of an image is, by its status bits. AREA_REFUSED when they make no sense. */
enum area_type vma_type(const VmaEntry *vma);
static inline bool vma_is_guard(const VmaEntry *vma)
{
	return vma->status & VMA_GUARD;
}

/* load.c */
int pages_load(struct restore_context *context, enum image_type type, uint64_t id,
	struct stored_pages *ret_pages, struct error *err);
/* Where the content of a page is: NULL when there is none. */
const struct stored_range *stored_pages_find(const struct stored_pages *pages, uint64_t address);

/* check.c; problems are added and 0 is returned. */
_printf_(3, 4) void bad_image(
	struct restore_context *context, const char *image, const char *format, ...);

/* objects.c */
int objects_check(struct restore_context *context, struct error *err);
struct restored_object *object_of_area(struct restore_context *context, const VmaEntry *vma);
int objects_open(struct restore_context *context, struct error *err);
void objects_close(struct restore_context *context);

/* sysv.c */
int sysv_check(struct restore_context *context, struct restored_object *object, struct error *err);
int sysv_open(struct restore_context *context, struct restored_object *object, struct error *err);
/* Reads an object's pages into a mapping of all of it. */
int object_fill(
	const struct restored_object *object, void *mapping, uint64_t size, struct error *err);

/* plan.c and its parts */
void plan_fd(struct restore_context *context, struct batch *batch, int op, int arg, const int *fd);
void plan_fd_word(struct restore_context *context, uint32_t *word, const int *fd);
struct segment;
struct space_plan {
	struct restore_context *context;
	const struct memory_host *host;
	struct restored_space *space;
	const MmEntry *mm;
	struct batch *map, *late;
	struct restored_space *parent; /* inherited from; NULL: empty */
	struct segment *segments; /* ascending; see plan.c */
	size_t segment_count, segment_capacity;
};

/* A part of an area that is there already, inherited from the parent, or is mapped by us. */
struct segment {
	uint64_t start, end;
	const VmaEntry *vma;
	bool kept;
	bool filled; /* pages are read into it, here or before in the parent */
	uint32_t prot; /* at the end of PHASE_MAP: writable where pages were read in */
};

/* inherit.c: cuts areas into segments, plans the unmapping of what the child has not. */
void plan_segments(struct space_plan *plan);
/* fill.c */
void plan_fill(struct space_plan *plan);
/* Marks the segments that pages are read into. */
void plan_find_filled(struct space_plan *plan);
/* late.c */
int plan_late(struct space_plan *plan, struct error *err);
/* aio.c */
int aio_check(struct restore_context *context, struct restored_space *space, struct error *err);
void plan_aio(struct space_plan *plan);

/* vdso.c */
#define VDSO_MAX ((uint64_t)256 * 1024)
struct vdso_symbol {
	const char *name;
	uint64_t offset;
};
#define VDSO_SYMBOLS_MAX 16
struct vdso_symbols {
	struct vdso_symbol items[VDSO_SYMBOLS_MAX];
	size_t count;
};
/* The functions of a vdso image, in any bytes; their names lie in it. -EINVAL when it is none. */
int vdso_parse(const unsigned char *content, size_t size, struct vdso_symbols *ret_symbols);
int vdso_check(struct restore_context *context, struct restored_space *space, struct error *err);
int plan_vdso(struct space_plan *plan, struct error *err);

/* gap.c: addresses that this space does not use, and that memory_find_gap() does not give away. */
bool space_find_gap(const struct address_space *space, uint64_t size, uint64_t *ret_address);
