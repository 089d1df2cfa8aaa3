#pragma once
/*
 * Every kind of image file there is: its name, magic and messages, as a const table.
 */
#include <google/protobuf-c/protobuf-c.h>

#include "base/util.h"

enum image_type {
	IMAGE_INVENTORY,
	IMAGE_PSTREE,
	IMAGE_CORE, /* core-TID */
	IMAGE_IDS, /* ids-PID */
	IMAGE_MM, /* mm-PID */
	IMAGE_PAGEMAP, /* pagemap-PID */
	IMAGE_PAGEMAP_SHMEM, /* pagemap-shmem-ID */
	IMAGE_PAGES, /* pages-ID, raw */
	IMAGE_FS, /* fs-PID */
	IMAGE_FILES,
	IMAGE_FDINFO, /* fdinfo-FILES_ID */
	IMAGE_REMAP_FPATH,
	IMAGE_GHOST_FILE, /* ghost-file-ID, hexadecimal */
	IMAGE_PIPES_DATA,
	IMAGE_FIFO_DATA,
	IMAGE_SECCOMP,
	IMAGE_MEMFD_INODE, /* memfd.img */
	IMAGE_TIMENS,
	IMAGE_STATS_DUMP,
	IMAGE_STATS_RESTORE,
	/* image room: all the others of format/files.md go here, in that table's order */
	IMAGE_TYPE_COUNT,
};

/* What follows an entry's message in the file. */
enum image_extra {
	EXTRA_NONE,
	EXTRA_PIPE_DATA, /* `bytes` bytes */
	EXTRA_SK_QUEUES, /* `length` bytes */
	EXTRA_TCP_STREAM, /* inq_len + outq_len bytes */
	EXTRA_GHOST, /* chunks, or the rest of the file */
	EXTRA_IPC_SEM,
	EXTRA_IPC_MSG,
	EXTRA_IPC_SHM,
	EXTRA_BPFMAP_DATA,
};

struct image_info {
	const char *name; /* "core-%u.img" with one conversion at most */
	uint32_t magic; /* 0 for raw images */
	bool service; /* framed with the service magic (stats) */
	const ProtobufCMessageDescriptor
		*first; /* the first entry's message; NULL for raw images */
	const ProtobufCMessageDescriptor *rest; /* the others', where it differs; else NULL */
	enum image_extra extra;
};

const struct image_info *image_info(enum image_type type);
/* Which image a file name is, and the number in it. Returns false when it is none. */
bool image_type_of_name(const char *name, enum image_type *ret_type, uint64_t *ret_id);
