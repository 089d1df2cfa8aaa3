#pragma once
/*
 * What the files of the memory room share: the dump side. (The restore side: restore.h.)
 */
#include "kernel/pagemap.h"
#include "kernel/smaps.h"
#include "memory/memory.h"
#include "memory/table.h"

/* Bits of vma_entry.status (format/files.md). */
enum vma_status {
	VMA_REGULAR = 1U << 0,
	VMA_STACK = 1U << 1,
	VMA_VSYSCALL = 1U << 2,
	VMA_VDSO = 1U << 3,
	VMA_HEAP = 1U << 5,
	VMA_FILE_PRIVATE = 1U << 6,
	VMA_FILE_SHARED = 1U << 7,
	VMA_ANON_SHARED = 1U << 8,
	VMA_ANON_PRIVATE = 1U << 9,
	VMA_SYSV = 1U << 10,
	VMA_SOCKET = 1U << 11,
	VMA_VVAR = 1U << 12,
	VMA_AIO = 1U << 13,
	VMA_MEMFD = 1U << 14,
	VMA_SHADOW_STACK = 1U << 15,
	VMA_GUARD = 1U << 16,
	VMA_UPROBES = 1U << 17,
};

/* Bits of pagemap_entry.flags. */
enum { PE_PARENT = 1, PE_LAZY = 2, PE_PRESENT = 4 };

/* mmap(2) flags that distributions' headers may lack. */
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#define MAP_TYPE_BITS   0x0fU
#define MAP_HUGE_BITS   0x3fU
#define MAP_HUGE_OFFSET 26

/* What an area is, decided by classify.c from what smaps shows. */
enum area_type {
	AREA_ANON, /* private anonymous: heap, stack, hugetlb, droppable ... */
	AREA_FILE, /* a file, private or shared */
	AREA_SHARED_ANON, /* shared anonymous, hugetlb too */
	AREA_MEMFD, /* private or shared */
	AREA_SYSV,
	AREA_AIO,
	AREA_VDSO,
	AREA_VVAR,
	AREA_VSYSCALL,
	AREA_UPROBES,
	AREA_REFUSED,
};

/* An area of a task that is being dumped. */
struct area {
	VmaEntry *vma;
	enum area_type type;
	bool has_pages; /* smaps counts some that are ours to save */
	bool guards; /* may hold guard pages */
	struct shared_object *object;
};

/* Where shared memory lives: the device numbers of the kernel's own tmpfs. */
struct classify_facts {
	uint32_t shm_major, shm_minor;
	bool allow_uprobes;
};

/* Why an area cannot be dumped. */
struct refusal {
	const char *what; /* "is the ring of an io_uring" */
	const char *hint;
};

/* Fills vma (initialised) and says what the area is; for AREA_REFUSED, *ret_refusal says why. */
enum area_type area_classify(const struct smaps_area *smaps, const struct classify_facts *facts,
	VmaEntry *vma, struct refusal *ret_refusal);

/* flags of page ranges */
enum {
	RANGE_LAZY = 1, /* may be restored lazily: private anonymous */
	RANGE_UNREADABLE = 2, /* not readable by the task itself: /proc/PID/mem */
	RANGE_VDSO = 4, /* the content is ours, without the executor in its tail */
	RANGE_SHARED = 8, /* the same pages as the parent process's */
};

/* address_space.memory during a dump */
struct dumped_space {
	struct address_space *space;
	pid_t pid;
	struct area *areas;
	size_t area_count;
	struct page_ranges ranges;
	struct page_ranges guards;
};

/* A piece of shared memory, found once, mapped by any number of areas. */
struct shared_object {
	enum area_type type; /* AREA_SHARED_ANON, AREA_MEMFD or AREA_SYSV */
	struct shared_object *next;
	uint64_t device, inode;
	/* Where it is mapped, to open it again: descriptors are not kept, there may be very many.
	 */
	pid_t pid;
	uint64_t start, end;
	uint64_t size;
	uint32_t id; /* in the images */
	MemfdInodeEntry *memfd;
	IpcShmEntry *sysv;
	uint32_t file_ids[2]; /* the file entry of areas that only read, that may write; 0: none */
};

/* dump_context.memory */
struct dump_memory {
	struct classify_facts facts;
	struct table objects; /* (device, inode) */
	struct shared_object *first_object, **last_object;
	size_t object_count;
	struct table files; /* (device, inode, flags) -> struct mapped_file */
	struct dumped_space **spaces;
	size_t space_count, space_capacity;
	uint64_t next_pages_id;
	struct memory_stats stats;
};

/* The room's own part of the context, made when it is first needed. */
int dump_memory_get(
	struct dump_context *context, struct dump_memory **ret_memory, struct error *err);
struct dumped_space *dumped_space(const struct address_space *space);

/* shmem_look.c: the object that an area maps, described when it is new. Fills vma->shmid where that
 * is known already (files). A problem leaves area->object NULL. */
int shared_object_look(struct dump_context *context, struct dumped_space *space, int map_files,
	const struct smaps_area *smaps, struct area *area, struct error *err);
/* Numbers them all, and fills vma->shmid with the numbers. */
void shared_objects_number(struct dump_context *context);
int shared_objects_save(struct dump_context *context, struct error *err);

/* An open through /proc/PID/map_files. */
int map_files_open(int map_files, const struct smaps_area *smaps, int flags);

/* share.c */
int space_find_shared_pages(
	struct dumped_space *child, const struct dumped_space *parent, struct error *err);

/* save_pages.c */
int space_save_pages(struct dump_context *context, struct dumped_space *space, struct error *err);

/* A pagemap image and its pages file while they are written. */
struct pages_writer {
	struct image_writer *pagemap;
	int fd;
	struct memory_stats *stats;
};
int pages_writer_open(struct dump_context *context, enum image_type type, uint64_t id,
	struct pages_writer *ret_writer, struct error *err);
int pages_writer_entry(struct pages_writer *writer, uint64_t start, uint64_t end, uint32_t flags,
	bool shared_by_fork, struct error *err);
int pages_writer_data(
	struct pages_writer *writer, const void *data, size_t size, struct error *err);
int pages_writer_close(struct pages_writer *writer, struct error *err);
void pages_writer_cleanup(struct pages_writer *writer);

/* vdso.c: the content of the vdso as the kernel made it, see there. */
void vdso_clean_tail(unsigned char *content, size_t size);
