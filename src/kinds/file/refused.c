/*
 * Kinds of open file that this version cannot carry, each with its place in the house: a row leaves
 * here when its file in this room (or in kinds/socket, kinds/ns) is written.
 *
 * Anonymous inodes are told apart by the link in /proc/PID/fd, everything else by the file type.
 */
#include <sys/sysmacros.h>

#include "kinds/file/state.h"

struct refused_kind {
	const char *link; /* what the link begins with; NULL: any */
	mode_t type; /* S_IFMT bits; 0: any */
	unsigned device_major; /* of a device; 0: any */
	const char *name; /* "an eventfd" */
	const char *hint;
};

#define NEXT_VERSION \
	"sockets and event descriptors come next: let the task close it before the dump"
#define LET_CLOSE "let the task close it before the dump"

static const struct refused_kind refused_kinds[] = {
	/* kinds/socket/: unix, inet, tcp, netlink, packet */
	{"socket:[", 0, 0, "a socket", NEXT_VERSION},
	/* kinds/file/ */
	{"anon_inode:[eventfd]", 0, 0, "an eventfd", NEXT_VERSION},
	{"anon_inode:[eventpoll]", 0, 0, "an epoll descriptor", NEXT_VERSION},
	{"anon_inode:[signalfd]", 0, 0, "a signalfd", NEXT_VERSION},
	{"anon_inode:[timerfd]", 0, 0, "a timerfd", NEXT_VERSION},
	{"anon_inode:inotify", 0, 0, "an inotify descriptor", NEXT_VERSION},
	{"anon_inode:[fanotify]", 0, 0, "a fanotify descriptor", NEXT_VERSION},
	{"anon_inode:[pidfd]", 0, 0, "a pidfd", NEXT_VERSION},
	{"pidfd:[", 0, 0, "a pidfd", NEXT_VERSION}, /* since 6.9, on pidfs */
	{"/memfd:", S_IFREG, 0, "a memfd", NEXT_VERSION},
	{"anon_inode:[userfaultfd]", 0, 0, "a userfaultfd",
		"its holder reacts to page faults: " LET_CLOSE},
	{"anon_inode:[io_uring]", 0, 0, "an io_uring ring",
		"the kernel cannot tell what is in flight in it: " LET_CLOSE},
	{"anon_inode:[perf_event]", 0, 0, "a perf event", "stop the profiler before the dump"},
	{"anon_inode:bpf-", 0, 0, "a BPF object", LET_CLOSE},
	{"anon_inode:bpf_", 0, 0, "a BPF object", LET_CLOSE},
	{"anon_inode:btf", 0, 0, "a BPF object", LET_CLOSE},
	{"anon_inode:seccomp notify", 0, 0, "a seccomp listener",
		"it supervises other tasks: " LET_CLOSE},
	{"anon_inode:landlock-ruleset", 0, 0, "a landlock ruleset", LET_CLOSE},
	{"anon_inode:kvm", 0, 0, "a KVM virtual machine", "use the hypervisor's own snapshots"},
	{"anon_inode:[vfio", 0, 0, "a VFIO device", LET_CLOSE},
	{"anon_inode:dma_fence", 0, 0, "a DMA fence", LET_CLOSE},
	{"anon_inode:sync_file", 0, 0, "a DMA fence", LET_CLOSE},
	{"/dmabuf:", 0, 0, "a DMA buffer", LET_CLOSE},
	{"anon_inode:[fscontext]", 0, 0, "a mount in the making", LET_CLOSE},
	{"anon_inode:[fsmount]", 0, 0, "a mount in the making", LET_CLOSE},
	/* kinds/ns/ */
	{"mnt:[", 0, 0, "a mount namespace", NEXT_VERSION},
	{"net:[", 0, 0, "a network namespace", NEXT_VERSION},
	{"pid:[", 0, 0, "a pid namespace", NEXT_VERSION},
	{"user:[", 0, 0, "a user namespace", NEXT_VERSION},
	{"ipc:[", 0, 0, "an IPC namespace", NEXT_VERSION},
	{"uts:[", 0, 0, "a UTS namespace", NEXT_VERSION},
	{"cgroup:[", 0, 0, "a cgroup namespace", NEXT_VERSION},
	{"time:[", 0, 0, "a time namespace", NEXT_VERSION},
	/* kinds/file/tty.c, and devices with a state of their own */
	{NULL, S_IFCHR, 4, "a terminal",
		"start the tree without a terminal: setsid CMD </dev/null"},
	{NULL, S_IFCHR, 5, "a terminal",
		"start the tree without a terminal: setsid CMD </dev/null"},
	{NULL, S_IFCHR, 136, "a terminal (pty)",
		"start the tree without a terminal: setsid CMD </dev/null >log 2>&1"},
	{"/dev/net/tun", S_IFCHR, 10, "a TUN or TAP interface", NEXT_VERSION},
	{"/dev/kvm", S_IFCHR, 10, "KVM", "use the hypervisor's own snapshots"},
	{"/dev/fuse", S_IFCHR, 10, "a FUSE connection", "its filesystem is served by the tree"},
	{"/dev/vhost", S_IFCHR, 10, "a vhost device", LET_CLOSE},
	{"/dev/nvidia", S_IFCHR, 0, "a GPU", "GPU state is not known to the kernel: " LET_CLOSE},
	{"/dev/dri/", S_IFCHR, 0, "a GPU", "GPU state is not known to the kernel: " LET_CLOSE},
	{NULL, S_IFCHR, 0, "a character device", LET_CLOSE},
	{NULL, S_IFBLK, 0, "a block device", LET_CLOSE},
	{"anon_inode:", 0, 0, "a kernel object of an unknown kind", LET_CLOSE},
};

static bool matches(const struct refused_kind *kind, const struct file_source *source)
{
	mode_t mode = source->st.st_mode;

	if (kind->link && !starts_with(source->link, kind->link))
		return false;
	if (kind->type && (mode & S_IFMT) != kind->type)
		return false;
	return !kind->device_major || major(source->st.st_rdev) == kind->device_major ||
	       (kind->device_major == 136 && major(source->st.st_rdev) >= 136 &&
		       major(source->st.st_rdev) <= 143);
}

void files_refuse(struct dump_context *context, const struct file_source *source)
{
	mode_t mode = source->st.st_mode;

	for (size_t i = 0; i < ARRAY_SIZE(refused_kinds); i++) {
		const struct refused_kind *kind = &refused_kinds[i];
		struct error *problem;

		if (!matches(kind, source))
			continue;
		if (S_ISCHR(mode) || S_ISBLK(mode))
			problem = files_obstacle(context, source,
				"is %s (%s, device %u:%u), which this version cannot dump",
				kind->name, source->link, major(source->st.st_rdev),
				minor(source->st.st_rdev));
		else
			problem = files_obstacle(context, source,
				"is %s, which this version cannot dump", kind->name);
		error_hint(problem, "%s", kind->hint);
		return;
	}
	error_hint(files_obstacle(context, source,
			   "is %s, of a kind that this version does not know", source->link),
		LET_CLOSE);
}
