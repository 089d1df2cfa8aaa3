/*
 * Probes that look at ourselves: memory, tasks, capabilities. Those for files, namespaces and
 * sockets are in feature_probes_io.c, those that need a traced child in feature_probes_ptrace.c.
 *
 * Where it can be had, the question is one that the kernel answers before it does anything: an
 * empty range, a bad address behind a known flag, a size query. The comment says which answer means
 * what.
 */
#include "kernel/feature_probes.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <sys/ioctl.h>

#include "kernel/uapi.h"

#define ARCH_PRCTL_BASE 0x2000

static int open_proc(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC);
}

bool probe_pagemap(struct kernel_features *f _unused_, int arg _unused_)
{
	_cleanup_(close_fd) int fd = open_proc("/proc/self/pagemap");
	uint64_t entry;
	off_t where = (off_t)((uintptr_t)&entry / PAGE_SIZE * sizeof(entry));

	return fd >= 0 && pread(fd, &entry, sizeof(entry), where) == sizeof(entry);
}

/* Following the link of a mapping needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN since 4.3. */
bool probe_map_files(struct kernel_features *f _unused_, int arg _unused_)
{
	_cleanup_(close_fd) int maps = open_proc("/proc/self/maps");
	char line[64] = "", path[96];
	ssize_t size = maps < 0 ? -1 : read(maps, line, sizeof(line) - 1);
	int fd;

	if (size <= 0 || !strchr(line, ' '))
		return false;
	*strchr(line, ' ') = '\0';
	/* The lowest area is the executable's: a file. Leading zeros are not in the link's name. */
	snprintf(path, sizeof(path), "/proc/self/map_files/%s", line);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Unknown categories are EINVAL, a kernel without the call says ENOTTY. */
bool probe_pagemap_scan(struct kernel_features *f _unused_, int categories)
{
	_cleanup_(close_fd) int fd = open_proc("/proc/self/pagemap");
	struct page_region region;
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.start = PAGE_DOWN((uintptr_t)&region),
		.end = PAGE_DOWN((uintptr_t)&region) + PAGE_SIZE,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_anyof_mask = (uint64_t)categories,
		.return_mask = (uint64_t)categories,
	};

	return fd >= 0 && ioctl(fd, PAGEMAP_SCAN, &scan) >= 0;
}

bool probe_procmap_query(struct kernel_features *f _unused_, int arg _unused_)
{
	_cleanup_(close_fd) int fd = open_proc("/proc/self/maps");
	struct procmap_query query = {.size = sizeof(query), .query_addr = (uintptr_t)&query};

	return fd >= 0 && ioctl(fd, PROCMAP_QUERY, &query) == 0;
}

/* A page of a fresh area is soft-dirty until somebody clears it, where the kernel tracks it at all.
 */
bool probe_soft_dirty(struct kernel_features *f _unused_, int arg _unused_)
{
	_cleanup_(close_fd) int fd = open_proc("/proc/self/pagemap");
	volatile char *page;
	uint64_t entry = 0;

	if (fd < 0)
		return false;
	page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return false;
	*page = 1;
	if (pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)page / PAGE_SIZE * 8)) != 8)
		entry = 0;
	munmap((void *)page, PAGE_SIZE);
	return entry & (1ULL << 55);
}

bool probe_uffd(struct kernel_features *f, int features)
{
	_cleanup_(close_fd) int fd = (int)syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = {.api = UFFD_API};

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0)
		return false;
	f->uffd_features = api.features;
	return (api.features & (uint64_t)features) == (uint64_t)features;
}

bool probe_dirty_track(struct kernel_features *f, int arg _unused_)
{
	if (probe_soft_dirty(f, 0))
		return true;
	return probe_uffd(f, UFFD_FEATURE_WP_ASYNC) && probe_pagemap_scan(f, PAGE_IS_WRITTEN);
}

/* The end of our area that starts at `start`, from /proc/self/maps. */
static uint64_t area_end(uint64_t start)
{
	_cleanup_(close_file) FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	uint64_t from, to;

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &from, &to) == 2 && from == start)
			return to;
	return 0;
}

/* Since 3.19 an AIO ring may be moved, and the context goes by its new address. */
bool probe_aio_remap(struct kernel_features *f _unused_, int arg _unused_)
{
	aio_context_t context = 0;
	uint64_t size;
	void *moved;
	bool works = false;

	if (syscall(__NR_io_setup, 1, &context) < 0)
		return false;
	size = area_end(context) - context;
	moved = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (moved != MAP_FAILED && mremap((void *)context, size, size,
					   MREMAP_MAYMOVE | MREMAP_FIXED, moved) == moved) {
		struct timespec none = {};

		context = (aio_context_t)(uintptr_t)moved;
		works = syscall(__NR_io_getevents, context, 0, 1, NULL, &none) == 0;
	}
	syscall(__NR_io_destroy, context);
	return works;
}

/* An empty range: 0 when the advice is known, EINVAL when it is not. */
bool probe_madvise(struct kernel_features *f _unused_, int advice)
{
	return madvise((void *)PAGE_DOWN((uintptr_t)f), 0, advice) == 0;
}

bool probe_mseal(struct kernel_features *f, int arg _unused_)
{
	return syscall(__NR_mseal, PAGE_DOWN((uintptr_t)f), 0, 0) == 0;
}

/* vm.memfd_noexec=2 refuses executable ones with EACCES; kernels before 6.3 do not know MFD_EXEC,
 * and all of theirs are executable. */
bool probe_memfd(struct kernel_features *f _unused_, int flags)
{
	int fd = memfd_create("stasis-probe", (unsigned)flags | MFD_CLOEXEC);

	if (fd < 0 && errno == EINVAL && (flags & MFD_EXEC))
		fd = memfd_create("stasis-probe", MFD_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* An empty range of our own stack. */
bool probe_anon_vma_name(struct kernel_features *f, int arg _unused_)
{
	return prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, PAGE_DOWN((uintptr_t)f), 0, "x") == 0;
}

/* ARCH_MAP_VDSO_*: EEXIST, for ours is mapped. ARCH_SHSTK_STATUS: fills a word. */
bool probe_arch_prctl(struct kernel_features *f _unused_, int code)
{
#ifdef __x86_64__
	uint64_t word = 0;

	if (code >= 0x5000)
		return syscall(__NR_arch_prctl, code, &word) == 0;
	return syscall(__NR_arch_prctl, code, 0) < 0 && errno == EEXIST;
#else
	return code < 0x5000 && code != ARCH_PRCTL_BASE + 2;
#endif
}

bool probe_set_mm_map(struct kernel_features *f _unused_, int arg _unused_)
{
	unsigned size = 0;

	return prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) == 0 && size > 0;
}

bool probe_timer_restore_ids(struct kernel_features *f _unused_, int arg _unused_)
{
	return prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0) >= 0;
}

bool probe_membarrier(struct kernel_features *f _unused_, int arg _unused_)
{
	return syscall(__NR_membarrier, MEMBARRIER_GET_REGISTRATIONS, 0, 0) >= 0;
}

/* The list of pids is at an address that nobody has: EFAULT once the kernel knows the member, E2BIG
 * when it does not (before 5.5). */
bool probe_clone3_set_tid(struct kernel_features *f _unused_, int arg _unused_)
{
	struct clone_args args = {.set_tid = 1, .set_tid_size = 1};

	return syscall(__NR_clone3, &args, sizeof(args)) < 0 && errno == EFAULT;
}

bool probe_pidfd_open(struct kernel_features *f _unused_, int flags)
{
	int fd = (int)syscall(__NR_pidfd_open, getpid(), flags);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

bool probe_pidfd_getfd(struct kernel_features *f _unused_, int arg _unused_)
{
	return syscall(__NR_pidfd_getfd, -1, 0, 0) < 0 && errno == EBADF;
}

bool probe_pidfd_info(struct kernel_features *f _unused_, int arg _unused_)
{
	_cleanup_(close_fd) int fd = (int)syscall(__NR_pidfd_open, getpid(), 0);
	struct pidfd_info info = {.mask = PIDFD_INFO_PID};

	return fd >= 0 && ioctl(fd, PIDFD_GET_INFO, &info) == 0;
}

bool probe_kcmp(struct kernel_features *f _unused_, int arg _unused_)
{
	return syscall(__NR_kcmp, getpid(), getpid(), KCMP_VM, 0, 0) == 0;
}

/* The slot is at an address that nobody has: EFAULT once the kernel knows the type (4.13). */
bool probe_kcmp_epoll(struct kernel_features *f _unused_, int arg _unused_)
{
	return syscall(__NR_kcmp, getpid(), getpid(), KCMP_EPOLL_TFD, 0, 1) < 0 && errno == EFAULT;
}

/* A range that ends before it starts: EINVAL. */
bool probe_close_range(struct kernel_features *f _unused_, int arg _unused_)
{
	return syscall(__NR_close_range, 2, 1, 0) < 0 && errno == EINVAL;
}

static bool capable(const struct kernel_features *f, int capability)
{
	return f->capabilities & (1ULL << capability);
}

bool probe_capability(struct kernel_features *f, int arg)
{
	return capable(f, arg & 0xff) || (arg >> 8 && capable(f, arg >> 8));
}

bool probe_identity(struct kernel_features *f, int arg _unused_)
{
	return capable(f, CAP_SETUID) && capable(f, CAP_SETGID) && capable(f, CAP_SETPCAP);
}
