/* Probes for files, mounts, namespaces and sockets. See feature_probes.c for how they ask. */
#include "kernel/feature_probes.h"

#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/if_tun.h>
#include <linux/net_namespace.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "base/io.h"
#include "kernel/uapi.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72 /* 5.15 */
#endif
#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE 0x89E0 /* SIOCPROTOPRIVATE, 4.7 */
#endif
#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif
#ifndef MOVE_MOUNT_SET_GROUP
#define MOVE_MOUNT_SET_GROUP 0x00000100 /* 5.15 */
#endif

bool probe_path(struct kernel_features *f _unused_, int path)
{
	static const struct {
		const char *path;
		int mode;
	} paths[] = {
		[PATH_HUGETLB] = {"/sys/kernel/mm/hugepages", R_OK},
		[PATH_NS_LAST_PID] = {"/proc/sys/kernel/ns_last_pid", W_OK},
		[PATH_PROC_TIMERS] = {"/proc/self/timers", R_OK},
		[PATH_LOGINUID] = {"/proc/self/loginuid", R_OK},
		[PATH_IPC_NEXT_ID] = {"/proc/sys/kernel/shm_next_id", W_OK},
		[PATH_NS_USER] = {"/proc/self/ns/user", F_OK},
		[PATH_NS_TIME] = {"/proc/self/ns/time", F_OK},
		[PATH_NS_CGROUP] = {"/proc/self/ns/cgroup", F_OK},
		[PATH_IP_TABLES] = {"/proc/net/ip_tables_names", R_OK},
	};

	return access(paths[path].path, paths[path].mode) == 0;
}

static bool file_has(const char *path, const char *word)
{
	_cleanup_(free_ptr) char *text = NULL;
	size_t size;

	return read_text_file(AT_FDCWD, path, &text, &size) == 0 && strstr(text, word);
}

bool probe_text(struct kernel_features *f _unused_, int text)
{
	static const struct {
		const char *path, *word;
	} texts[] = {
		[TEXT_NSPID] = {"/proc/self/status", "\nNSpid:"},
		[TEXT_AUTOFS] = {"/proc/filesystems", "\tautofs\n"},
		[TEXT_LSM_STACKING] = {"/sys/kernel/security/apparmor/features/domain/stack",
			"yes"},
	};

	return file_has(texts[text].path, texts[text].word);
}

static bool fdinfo_has(int fd, const char *word)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return file_has(path, word);
}

bool probe_fdinfo_mnt_id(struct kernel_features *f _unused_, int arg _unused_)
{
	_cleanup_(close_fd) int fd = open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY);

	return fd >= 0 && fdinfo_has(fd, "mnt_id:");
}

/* Since 4.1. The lock is on a file that only we have. */
bool probe_fdinfo_lock(struct kernel_features *f _unused_, int arg _unused_)
{
	_cleanup_(close_fd) int fd = memfd_create("stasis-probe", MFD_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fdinfo_has(fd, "lock:");
}

bool probe_timerfd_ticks(struct kernel_features *f _unused_, int arg _unused_)
{
	_cleanup_(close_fd) int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	uint64_t ticks = 1;

	return fd >= 0 && ioctl(fd, TFD_IOC_SET_TICKS, &ticks) == 0;
}

bool probe_openat2(struct kernel_features *f _unused_, int arg _unused_)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	int fd = (int)syscall(__NR_openat2, AT_FDCWD, "/", &how, sizeof(how));

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Flags are looked at first: EINVAL when unknown (before 5.15), then the bad descriptors: EBADF. */
bool probe_set_group(struct kernel_features *f _unused_, int arg _unused_)
{
	return syscall(__NR_move_mount, -1, "x", -1, "x", MOVE_MOUNT_SET_GROUP) < 0 &&
	       errno == EBADF;
}

bool probe_statmount(struct kernel_features *f _unused_, int arg _unused_)
{
	return syscall(__NR_statmount, NULL, NULL, 0, 0) < 0 && errno != ENOSYS;
}

/* A descriptor of /dev/net/tun that no device is attached to yet knows its network namespace. */
bool probe_tun(struct kernel_features *f _unused_, int want_ns)
{
	_cleanup_(close_fd) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int ns;

	if (fd < 0 || !want_ns)
		return fd >= 0;
	ns = ioctl(fd, SIOCGSKNS);
	if (ns >= 0)
		close(ns);
	return ns >= 0;
}

/* Sends one netlink message and tells the kernel's first answer: 0 when it has one, or -errno. */
static int netlink_ask(int protocol, struct nlmsghdr *message)
{
	_cleanup_(close_fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct timeval patience = {.tv_sec = 1};
	union {
		struct nlmsghdr header;
		char bytes[8192];
	} answer = {};
	ssize_t size;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (sendto(fd, message, message->nlmsg_len, 0, (void *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	size = recv(fd, &answer, sizeof(answer), 0);
	if (size < (ssize_t)(sizeof(answer.header) + sizeof(int)))
		return size < 0 ? -errno : -EPROTO;
	/* NLMSG_DONE of a dump that failed carries the error as NLMSG_ERROR does. */
	if (answer.header.nlmsg_type == NLMSG_ERROR || answer.header.nlmsg_type == NLMSG_DONE)
		return *(int *)NLMSG_DATA(&answer.header);
	return 0;
}

bool probe_diag(struct kernel_features *f _unused_, int arg)
{
	/* The largest of the families' requests; all start with the family. No state is asked for,
	 * so that no list of sockets is made. */
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} message = {
		.header = {.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_len = sizeof(message)},
		.request = {.sdiag_family = (uint8_t)(arg >> 8), .sdiag_protocol = (uint8_t)arg},
	};

	return netlink_ask(NETLINK_SOCK_DIAG, &message.header) == 0;
}

bool probe_tcp_repair(struct kernel_features *f _unused_, int arg _unused_)
{
	_cleanup_(close_fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	int on = 1;

	return fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) == 0;
}

bool probe_sk_ns(struct kernel_features *f _unused_, int arg _unused_)
{
	_cleanup_(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ns = fd < 0 ? -1 : ioctl(fd, SIOCGSKNS);

	if (ns >= 0)
		close(ns);
	return ns >= 0;
}

/* A socket without a name has no file: ENOENT. */
bool probe_sk_unix_file(struct kernel_features *f _unused_, int arg _unused_)
{
	_cleanup_(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && ioctl(fd, SIOCUNIXFILE) < 0 && errno == ENOENT;
}

bool probe_buf_lock(struct kernel_features *f _unused_, int arg _unused_)
{
	_cleanup_(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int value;
	socklen_t size = sizeof(value);

	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &value, &size) == 0;
}

bool probe_nsid(struct kernel_features *f _unused_, int arg _unused_)
{
	struct {
		struct nlmsghdr header;
		struct rtgenmsg request;
		struct rtattr attribute __attribute__((aligned(4)));
		uint32_t pid;
	} message = {
		.header = {.nlmsg_type = RTM_GETNSID,
			.nlmsg_flags = NLM_F_REQUEST,
			.nlmsg_len = sizeof(message)},
		.attribute = {.rta_type = NETNSA_PID, .rta_len = RTA_LENGTH(4)},
		.pid = (uint32_t)getpid(),
	};

	return netlink_ask(NETLINK_ROUTE, &message.header) == 0;
}

bool probe_nftables(struct kernel_features *f _unused_, int arg _unused_)
{
	struct {
		struct nlmsghdr header;
		struct nfgenmsg request;
	} message = {
		.header = {.nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN,
			.nlmsg_flags = NLM_F_REQUEST,
			.nlmsg_len = sizeof(message)},
		.request = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0},
	};

	return netlink_ask(NETLINK_NETFILTER, &message.header) == 0;
}
