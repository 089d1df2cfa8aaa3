/*
 * What an area is, from its line in smaps alone.
 *
 * Names of files are the task's own choice, and may say anything; what they cannot fake is the
 * device. Memory without a file has device 0:0 and no inode, and then a name is the kernel's.
 * Shared anonymous memory, memfds and SysV segments are files on a tmpfs that is mounted nowhere,
 * whose device number we know from a mapping of our own; there the kernel alone gives names.
 */
#include <sys/mman.h>

#include "memory/internal.h"

static uint64_t advice_of(uint32_t flags)
{
	static const struct {
		uint32_t flag;
		int advice;
	} table[] = {
		{SMAPS_RANDOM, MADV_RANDOM},
		{SMAPS_SEQUENTIAL, MADV_SEQUENTIAL},
		{SMAPS_DONT_FORK, MADV_DONTFORK},
		{SMAPS_MERGEABLE, MADV_MERGEABLE},
		{SMAPS_HUGE, MADV_HUGEPAGE},
		{SMAPS_NO_HUGE, MADV_NOHUGEPAGE},
		{SMAPS_DONT_DUMP, MADV_DONTDUMP},
		{SMAPS_WIPE_ON_FORK, MADV_WIPEONFORK},
	};
	uint64_t advice = 0;

	/* Droppable areas have these from birth. */
	if (flags & SMAPS_DROPPABLE)
		flags &= ~(uint32_t)(SMAPS_DONT_DUMP | SMAPS_WIPE_ON_FORK);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (flags & table[i].flag)
			advice |= (uint64_t)1 << table[i].advice;
	return advice;
}

static void fill_common(const struct smaps_area *smaps, VmaEntry *vma)
{
	uint64_t advice = advice_of(smaps->flags);

	vma->start = smaps->start;
	vma->end = smaps->end;
	vma->prot = smaps->prot;
	vma->fd = -1;
	vma->flags = smaps->shared ? MAP_SHARED : MAP_PRIVATE;
	if (smaps->flags & SMAPS_DROPPABLE)
		vma->flags = MAP_DROPPABLE;
	if (smaps->flags & SMAPS_GROWS_DOWN)
		vma->flags |= MAP_GROWSDOWN;
	if (smaps->flags & SMAPS_LOCKED)
		vma->flags |= MAP_LOCKED;
	/* Droppable memory is never reserved; the kernel refuses the flag there. */
	if (smaps->flags & SMAPS_NO_RESERVE && !(smaps->flags & SMAPS_DROPPABLE))
		vma->flags |= MAP_NORESERVE;
	if (advice) {
		vma->has_madv = true;
		vma->madv = advice;
	}
	if (smaps->flags & SMAPS_LOCK_ON_FAULT)
		vma->has_lock_on_fault = vma->lock_on_fault = true;
	if (smaps->flags & SMAPS_SEALED)
		vma->has_sealed = vma->sealed = true;
}

/* What the kernel maps by itself. */
static bool classify_special(const struct smaps_area *smaps, VmaEntry *vma, enum area_type *type)
{
	if (smaps->inode || smaps->major || smaps->minor)
		return false;
	vma->flags |= MAP_ANONYMOUS;
	if (streq(smaps->name, "[vsyscall]")) {
		vma->status = VMA_VSYSCALL | VMA_ANON_PRIVATE;
		*type = AREA_VSYSCALL;
	} else if (streq(smaps->name, "[vdso]")) {
		vma->status = VMA_REGULAR | VMA_VDSO | VMA_ANON_PRIVATE;
		*type = AREA_VDSO;
	} else if (streq(smaps->name, "[vvar]") || streq(smaps->name, "[vvar_vclock]")) {
		vma->status = VMA_REGULAR | VMA_VVAR | VMA_ANON_PRIVATE;
		*type = AREA_VVAR;
	} else if (streq(smaps->name, "[uprobes]")) {
		vma->status = VMA_UPROBES | VMA_ANON_PRIVATE;
		*type = AREA_UPROBES;
	} else {
		vma->flags &= ~(uint32_t)MAP_ANONYMOUS;
		return false;
	}
	/* The kernel's own areas are sealed on some kernels (CONFIG_MSEAL_SYSTEM_MAPPINGS), and
	 * then the restored ones are too, by themselves. */
	vma->has_sealed = vma->sealed = false;
	vma->has_lock_on_fault = vma->lock_on_fault = false;
	return true;
}

static const struct {
	const char *prefix;
	struct refusal refusal;
} refused_names[] = {
	{"anon_inode:[io_uring]",
		{"is a ring of an io_uring, which cannot be read out of the kernel",
			"start the program without io_uring (most have a setting for it; or set "
			"kernel.io_uring_disabled=2 before it starts)"}},
	{"anon_inode:[perf_event]",
		{"is the buffer of a performance event", "end the profiling first"}},
	{"anon_inode:bpf-map", {"is a mapped BPF map", "unmap it before the dump"}},
	{"anon_inode:", {"maps an object of the kernel that cannot be dumped", NULL}},
	{"/secretmem", {"is secret memory (memfd_secret), which nobody but its owner may read",
			       "start the program without memfd_secret"}},
	{"socket:", {"is the ring of a packet socket", "close the packet socket first"}},
};

static const struct refusal refuse_userfaultfd = {
	"is registered with userfaultfd, whose faults a handler serves",
	"let the program unregister the area or close its userfaultfd before the dump"};
static const struct refusal refuse_device = {
	"maps the memory of a device", "let the program close the device before the dump"};
static const struct refusal refuse_dax = {
	"maps persistent memory directly (DAX)", "use a file system without DAX"};
static const struct refusal refuse_shadow_stack = {"is a shadow stack",
	"start the program without it (GLIBC_TUNABLES=glibc.cpu.hwcaps=-SHSTK)"};
static const struct refusal refuse_uprobes = {
	"holds the breakpoints of a tracer (uprobes)", "end the tracing, or give --allow-uprobes"};
static const struct refusal refuse_key = {
	"has a memory protection key", "start the program without protection keys"};
static const struct refusal refuse_unknown = {"is of a kind that is not known", NULL};

/* NULL when nothing about it cannot be kept. */
static const struct refusal *find_refusal(const struct smaps_area *smaps)
{
	if (smaps->flags & (SMAPS_UFFD_MISSING | SMAPS_UFFD_WP | SMAPS_UFFD_MINOR))
		return &refuse_userfaultfd;
	if (smaps->flags & SMAPS_SHADOW_STACK)
		return &refuse_shadow_stack;
	for (size_t i = 0; i < ARRAY_SIZE(refused_names); i++)
		if (starts_with(smaps->name, refused_names[i].prefix) && !smaps->major)
			return &refused_names[i].refusal;
	if (smaps->flags & SMAPS_SYNC)
		return &refuse_dax;
	if (smaps->flags & (SMAPS_PFN | SMAPS_IO | SMAPS_MIXED))
		return &refuse_device;
	/* Execute-only memory has a key of the kernel's choice, which mprotect() chooses again. */
	if (smaps->protection_key && smaps->prot != PROT_EXEC)
		return &refuse_key;
	return NULL;
}

static uint32_t huge_flags(const struct smaps_area *smaps)
{
	uint32_t shift = 0;

	for (uint64_t size = smaps->page_size * 1024; size > 1; size >>= 1)
		shift++;
	return MAP_HUGETLB | (shift & MAP_HUGE_BITS) << MAP_HUGE_OFFSET;
}

static enum area_type classify_anon(const struct smaps_area *smaps, VmaEntry *vma)
{
	/* "[heap]", "[stack]", "[anon:NAME]" or nothing. */
	if (smaps->shared || (smaps->name[0] && smaps->name[0] != '['))
		return AREA_REFUSED;
	vma->flags |= MAP_ANONYMOUS;
	vma->status = VMA_REGULAR | VMA_ANON_PRIVATE;
	if (streq(smaps->name, "[heap]"))
		vma->status |= VMA_HEAP;
	return AREA_ANON;
}

/* Memory of a tmpfs or hugetlbfs that is mounted nowhere. */
static enum area_type classify_memory(const struct smaps_area *smaps, VmaEntry *vma)
{
	vma->pgoff = smaps->offset;
	if (starts_with(smaps->name, "/memfd:")) {
		vma->status = VMA_REGULAR | VMA_MEMFD |
			      (smaps->shared ? VMA_FILE_SHARED : VMA_FILE_PRIVATE);
		return AREA_MEMFD;
	}
	if (smaps->flags & SMAPS_HUGETLB)
		vma->flags |= huge_flags(smaps);
	vma->flags |= MAP_ANONYMOUS;
	if (starts_with(smaps->name, "/SYSV") && smaps->shared) {
		vma->status = VMA_REGULAR | VMA_SYSV | VMA_ANON_SHARED;
		return AREA_SYSV;
	}
	if (starts_with(smaps->name, "/anon_hugepage") && !smaps->shared) {
		vma->pgoff = 0;
		vma->status = VMA_REGULAR | VMA_ANON_PRIVATE;
		return AREA_ANON;
	}
	if (smaps->shared && (starts_with(smaps->name, "/dev/zero") ||
				     starts_with(smaps->name, "/anon_hugepage") ||
				     starts_with(smaps->name, "[anon_shmem:"))) {
		vma->status = VMA_REGULAR | VMA_ANON_SHARED;
		return AREA_SHARED_ANON;
	}
	return AREA_REFUSED;
}

static bool is_kernel_memory(const struct smaps_area *smaps, const struct classify_facts *facts)
{
	if (smaps->major == facts->shm_major && smaps->minor == facts->shm_minor)
		return true;
	/* The hugetlbfs mounts of the kernel have a device for each page size. A file on a mounted
	 * one may have such a name too, deleted: it is then carried as what it looks like. */
	return smaps->flags & SMAPS_HUGETLB &&
	       (starts_with(smaps->name, "/anon_hugepage (deleted)") ||
		       starts_with(smaps->name, "/memfd:") || starts_with(smaps->name, "/SYSV"));
}

enum area_type area_classify(const struct smaps_area *smaps, const struct classify_facts *facts,
	VmaEntry *vma, struct refusal *ret_refusal)
{
	const struct refusal *refusal;
	enum area_type type;

	fill_common(smaps, vma);
	if (classify_special(smaps, vma, &type)) {
		if (type != AREA_UPROBES || facts->allow_uprobes)
			return type;
		*ret_refusal = refuse_uprobes;
		return AREA_REFUSED;
	}
	refusal = find_refusal(smaps);
	if (refusal) {
		*ret_refusal = *refusal;
		return AREA_REFUSED;
	}
	if (!smaps->inode && !smaps->major && !smaps->minor) {
		type = classify_anon(smaps, vma);
	} else if (is_kernel_memory(smaps, facts)) {
		type = classify_memory(smaps, vma);
	} else if (streq(smaps->name, "/[aio] (deleted)") && !smaps->major) {
		vma->flags = MAP_SHARED | MAP_ANONYMOUS;
		vma->status = VMA_REGULAR | VMA_AIO;
		type = AREA_AIO;
	} else if (smaps->name[0] == '/') {
		vma->pgoff = smaps->offset;
		vma->status = VMA_REGULAR | (smaps->shared ? VMA_FILE_SHARED : VMA_FILE_PRIVATE);
		type = AREA_FILE;
	} else {
		type = AREA_REFUSED;
	}
	if (type == AREA_REFUSED)
		*ret_refusal = refuse_unknown;
	return type;
}
