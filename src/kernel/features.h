#pragma once
/*
 * What the running kernel and our privileges allow.
 *
 * One const table names each feature, what it is for and who needs it; one probe function each,
 * free of side effects and a matter of microseconds (features that only a traced child can show
 * cost one fork, together). kernel_features_init() probes nothing; a command probes the features
 * that it uses once, early, and passes the result down as const. `stasis check` probes them all.
 */
#include "base/error.h"

enum kernel_feature {
	/* memory */
	FEATURE_PAGEMAP,
	FEATURE_MAP_FILES,
	FEATURE_PAGEMAP_SCAN,
	FEATURE_PAGEMAP_SCAN_GUARD,
	FEATURE_PROCMAP_QUERY,
	FEATURE_SOFT_DIRTY,
	FEATURE_USERFAULTFD,
	FEATURE_UFFD_NONCOOP,
	FEATURE_UFFD_WP_ASYNC,
	FEATURE_UFFD_MOVE,
	FEATURE_DIRTY_TRACK, /* one of soft-dirty and userfaultfd's asynchronous protection */
	FEATURE_AIO_REMAP,
	FEATURE_MADV_GUARD,
	FEATURE_MADV_COLLAPSE,
	FEATURE_MADV_POPULATE,
	FEATURE_THP,
	FEATURE_HUGETLB,
	FEATURE_MSEAL,
	FEATURE_MEMFD,
	FEATURE_MEMFD_HUGETLB,
	FEATURE_MEMFD_EXEC,
	FEATURE_ANON_VMA_NAME,
	FEATURE_VDSO_MAP,
	/* tasks */
	FEATURE_PTRACE,
	FEATURE_SUSPEND_SECCOMP,
	FEATURE_SECCOMP_GET_FILTER,
	FEATURE_SECCOMP_METADATA,
	FEATURE_RSEQ_CONFIGURATION,
	FEATURE_SYSCALL_USER_DISPATCH,
	FEATURE_SET_MM_MAP,
	FEATURE_TIMER_RESTORE_IDS,
	FEATURE_PROC_TIMERS,
	FEATURE_MEMBARRIER_REGISTRATIONS,
	FEATURE_CLONE3_SET_TID,
	FEATURE_NS_LAST_PID,
	FEATURE_PIDFD_OPEN,
	FEATURE_PIDFD_GETFD,
	FEATURE_PIDFD_THREAD,
	FEATURE_PIDFD_INFO,
	FEATURE_KCMP,
	FEATURE_KCMP_EPOLL,
	FEATURE_CLOSE_RANGE,
	FEATURE_LOGINUID,
	FEATURE_COMPAT,
	FEATURE_SHADOW_STACK,
	/* files, mounts */
	FEATURE_FDINFO_MNT_ID,
	FEATURE_FDINFO_LOCK,
	FEATURE_TIMERFD_TICKS,
	FEATURE_OPENAT2,
	FEATURE_MOVE_MOUNT_SET_GROUP,
	FEATURE_STATMOUNT,
	FEATURE_IPC_NEXT_ID,
	FEATURE_TUN,
	FEATURE_TUN_NS,
	FEATURE_AUTOFS,
	FEATURE_LSM_STACKING,
	/* namespaces */
	FEATURE_USERNS,
	FEATURE_TIMENS,
	FEATURE_CGROUPNS,
	FEATURE_NS_PID,
	/* sockets, network */
	FEATURE_UNIX_DIAG,
	FEATURE_INET_DIAG,
	FEATURE_PACKET_DIAG,
	FEATURE_NETLINK_DIAG,
	FEATURE_RAW_DIAG,
	FEATURE_TCP_REPAIR,
	FEATURE_SK_NS,
	FEATURE_SK_UNIX_FILE,
	FEATURE_SOCKOPT_BUF_LOCK,
	FEATURE_NSID,
	FEATURE_NFTABLES,
	FEATURE_IPTABLES_LEGACY,
	/* capabilities */
	FEATURE_CAP_SYS_ADMIN,
	FEATURE_CAP_CHECKPOINT_RESTORE,
	FEATURE_CAP_SYS_PTRACE,
	FEATURE_CAP_NET_ADMIN,
	FEATURE_CAP_IDENTITY, /* SETUID, SETGID, SETPCAP */
	FEATURE_CAP_SYS_RESOURCE,
	FEATURE_COUNT,
};

/* Who needs it: the man page's three categories of `check`. */
enum feature_need {
	FEATURE_BASE, /* no dump or no restore without it */
	FEATURE_EXTRA, /* needed by trees that use it, or for speed */
	FEATURE_EXPERIMENTAL, /* nothing rests on it yet */
};

struct kernel_features {
	uint64_t probed[2], present[2]; /* bit sets over enum kernel_feature */
	uint64_t uffd_features; /* UFFD_FEATURE_*, valid when FEATURE_USERFAULTFD is probed */
	uint64_t capabilities; /* our effective set, valid after kernel_features_init() */
	unsigned traced; /* what a traced child showed (feature_probes.h) */
	bool traced_probed;
};

struct feature_info {
	const char *name; /* as in `check --feature NAME` */
	const char *criu; /* the names that `criu check --feature` has for it, comma-separated */
	const char *purpose; /* what it is for, the tail of "needed for ..." */
	const char *lacking; /* what helps: a kernel version, a setting, a privilege */
	enum feature_need need;
	/* Returns whether it is there; may fill further members of `features`. */
	bool (*probe)(struct kernel_features *features, int arg);
	int arg;
};

/* The table: FEATURE_COUNT rows, indexed by enum kernel_feature. */
extern const struct feature_info feature_table[FEATURE_COUNT];

/* Nothing probed; only the capabilities are read. */
void kernel_features_init(struct kernel_features *features);
/* Probes those of the list that have not been. */
void kernel_features_probe(
	struct kernel_features *features, const enum kernel_feature *list, size_t count);
void kernel_features_probe_all(struct kernel_features *features);
/* What a dump, a restore look at in any case. */
void kernel_features_probe_for_dump(struct kernel_features *features);
void kernel_features_probe_for_restore(struct kernel_features *features);

/* Whether it is there. A feature that was not probed before is probed now, each time: put it into
 * the list of the command instead. */
bool kernel_has(const struct kernel_features *features, enum kernel_feature feature);

/* 0, or ERROR_KERNEL_LACKS with a sentence that says what lacks, what for, and what helps. */
int kernel_require(
	const struct kernel_features *features, enum kernel_feature feature, struct error *err);

/* Finds a row by its name or by CRIU's. Returns the feature or -1. */
int kernel_feature_by_name(const char *name);
