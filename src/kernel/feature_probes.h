#pragma once
/* The probes behind the rows of kernel/features.c: one question to the kernel each. Nothing but
 * that table calls them. Each returns whether the feature is there and leaves no trace. */
#include "kernel/features.h"

/* What a traced child can show: bits of kernel_features.traced, and arguments of probe_traced(). */
enum {
	TRACED_SEIZE = 1 << 0,
	TRACED_SUSPEND_SECCOMP = 1 << 1,
	TRACED_GET_FILTER = 1 << 2,
	TRACED_METADATA = 1 << 3,
	TRACED_RSEQ = 1 << 4,
	TRACED_USER_DISPATCH = 1 << 5,
};

bool probe_pagemap(struct kernel_features *f, int arg);
bool probe_map_files(struct kernel_features *f, int arg);
bool probe_pagemap_scan(struct kernel_features *f, int categories);
bool probe_procmap_query(struct kernel_features *f, int arg);
bool probe_soft_dirty(struct kernel_features *f, int arg);
bool probe_uffd(struct kernel_features *f, int features);
bool probe_dirty_track(struct kernel_features *f, int arg);
bool probe_aio_remap(struct kernel_features *f, int arg);
bool probe_madvise(struct kernel_features *f, int advice);
bool probe_mseal(struct kernel_features *f, int arg);
bool probe_memfd(struct kernel_features *f, int flags);
bool probe_anon_vma_name(struct kernel_features *f, int arg);
bool probe_arch_prctl(struct kernel_features *f, int code);

bool probe_traced(struct kernel_features *f, int bit);
bool probe_set_mm_map(struct kernel_features *f, int arg);
bool probe_timer_restore_ids(struct kernel_features *f, int arg);
bool probe_membarrier(struct kernel_features *f, int arg);
bool probe_clone3_set_tid(struct kernel_features *f, int arg);
bool probe_pidfd_open(struct kernel_features *f, int flags);
bool probe_pidfd_getfd(struct kernel_features *f, int arg);
bool probe_pidfd_info(struct kernel_features *f, int arg);
bool probe_kcmp(struct kernel_features *f, int arg);
bool probe_kcmp_epoll(struct kernel_features *f, int arg);
bool probe_close_range(struct kernel_features *f, int arg);

/* The path that feature_paths[index] names can be accessed. */
enum feature_path {
	PATH_HUGETLB,
	PATH_NS_LAST_PID,
	PATH_PROC_TIMERS,
	PATH_LOGINUID,
	PATH_IPC_NEXT_ID,
	PATH_NS_USER,
	PATH_NS_TIME,
	PATH_NS_CGROUP,
	PATH_IP_TABLES,
};
bool probe_path(struct kernel_features *f, int path);
/* The file that the index names holds the word. */
enum feature_text {
	TEXT_NSPID,
	TEXT_AUTOFS,
	TEXT_LSM_STACKING,
};
bool probe_text(struct kernel_features *f, int text);
bool probe_fdinfo_mnt_id(struct kernel_features *f, int arg);
bool probe_fdinfo_lock(struct kernel_features *f, int arg);
bool probe_timerfd_ticks(struct kernel_features *f, int arg);
bool probe_openat2(struct kernel_features *f, int arg);
bool probe_set_group(struct kernel_features *f, int arg);
bool probe_statmount(struct kernel_features *f, int arg);
bool probe_tun(struct kernel_features *f, int want_ns);
/* Answers a sock_diag dump of the family; arg is family << 8 | protocol. */
bool probe_diag(struct kernel_features *f, int arg);
bool probe_tcp_repair(struct kernel_features *f, int arg);
bool probe_sk_ns(struct kernel_features *f, int arg);
bool probe_sk_unix_file(struct kernel_features *f, int arg);
bool probe_buf_lock(struct kernel_features *f, int arg);
bool probe_nsid(struct kernel_features *f, int arg);
bool probe_nftables(struct kernel_features *f, int arg);
/* Our effective set has the capability; any of two when arg is first << 8 | second. */
bool probe_capability(struct kernel_features *f, int arg);
bool probe_identity(struct kernel_features *f, int arg);
