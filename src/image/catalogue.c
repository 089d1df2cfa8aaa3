/*
 * The table of all images. A row is all there is to adding one.
 *
 * Names and magics are the format's (docs/images.md); the names of magics are the ones that crit
 * prints, because scripts look for them. pages-%d.img with a magic, the form of CRIU before
 * pagemaps, is not here: its name is that of IMAGE_PAGES and no CRIU since 2013 has written it.
 */
#include "image/catalogue.h"

#include <inttypes.h>

#include "file.pb-c.h"
#include "inventory.pb-c.h"
#include "ipc.pb-c.h"
#include "memory.pb-c.h"
#include "namespace.pb-c.h"
#include "socket.pb-c.h"
#include "task.pb-c.h"
#include "tty.pb-c.h"

/* clang-format off */
#define ENTRY(file, crit_name, number, message, ...)                                               \
	{.name = (file), .magic_name = (crit_name), .magic = (number),                             \
	 .first = &message##__descriptor, ##__VA_ARGS__}
#define RAW(file) {.name = (file)}

static const struct image_info catalogue[IMAGE_TYPE_COUNT] = {
	[IMAGE_INVENTORY] = ENTRY("inventory.img", "INVENTORY", 0x58313116, inventory_entry),
	[IMAGE_PSTREE] = ENTRY("pstree.img", "PSTREE", 0x50273030, pstree_entry),
	[IMAGE_CORE] = ENTRY("core-%u.img", "CORE", 0x55053847, core_entry),
	[IMAGE_IDS] = ENTRY("ids-%u.img", "IDS", 0x54432030, task_kobj_ids_entry),
	[IMAGE_MM] = ENTRY("mm-%u.img", "MM", 0x57492820, mm_entry),
	[IMAGE_PAGEMAP] = ENTRY("pagemap-%u.img", "PAGEMAP", 0x56084025, pagemap_head,
		.rest = &pagemap_entry__descriptor),
	[IMAGE_PAGEMAP_SHMEM] = ENTRY("pagemap-shmem-%u.img", "PAGEMAP", 0x56084025, pagemap_head,
		.rest = &pagemap_entry__descriptor),
	[IMAGE_PAGES] = RAW("pages-%u.img"),
	[IMAGE_FS] = ENTRY("fs-%u.img", "FS", 0x51403912, fs_entry),
	[IMAGE_FILES] = ENTRY("files.img", "FILES", 0x56303138, file_entry),
	[IMAGE_FDINFO] = ENTRY("fdinfo-%u.img", "FDINFO", 0x56213732, fdinfo_entry),
	[IMAGE_REMAP_FPATH] = ENTRY("remap-fpath.img", "REMAP_FPATH", 0x59133954,
		remap_file_path_entry),
	[IMAGE_GHOST_FILE] = ENTRY("ghost-file-%x.img", "GHOST_FILE", 0x52583605, ghost_file_entry,
		.rest = &ghost_chunk_entry__descriptor, .extra = EXTRA_GHOST),
	[IMAGE_PIPES_DATA] = ENTRY("pipes-data.img", "PIPES_DATA", 0x56453709, pipe_data_entry,
		.extra = EXTRA_PIPE_DATA),
	[IMAGE_FIFO_DATA] = ENTRY("fifo-data.img", "FIFO_DATA", 0x59333054, pipe_data_entry,
		.extra = EXTRA_PIPE_DATA),
	[IMAGE_SECCOMP] = ENTRY("seccomp.img", "SECCOMP", 0x64413049, seccomp_entry),
	[IMAGE_MEMFD_INODE] = ENTRY("memfd.img", "MEMFD_INODE", 0x48453499, memfd_inode_entry),
	[IMAGE_TIMENS] = ENTRY("timens-%u.img", "TIMENS", 0x43114433, timens_entry),
	[IMAGE_STATS_DUMP] = ENTRY("stats-dump", "STATS", 0x57093306, stats_entry, .service = true),
	[IMAGE_STATS_RESTORE] = ENTRY("stats-restore", "STATS", 0x57093306, stats_entry,
		.service = true),
	[IMAGE_REG_FILES] = ENTRY("reg-files.img", "REG_FILES", 0x50363636, reg_file_entry),
	[IMAGE_EXT_FILES] = ENTRY("ext-files.img", "EXT_FILES", 0x59255641, ext_file_entry),
	[IMAGE_NS_FILES] = ENTRY("ns-files.img", "NS_FILES", 0x61394011, ns_file_entry),
	[IMAGE_EVENTFD] = ENTRY("eventfd.img", "EVENTFD_FILE", 0x44523722, eventfd_file_entry),
	[IMAGE_EVENTPOLL] = ENTRY("eventpoll.img", "EVENTPOLL_FILE", 0x45023858,
		eventpoll_file_entry),
	[IMAGE_EVENTPOLL_TFD] = ENTRY("eventpoll-tfd.img", "EVENTPOLL_TFD", 0x44433746,
		eventpoll_tfd_entry),
	[IMAGE_SIGNALFD] = ENTRY("signalfd.img", "SIGNALFD", 0x57323820, signalfd_entry),
	[IMAGE_INOTIFY] = ENTRY("inotify.img", "INOTIFY_FILE", 0x48424431, inotify_file_entry),
	[IMAGE_INOTIFY_WD] = ENTRY("inotify-wd.img", "INOTIFY_WD", 0x54562009, inotify_wd_entry),
	[IMAGE_FANOTIFY] = ENTRY("fanotify.img", "FANOTIFY_FILE", 0x55096122, fanotify_file_entry),
	[IMAGE_FANOTIFY_MARK] = ENTRY("fanotify-mark.img", "FANOTIFY_MARK", 0x56506035,
		fanotify_mark_entry),
	[IMAGE_VMAS] = ENTRY("vmas-%u.img", "VMAS", 0x54123737, vma_entry),
	[IMAGE_PIPES] = ENTRY("pipes.img", "PIPES", 0x56513555, pipe_entry),
	[IMAGE_FIFO] = ENTRY("fifo.img", "FIFO", 0x58364939, fifo_entry),
	[IMAGE_SIGACTS] = ENTRY("sigacts-%u.img", "SIGACT", 0x55344201, sa_entry),
	[IMAGE_UNIXSK] = ENTRY("unixsk.img", "UNIXSK", 0x54373943, unix_sk_entry),
	[IMAGE_INETSK] = ENTRY("inetsk.img", "INETSK", 0x56443851, inet_sk_entry),
	[IMAGE_PACKETSK] = ENTRY("packetsk.img", "PACKETSK", 0x60454618, packet_sock_entry),
	[IMAGE_NETLINKSK] = ENTRY("netlinksk.img", "NETLINK_SK", 0x58005614, netlink_sk_entry),
	[IMAGE_SK_QUEUES] = ENTRY("sk-queues.img", "SK_QUEUES", 0x56264026, sk_packet_entry,
		.extra = EXTRA_SK_QUEUES),
	[IMAGE_ITIMERS] = ENTRY("itimers-%u.img", "ITIMERS", 0x57464056, itimer_entry),
	[IMAGE_POSIX_TIMERS] = ENTRY("posix-timers-%u.img", "POSIX_TIMERS", 0x52603957,
		posix_timer_entry),
	[IMAGE_CREDS] = ENTRY("creds-%u.img", "CREDS", 0x54023547, creds_entry),
	[IMAGE_UTSNS] = ENTRY("utsns-%u.img", "UTSNS", 0x54473203, utsns_entry),
	[IMAGE_IPCNS_VAR] = ENTRY("ipcns-var-%u.img", "IPC_VAR", 0x53115007, ipc_var_entry),
	[IMAGE_IPCNS_SHM] = ENTRY("ipcns-shm-%u.img", "IPCNS_SHM", 0x46283044, ipc_shm_entry,
		.extra = EXTRA_IPC_SHM),
	[IMAGE_IPCNS_MSG] = ENTRY("ipcns-msg-%u.img", "IPCNS_MSG", 0x55453737, ipc_msg_entry,
		.extra = EXTRA_IPC_MSG),
	[IMAGE_IPCNS_SEM] = ENTRY("ipcns-sem-%u.img", "IPCNS_SEM", 0x59573019, ipc_sem_entry,
		.extra = EXTRA_IPC_SEM),
	[IMAGE_TCP_STREAM] = ENTRY("tcp-stream-%x.img", "TCP_STREAM", 0x51465506, tcp_stream_entry,
		.extra = EXTRA_TCP_STREAM),
	[IMAGE_MOUNTPOINTS] = ENTRY("mountpoints-%u.img", "MNTS", 0x55563928, mnt_entry),
	[IMAGE_NETDEV] = ENTRY("netdev-%u.img", "NETDEV", 0x57373951, net_device_entry),
	[IMAGE_NETNS] = ENTRY("netns-%u.img", "NETNS", 0x55933752, netns_entry),
	[IMAGE_IFADDR] = RAW("ifaddr-%u.img"),
	[IMAGE_ROUTE] = RAW("route-%u.img"),
	[IMAGE_ROUTE6] = RAW("route6-%u.img"),
	[IMAGE_RULE] = RAW("rule-%u.img"),
	[IMAGE_IPTABLES] = RAW("iptables-%u.img"),
	[IMAGE_IP6TABLES] = RAW("ip6tables-%u.img"),
	[IMAGE_NFTABLES] = RAW("nftables-%u.img"),
	[IMAGE_TMPFS] = RAW("tmpfs-%u.tar.gz.img"),
	[IMAGE_TMPFS_DEV] = RAW("tmpfs-dev-%u.tar.gz.img"),
	[IMAGE_AUTOFS] = ENTRY("autofs-%u.img", "AUTOFS", 0x49353943, autofs_entry),
	[IMAGE_BINFMT_MISC_OLD] = ENTRY("binfmt-misc-%u.img", "BINFMT_MISC", 0x67343323,
		binfmt_misc_entry),
	[IMAGE_BINFMT_MISC] = ENTRY("binfmt-misc.img", "BINFMT_MISC", 0x67343323,
		binfmt_misc_entry),
	[IMAGE_TTY] = ENTRY("tty.img", "TTY_FILES", 0x59433025, tty_file_entry),
	[IMAGE_TTY_INFO] = ENTRY("tty-info.img", "TTY_INFO", 0x59453036, tty_info_entry),
	[IMAGE_TTY_DATA] = ENTRY("tty-data.img", "TTY_DATA", 0x59413026, tty_data_entry),
	[IMAGE_FILELOCKS] = ENTRY("filelocks.img", "FILE_LOCKS", 0x54323616, file_lock_entry),
	[IMAGE_RLIMIT] = ENTRY("rlimit-%u.img", "RLIMIT", 0x57113925, rlimit_entry),
	[IMAGE_PAGES_SHMEM] = RAW("pages-shmem-%u.img"),
	[IMAGE_SIGNAL_S] = ENTRY("signal-s-%u.img", "SIGNAL", 0x59255647, siginfo_entry),
	[IMAGE_SIGNAL_P] = ENTRY("signal-p-%u.img", "SIGNAL", 0x59255647, siginfo_entry),
	[IMAGE_TUNFILE] = ENTRY("tunfile.img", "TUNFILE", 0x57143751, tunfile_entry),
	[IMAGE_CGROUP] = ENTRY("cgroup.img", "CGROUP", 0x59383330, cgroup_entry),
	[IMAGE_TIMERFD] = ENTRY("timerfd.img", "TIMERFD", 0x50493712, timerfd_entry),
	[IMAGE_CPUINFO] = ENTRY("cpuinfo.img", "CPUINFO", 0x61404013, cpuinfo_entry),
	[IMAGE_USERNS] = ENTRY("userns-%u.img", "USERNS", 0x55474906, userns_entry),
	[IMAGE_NETNS_CT] = RAW("netns-ct-%u.img"),
	[IMAGE_NETNS_EXP] = RAW("netns-exp-%u.img"),
	[IMAGE_PIDNS] = ENTRY("pidns-%u.img", "PIDNS", 0x61157326, pidns_entry),
	[IMAGE_BPFMAP_FILE] = ENTRY("bpfmap-file.img", "BPFMAP_FILE", 0x57506142,
		bpfmap_file_entry),
	[IMAGE_BPFMAP_DATA] = ENTRY("bpfmap-data.img", "BPFMAP_DATA", 0x64324033,
		bpfmap_data_entry, .extra = EXTRA_BPFMAP_DATA),
	[IMAGE_APPARMOR] = ENTRY("apparmor.img", "APPARMOR", 0x59423047, apparmor_entry),
	[IMAGE_PIDFD] = ENTRY("pidfd.img", "PIDFD", 0x54435556, pidfd_entry),
	[IMAGE_IRMAP_CACHE] = ENTRY("irmap-cache", "IRMAP_CACHE", 0x57004059, irmap_cache_entry,
		.service = true),
};
/* clang-format on */

const struct image_info *image_info(enum image_type type)
{
	return &catalogue[type];
}

void image_format_name(enum image_type type, uint64_t id, char ret_name[IMAGE_NAME_MAX])
{
	const char *pattern = catalogue[type].name;
	const char *conversion = strchr(pattern, '%');

	if (!conversion)
		snprintf(ret_name, IMAGE_NAME_MAX, "%s", pattern);
	else
		snprintf(ret_name, IMAGE_NAME_MAX,
			conversion[1] == 'x' ? "%.*s%" PRIx64 "%s" : "%.*s%" PRIu64 "%s",
			(int)(conversion - pattern), pattern, id, conversion + 2);
}

static bool name_matches(const char *name, enum image_type type, uint64_t *ret_id)
{
	const char *pattern = catalogue[type].name;
	const char *conversion = strchr(pattern, '%');
	char canonical[IMAGE_NAME_MAX];
	char *end;

	if (!conversion) {
		*ret_id = 0;
		return streq(name, pattern);
	}
	if (strncmp(name, pattern, (size_t)(conversion - pattern)) != 0)
		return false;
	name += conversion - pattern;
	if (!strchr("0123456789abcdef", *name) || !*name)
		return false;
	errno = 0;
	*ret_id = strtoull(name, &end, conversion[1] == 'x' ? 16 : 10);
	if (errno || !streq(end, conversion + 2))
		return false;
	/* "core-007.img" is somebody's copy, not ours. */
	image_format_name(type, *ret_id, canonical);
	return streq(canonical + (conversion - pattern), name);
}

bool image_type_of_name(const char *name, enum image_type *ret_type, uint64_t *ret_id)
{
	for (size_t type = 0; type < ARRAY_SIZE(catalogue); type++) {
		uint64_t id;

		/* Most rows differ in the first letter already. */
		if (catalogue[type].name[0] != name[0] || !name_matches(name, type, &id))
			continue;
		*ret_type = type;
		*ret_id = id;
		return true;
	}
	return false;
}
