#include "kernel/features.h"

#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "kernel/feature_probes.h"
#include "kernel/uapi.h"

#define UFFD_NONCOOP                                                                     \
	(UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_UNMAP | \
		UFFD_FEATURE_EVENT_REMOVE)
#define DIAG(family, protocol) ((family) << 8 | (protocol))

/* Rows by hand-made columns: name, CRIU's names, purpose, what helps, need, probe, argument. */
#define BASE         FEATURE_BASE
#define EXTRA        FEATURE_EXTRA
#define EXPERIMENTAL FEATURE_EXPERIMENTAL
/* clang-format off */
const struct feature_info feature_table[FEATURE_COUNT] = {
[FEATURE_PAGEMAP] = {"pagemap", NULL,
	"finding the resident pages", "a kernel with CONFIG_PROC_PAGE_MONITOR",
	BASE, probe_pagemap, 0},
[FEATURE_MAP_FILES] = {"map_files", NULL,
	"opening mapped files that have been deleted or replaced",
	"CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN, and CONFIG_CHECKPOINT_RESTORE",
	BASE, probe_map_files, 0},
[FEATURE_PAGEMAP_SCAN] = {"pagemap_scan", "pagemap_scan",
	"finding resident pages in huge reservations fast", "Linux 6.7",
	EXTRA, probe_pagemap_scan, PAGE_IS_PRESENT | PAGE_IS_SWAPPED},
[FEATURE_PAGEMAP_SCAN_GUARD] = {"pagemap_scan_guard_pages", "pagemap_scan_guard_pages",
	"memory with guard markers (MADV_GUARD_INSTALL)", "Linux 6.15",
	EXTRA, probe_pagemap_scan, PAGE_IS_GUARD | PAGE_IS_PRESENT},
[FEATURE_PROCMAP_QUERY] = {"procmap_query", NULL,
	"looking up single areas without reading all of /proc/PID/maps", "Linux 6.11",
	EXTRA, probe_procmap_query, 0},
[FEATURE_SOFT_DIRTY] = {"soft_dirty", NULL,
	"tracking written pages with soft-dirty bits", "a kernel with CONFIG_MEM_SOFT_DIRTY",
	EXTRA, probe_soft_dirty, 0},
[FEATURE_USERFAULTFD] = {"uffd", "uffd",
	"restoring memory in bulk or on demand", "CONFIG_USERFAULTFD and CAP_SYS_PTRACE",
	EXTRA, probe_uffd, 0},
[FEATURE_UFFD_NONCOOP] = {"uffd-noncoop", "uffd-noncoop,lazy_pages",
	"restoring memory on demand (--lazy-pages)", "Linux 4.11 with CONFIG_USERFAULTFD",
	EXTRA, probe_uffd, UFFD_NONCOOP},
[FEATURE_UFFD_WP_ASYNC] = {"uffd_wp_async", NULL,
	"tracking written pages without soft-dirty bits", "Linux 6.7 with CONFIG_USERFAULTFD",
	EXTRA, probe_uffd, UFFD_FEATURE_WP_ASYNC},
[FEATURE_UFFD_MOVE] = {"uffd_move", NULL,
	"restoring huge pages in place", "Linux 6.8 with CONFIG_USERFAULTFD",
	EXTRA, probe_uffd, UFFD_FEATURE_MOVE},
[FEATURE_DIRTY_TRACK] = {"mem_dirty_track", "mem_dirty_track",
	"incremental dumps (pre-dump, --track-mem)", "CONFIG_MEM_SOFT_DIRTY, or Linux 6.7",
	EXTRA, probe_dirty_track, 0},
[FEATURE_AIO_REMAP] = {"aio_remap", "aio_remap",
	"tasks with asynchronous I/O contexts (io_setup)", "Linux 3.19 with CONFIG_AIO",
	EXTRA, probe_aio_remap, 0},
[FEATURE_MADV_GUARD] = {"madv_guards", "madv_guards",
	"memory with guard markers (MADV_GUARD_INSTALL)", "Linux 6.13",
	EXTRA, probe_madvise, MADV_GUARD_INSTALL},
[FEATURE_MADV_COLLAPSE] = {"madv_collapse", NULL,
	"making huge pages on request", "Linux 6.1 with CONFIG_TRANSPARENT_HUGEPAGE",
	EXTRA, probe_madvise, MADV_COLLAPSE},
[FEATURE_MADV_POPULATE] = {"madv_populate", NULL,
	"filling page tables ahead", "Linux 5.14",
	EXTRA, probe_madvise, MADV_POPULATE_WRITE},
[FEATURE_THP] = {"thp", NULL,
	"restoring MADV_HUGEPAGE and MADV_NOHUGEPAGE", "CONFIG_TRANSPARENT_HUGEPAGE",
	EXTRA, probe_madvise, MADV_HUGEPAGE},
[FEATURE_HUGETLB] = {"hugetlb", NULL,
	"mappings of huge pages", "CONFIG_HUGETLBFS",
	EXTRA, probe_path, PATH_HUGETLB},
[FEATURE_MSEAL] = {"mseal", NULL,
	"restoring sealed areas", "Linux 6.10 on a 64-bit machine",
	EXTRA, probe_mseal, 0},
[FEATURE_MEMFD] = {"memfd", "memfd",
	"shared memory", "CONFIG_MEMFD_CREATE",
	BASE, probe_memfd, 0},
[FEATURE_MEMFD_HUGETLB] = {"memfd_hugetlb", "memfd_hugetlb",
	"shared memory of huge pages", "Linux 4.14 with CONFIG_HUGETLBFS",
	EXTRA, probe_memfd, MFD_HUGETLB},
[FEATURE_MEMFD_EXEC] = {"memfd_exec", NULL,
	"executable shared memory, and starting puppets without a file",
	"sysctl vm.memfd_noexec=0 or 1",
	EXTRA, probe_memfd, MFD_EXEC},
[FEATURE_ANON_VMA_NAME] = {"anon_vma_name", NULL,
	"names of anonymous areas", "Linux 5.17 with CONFIG_ANON_VMA_NAME",
	EXTRA, probe_anon_vma_name, 0},
[FEATURE_VDSO_MAP] = {"can_map_vdso", "can_map_vdso",
	"mapping a vdso at a chosen place", "Linux 4.9 with CONFIG_CHECKPOINT_RESTORE",
	EXTRA, probe_arch_prctl, 0x2003},

[FEATURE_PTRACE] = {"ptrace", NULL,
	"stopping tasks", "a kernel, a container or a Yama setting that lets us trace",
	BASE, probe_traced, TRACED_SEIZE},
[FEATURE_SUSPEND_SECCOMP] = {"seccomp_suspend", "seccomp_suspend",
	"tasks with seccomp filters", "CAP_SYS_ADMIN, and CONFIG_CHECKPOINT_RESTORE",
	EXTRA, probe_traced, TRACED_SUSPEND_SECCOMP},
[FEATURE_SECCOMP_GET_FILTER] = {"seccomp_filters", "seccomp_filters",
	"tasks with seccomp filters", "CAP_SYS_ADMIN, and CONFIG_CHECKPOINT_RESTORE",
	EXTRA, probe_traced, TRACED_GET_FILTER},
[FEATURE_SECCOMP_METADATA] = {"seccomp_metadata", NULL,
	"flags of seccomp filters", "Linux 4.16",
	EXTRA, probe_traced, TRACED_METADATA},
[FEATURE_RSEQ_CONFIGURATION] = {"get_rseq_conf", "get_rseq_conf",
	"tasks with restartable sequences (every glibc program)", "Linux 5.13 with CONFIG_RSEQ",
	BASE, probe_traced, TRACED_RSEQ},
[FEATURE_SYSCALL_USER_DISPATCH] = {"syscall_user_dispatch", NULL,
	"tasks that dispatch their own system calls", "Linux 6.4",
	EXTRA, probe_traced, TRACED_USER_DISPATCH},
[FEATURE_SET_MM_MAP] = {"set_mm_map", NULL,
	"putting back the command line, environment and heap bounds",
	"CONFIG_CHECKPOINT_RESTORE",
	BASE, probe_set_mm_map, 0},
[FEATURE_TIMER_RESTORE_IDS] = {"timer_cr_ids", "timer_cr_ids",
	"giving POSIX timers their ids at once", "Linux 6.15",
	EXTRA, probe_timer_restore_ids, 0},
[FEATURE_PROC_TIMERS] = {"proc_timers", NULL,
	"tasks with POSIX timers", "CONFIG_POSIX_TIMERS and CONFIG_CHECKPOINT_RESTORE",
	BASE, probe_path, PATH_PROC_TIMERS},
[FEATURE_MEMBARRIER_REGISTRATIONS] = {"membarrier_get_registrations",
	"membarrier_get_registrations",
	"tasks that registered with membarrier(2)", "Linux 6.3",
	EXTRA, probe_membarrier, 0},
[FEATURE_CLONE3_SET_TID] = {"clone3_set_tid", "clone3_set_tid",
	"giving tasks their pids", "Linux 5.5",
	BASE, probe_clone3_set_tid, 0},
[FEATURE_NS_LAST_PID] = {"ns_last_pid", NULL,
	"giving tasks their pids where clone3 is not allowed to", "CONFIG_CHECKPOINT_RESTORE",
	EXTRA, probe_path, PATH_NS_LAST_PID},
[FEATURE_PIDFD_OPEN] = {"pidfd_open", NULL,
	"holding on to tasks whose pid may be used again", "Linux 5.3",
	BASE, probe_pidfd_open, 0},
[FEATURE_PIDFD_GETFD] = {"pidfd_getfd", "pidfd_store",
	"taking descriptors out of tasks", "Linux 5.6",
	BASE, probe_pidfd_getfd, 0},
[FEATURE_PIDFD_THREAD] = {"pidfd_thread", NULL,
	"holding on to threads", "Linux 6.9",
	EXTRA, probe_pidfd_open, PIDFD_THREAD},
[FEATURE_PIDFD_INFO] = {"pidfd_info", NULL,
	"pidfds among the files of a task", "Linux 6.13",
	EXTRA, probe_pidfd_info, 0},
[FEATURE_KCMP] = {"kcmp", NULL,
	"telling shared files and memory from copies", "CONFIG_KCMP",
	BASE, probe_kcmp, 0},
[FEATURE_KCMP_EPOLL] = {"kcmp_epoll", "kcmp_epoll",
	"epoll instances with descriptors that were closed", "Linux 4.13 with CONFIG_KCMP",
	EXTRA, probe_kcmp_epoll, 0},
[FEATURE_CLOSE_RANGE] = {"close_range", "close_range",
	"clearing the descriptors of puppets", "Linux 5.9",
	BASE, probe_close_range, 0},
[FEATURE_LOGINUID] = {"loginuid", "loginuid",
	"the audit identity of tasks", "CONFIG_AUDIT",
	EXTRA, probe_path, PATH_LOGINUID},
[FEATURE_COMPAT] = {"compat_cr", "compat_cr",
	"32-bit tasks", "CONFIG_IA32_EMULATION",
	EXTRA, probe_arch_prctl, 0x2002},
[FEATURE_SHADOW_STACK] = {"shstk", "shstk",
	"tasks with shadow stacks", "Linux 6.6 with CONFIG_X86_USER_SHADOW_STACK",
	EXTRA, probe_arch_prctl, 0x5005},

[FEATURE_FDINFO_MNT_ID] = {"mnt_id", "mnt_id",
	"finding the mount of an open file", "Linux 3.15",
	BASE, probe_fdinfo_mnt_id, 0},
[FEATURE_FDINFO_LOCK] = {"fdinfo_lock", "fdinfo_lock",
	"file locks (--file-locks)", "Linux 4.1",
	EXTRA, probe_fdinfo_lock, 0},
[FEATURE_TIMERFD_TICKS] = {"timerfd", "timerfd",
	"timer descriptors that have expired", "Linux 3.17 with CONFIG_CHECKPOINT_RESTORE",
	EXTRA, probe_timerfd_ticks, 0},
[FEATURE_OPENAT2] = {"openat2", "openat2",
	"opening files below the root of another mount namespace", "Linux 5.6",
	EXTRA, probe_openat2, 0},
[FEATURE_MOVE_MOUNT_SET_GROUP] = {"move_mount_set_group", "move_mount_set_group",
	"restoring mount propagation", "Linux 5.15 and CAP_SYS_ADMIN",
	EXTRA, probe_set_group, 0},
[FEATURE_STATMOUNT] = {"statmount", NULL,
	"reading mounts of other namespaces", "Linux 6.8",
	EXTRA, probe_statmount, 0},
[FEATURE_IPC_NEXT_ID] = {"ipc_next_id", NULL,
	"giving System V IPC objects their ids", "CONFIG_CHECKPOINT_RESTORE",
	EXTRA, probe_path, PATH_IPC_NEXT_ID},
[FEATURE_TUN] = {"tun", "tun",
	"tun and tap devices", "CONFIG_TUN, and /dev/net/tun",
	EXTRA, probe_tun, 0},
[FEATURE_TUN_NS] = {"tun_ns", "tun_ns",
	"tun and tap devices in network namespaces", "Linux 4.10 with CONFIG_TUN",
	EXTRA, probe_tun, 1},
[FEATURE_AUTOFS] = {"autofs", "autofs",
	"automount points", "CONFIG_AUTOFS_FS",
	EXTRA, probe_text, TEXT_AUTOFS},
[FEATURE_LSM_STACKING] = {"apparmor_stacking", "apparmor_stacking",
	"tasks with stacked AppArmor profiles", "AppArmor, with securityfs mounted",
	EXTRA, probe_text, TEXT_LSM_STACKING},

[FEATURE_USERNS] = {"userns", "userns",
	"trees with user namespaces", "CONFIG_USER_NS",
	EXTRA, probe_path, PATH_NS_USER},
[FEATURE_TIMENS] = {"timens", "timens",
	"clocks that go on where they stopped (time namespaces)", "Linux 5.6 with CONFIG_TIME_NS",
	EXTRA, probe_path, PATH_NS_TIME},
[FEATURE_CGROUPNS] = {"cgroupns", "cgroupns",
	"trees with cgroup namespaces", "CONFIG_CGROUPS",
	EXTRA, probe_path, PATH_NS_CGROUP},
[FEATURE_NS_PID] = {"ns_pid", "ns_pid",
	"trees with pid namespaces", "Linux 4.1",
	EXTRA, probe_text, TEXT_NSPID},

[FEATURE_UNIX_DIAG] = {"unix_diag", NULL,
	"unix sockets", "CONFIG_UNIX_DIAG",
	EXTRA, probe_diag, DIAG(AF_UNIX, 0)},
[FEATURE_INET_DIAG] = {"inet_diag", NULL,
	"TCP sockets", "CONFIG_INET_DIAG",
	EXTRA, probe_diag, DIAG(AF_INET, IPPROTO_TCP)},
[FEATURE_PACKET_DIAG] = {"packet_diag", NULL,
	"packet sockets", "CONFIG_PACKET_DIAG",
	EXTRA, probe_diag, DIAG(AF_PACKET, 0)},
[FEATURE_NETLINK_DIAG] = {"netlink_diag", NULL,
	"netlink sockets", "CONFIG_NETLINK_DIAG",
	EXTRA, probe_diag, DIAG(AF_NETLINK, 0xff)},
[FEATURE_RAW_DIAG] = {"net_diag_raw", "net_diag_raw",
	"raw sockets", "CONFIG_INET_RAW_DIAG",
	EXTRA, probe_diag, DIAG(AF_INET, IPPROTO_RAW)},
[FEATURE_TCP_REPAIR] = {"tcp_repair", "tcp_half_closed",
	"TCP connections (--tcp-established)", "CAP_NET_ADMIN",
	EXTRA, probe_tcp_repair, 0},
[FEATURE_SK_NS] = {"sk_ns", "sk_ns",
	"sockets of other network namespaces", "Linux 4.10 and CAP_NET_ADMIN",
	EXTRA, probe_sk_ns, 0},
[FEATURE_SK_UNIX_FILE] = {"sk_unix_file", "sk_unix_file",
	"unix sockets whose file was deleted", "Linux 4.7 and CAP_NET_ADMIN",
	EXTRA, probe_sk_unix_file, 0},
[FEATURE_SOCKOPT_BUF_LOCK] = {"sockopt_buf_lock", "sockopt_buf_lock",
	"sockets with buffers of a fixed size", "Linux 5.15",
	EXTRA, probe_buf_lock, 0},
[FEATURE_NSID] = {"nsid", "nsid,link_nsid",
	"devices that span network namespaces", "Linux 4.0 with CONFIG_NET_NS",
	EXTRA, probe_nsid, 0},
[FEATURE_NFTABLES] = {"nftables", "nftables,network_lock_nftables",
	"locking the network (--network-lock nftables)", "CONFIG_NF_TABLES and CAP_NET_ADMIN",
	EXTRA, probe_nftables, 0},
[FEATURE_IPTABLES_LEGACY] = {"has_ipt_legacy", "has_ipt_legacy",
	"iptables rules of trees with network namespaces", "CONFIG_IP_NF_IPTABLES_LEGACY",
	EXTRA, probe_path, PATH_IP_TABLES},

[FEATURE_CAP_SYS_ADMIN] = {"cap_sys_admin", NULL,
	"namespaces, mounts, seccomp filters", "running as root",
	EXTRA, probe_capability, CAP_SYS_ADMIN},
[FEATURE_CAP_CHECKPOINT_RESTORE] = {"cap_checkpoint_restore", NULL,
	"pids, memory maps, files behind mappings", "running as root or with CAP_CHECKPOINT_RESTORE",
	BASE, probe_capability, CAP_SYS_ADMIN << 8 | CAP_CHECKPOINT_RESTORE},
[FEATURE_CAP_SYS_PTRACE] = {"cap_sys_ptrace", NULL,
	"stopping tasks of other users", "running as root or with CAP_SYS_PTRACE",
	BASE, probe_capability, CAP_SYS_PTRACE},
[FEATURE_CAP_NET_ADMIN] = {"cap_net_admin", NULL,
	"TCP connections, network namespaces", "running as root or with CAP_NET_ADMIN",
	EXTRA, probe_capability, CAP_NET_ADMIN},
[FEATURE_CAP_IDENTITY] = {"cap_identity", NULL,
	"restoring users, groups and capabilities",
	"running as root or with CAP_SETUID, CAP_SETGID and CAP_SETPCAP",
	EXTRA, probe_identity, 0},
[FEATURE_CAP_SYS_RESOURCE] = {"cap_sys_resource", NULL,
	"raising limits and lowering oom_score_adj", "running with CAP_SYS_RESOURCE",
	EXTRA, probe_capability, CAP_SYS_RESOURCE},
};
/* clang-format on */

_Static_assert(FEATURE_COUNT <= 128, "the bit sets of struct kernel_features are too small");

static bool bit_get(const uint64_t *set, enum kernel_feature feature)
{
	return set[feature / 64] & (1ULL << (feature % 64));
}

static void bit_set(uint64_t *set, enum kernel_feature feature)
{
	set[feature / 64] |= 1ULL << (feature % 64);
}

void kernel_features_init(struct kernel_features *features)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {};

	*features = (struct kernel_features){};
	if (syscall(__NR_capget, &header, data) == 0)
		features->capabilities = data[0].effective | (uint64_t)data[1].effective << 32;
}

void kernel_features_probe(
	struct kernel_features *features, const enum kernel_feature *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct feature_info *info = &feature_table[list[i]];

		if (bit_get(features->probed, list[i]))
			continue;
		if (info->probe(features, info->arg))
			bit_set(features->present, list[i]);
		bit_set(features->probed, list[i]);
	}
}

void kernel_features_probe_all(struct kernel_features *features)
{
	for (enum kernel_feature feature = 0; feature < FEATURE_COUNT; feature++)
		kernel_features_probe(features, &feature, 1);
}

void kernel_features_probe_for_dump(struct kernel_features *features)
{
	static const enum kernel_feature list[] = {
		FEATURE_PAGEMAP_SCAN,
		FEATURE_PAGEMAP_SCAN_GUARD,
		FEATURE_PIDFD_GETFD,
		FEATURE_PIDFD_THREAD,
		FEATURE_KCMP,
		FEATURE_MEMBARRIER_REGISTRATIONS,
		FEATURE_CAP_CHECKPOINT_RESTORE,
		FEATURE_CAP_SYS_PTRACE,
		FEATURE_CAP_SYS_RESOURCE,
	};

	kernel_features_probe(features, list, ARRAY_SIZE(list));
}

void kernel_features_probe_for_restore(struct kernel_features *features)
{
	static const enum kernel_feature list[] = {
		FEATURE_CLONE3_SET_TID,
		FEATURE_PIDFD_GETFD,
		FEATURE_SET_MM_MAP,
		FEATURE_TIMER_RESTORE_IDS,
		FEATURE_MEMFD_EXEC,
		FEATURE_MADV_GUARD,
		FEATURE_MSEAL,
		FEATURE_USERFAULTFD,
		FEATURE_CAP_CHECKPOINT_RESTORE,
		FEATURE_CAP_SYS_PTRACE,
		FEATURE_CAP_SYS_RESOURCE,
	};

	kernel_features_probe(features, list, ARRAY_SIZE(list));
}

bool kernel_has(const struct kernel_features *features, enum kernel_feature feature)
{
	struct kernel_features copy;

	if (bit_get(features->probed, feature))
		return bit_get(features->present, feature);
	copy = *features;
	kernel_features_probe(&copy, &feature, 1);
	return bit_get(copy.present, feature);
}

int kernel_require(
	const struct kernel_features *features, enum kernel_feature feature, struct error *err)
{
	const struct feature_info *info = &feature_table[feature];
	int rc;

	if (kernel_has(features, feature))
		return 0;
	rc = error_refuse(err, ERROR_KERNEL_LACKS, "%s is missing, which is needed for %s",
		info->name, info->purpose);
	error_hint(err, "this takes %s", info->lacking);
	error_about_object(err, "%s", info->name);
	return rc;
}

/* Whether `name` is one of the comma-separated names. */
static bool names_have(const char *names, const char *name)
{
	size_t length = strlen(name);

	while (names) {
		if (!strncmp(names, name, length) && (names[length] == ',' || !names[length]))
			return true;
		names = strchr(names, ',');
		names += names ? 1 : 0;
	}
	return false;
}

int kernel_feature_by_name(const char *name)
{
	for (int i = 0; i < FEATURE_COUNT; i++)
		if (streq(feature_table[i].name, name) || names_have(feature_table[i].criu, name))
			return i;
	return -1;
}
