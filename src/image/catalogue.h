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
	/* The others, in the order of format/files.md. */
	IMAGE_REG_FILES,
	IMAGE_EXT_FILES,
	IMAGE_NS_FILES,
	IMAGE_EVENTFD,
	IMAGE_EVENTPOLL,
	IMAGE_EVENTPOLL_TFD,
	IMAGE_SIGNALFD,
	IMAGE_INOTIFY,
	IMAGE_INOTIFY_WD,
	IMAGE_FANOTIFY,
	IMAGE_FANOTIFY_MARK,
	IMAGE_VMAS,
	IMAGE_PIPES,
	IMAGE_FIFO,
	IMAGE_SIGACTS,
	IMAGE_UNIXSK,
	IMAGE_INETSK,
	IMAGE_PACKETSK,
	IMAGE_NETLINKSK,
	IMAGE_SK_QUEUES,
	IMAGE_ITIMERS,
	IMAGE_POSIX_TIMERS,
	IMAGE_CREDS,
	IMAGE_UTSNS,
	IMAGE_IPCNS_VAR,
	IMAGE_IPCNS_SHM,
	IMAGE_IPCNS_MSG,
	IMAGE_IPCNS_SEM,
	IMAGE_TCP_STREAM, /* tcp-stream-ID, hexadecimal */
	IMAGE_MOUNTPOINTS,
	IMAGE_NETDEV,
	IMAGE_NETNS,
	IMAGE_IFADDR, /* raw from here ... */
	IMAGE_ROUTE,
	IMAGE_ROUTE6,
	IMAGE_RULE,
	IMAGE_IPTABLES,
	IMAGE_IP6TABLES,
	IMAGE_NFTABLES,
	IMAGE_TMPFS,
	IMAGE_TMPFS_DEV, /* ... to here */
	IMAGE_AUTOFS,
	IMAGE_BINFMT_MISC_OLD, /* binfmt-misc-ID */
	IMAGE_BINFMT_MISC,
	IMAGE_TTY,
	IMAGE_TTY_INFO,
	IMAGE_TTY_DATA,
	IMAGE_FILELOCKS,
	IMAGE_RLIMIT,
	IMAGE_PAGES_SHMEM, /* raw, before shared memory had pagemaps */
	IMAGE_SIGNAL_S,
	IMAGE_SIGNAL_P,
	IMAGE_TUNFILE,
	IMAGE_CGROUP,
	IMAGE_TIMERFD,
	IMAGE_CPUINFO,
	IMAGE_USERNS,
	IMAGE_NETNS_CT, /* raw */
	IMAGE_NETNS_EXP, /* raw */
	IMAGE_PIDNS,
	IMAGE_BPFMAP_FILE,
	IMAGE_BPFMAP_DATA,
	IMAGE_APPARMOR,
	IMAGE_PIDFD,
	IMAGE_IRMAP_CACHE,
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
	const char *magic_name; /* what crit calls the magic: "CORE"; NULL for raw images */
	uint32_t magic; /* 0 for raw images */
	bool service; /* framed with the service magic (stats) */
	const ProtobufCMessageDescriptor
		*first; /* the first entry's message; NULL for raw images */
	const ProtobufCMessageDescriptor *rest; /* the others', where it differs; else NULL */
	enum image_extra extra;
};

/* The first word of an image since version 1.1; version 1.0 images begin with their own magic. */
#define IMAGE_COMMON_MAGIC  0x54564319u
#define IMAGE_SERVICE_MAGIC 0x55105940u

/* Long enough for every name with every number in it. */
#define IMAGE_NAME_MAX 64

const struct image_info *image_info(enum image_type type);
/* The file name of an image. `id` is the number in it (ignored where the name has none). */
void image_format_name(enum image_type type, uint64_t id, char ret_name[IMAGE_NAME_MAX]);
/* Which image a file name is, and the number in it. Returns false when it is none. */
bool image_type_of_name(const char *name, enum image_type *ret_type, uint64_t *ret_id);
