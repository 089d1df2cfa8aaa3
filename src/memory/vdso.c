/*
 * The vdso: code of the kernel that every process has, and that reads vvar, in front of it.
 *
 * A dump saves its content, as CRIU does. A restore on the same kernel moves the kernel's own to
 * the image's place. On another kernel, whose functions lie elsewhere, pointers that libc has
 * resolved would go wrong: then the image's vdso stays where it was, as plain memory, each of its
 * functions replaced by a jump to the kernel's, which stands at an address of its own.
 *
 * The image's content is parsed as hostile bytes.
 */
#include <elf.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "memory/restore.h"

/* The kernel's vdso ends with its section headers; the rest of its last page is zero, but for the
 * dump executor that stands there meanwhile. */
void vdso_clean_tail(unsigned char *content, size_t size)
{
	Elf64_Ehdr header;
	uint64_t end;

	if (size < sizeof(header))
		return;
	memcpy(&header, content, sizeof(header));
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_shoff >= size)
		return;
	end = header.e_shoff + (uint64_t)header.e_shnum * header.e_shentsize;
	if (end >= sizeof(header) && end < size)
		memset(content + end, 0, size - end);
}

static bool is_inside(uint64_t offset, uint64_t length, size_t size)
{
	return offset <= size && length <= size - offset;
}

static bool is_function(const char *name)
{
	return (starts_with(name, "__vdso_") || starts_with(name, "__kernel_")) &&
	       !strstr(name, "sigreturn");
}

static int parse_symbols(const unsigned char *content, size_t size, const Elf64_Shdr *symbols,
	const Elf64_Shdr *strings, struct vdso_symbols *ret)
{
	struct vdso_symbols found = {};

	if (!is_inside(symbols->sh_offset, symbols->sh_size, size) ||
		!is_inside(strings->sh_offset, strings->sh_size, size) || !strings->sh_size ||
		content[strings->sh_offset + strings->sh_size - 1])
		return -EINVAL;
	for (uint64_t i = 0; i < symbols->sh_size / sizeof(Elf64_Sym); i++) {
		const char *name;
		Elf64_Sym symbol;

		memcpy(&symbol, content + symbols->sh_offset + i * sizeof(symbol), sizeof(symbol));
		if (!symbol.st_shndx || symbol.st_name >= strings->sh_size)
			continue;
		name = (const char *)content + strings->sh_offset + symbol.st_name;
		/* A jump has up to 16 bytes. */
		if (!is_function(name) || !is_inside(symbol.st_value, 16, size))
			continue;
		if (found.count == VDSO_SYMBOLS_MAX)
			return -EINVAL;
		found.items[found.count++] = (struct vdso_symbol){name, symbol.st_value};
	}
	*ret = found;
	return found.count ? 0 : -EINVAL;
}

int vdso_parse(const unsigned char *content, size_t size, struct vdso_symbols *ret_symbols)
{
	Elf64_Ehdr header;
	Elf64_Shdr section, strings;

	if (size < sizeof(header))
		return -EINVAL;
	memcpy(&header, content, sizeof(header));
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
		header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shentsize != sizeof(section) ||
		!is_inside(header.e_shoff, (uint64_t)header.e_shnum * sizeof(section), size))
		return -EINVAL;
	for (unsigned i = 0; i < header.e_shnum; i++) {
		memcpy(&section, content + header.e_shoff + i * sizeof(section), sizeof(section));
		if (section.sh_type != SHT_DYNSYM || section.sh_link >= header.e_shnum)
			continue;
		memcpy(&strings, content + header.e_shoff + section.sh_link * sizeof(section),
			sizeof(strings));
		return parse_symbols(content, size, &section, &strings, ret_symbols);
	}
	return -EINVAL;
}

/* Our own, which is the running kernel's and every puppet's. */
struct own_vdso {
	uint64_t start, size; /* 0: this process has none */
	uint64_t vvar_size;
	uint64_t pieces[4]; /* the ends of vvar's parts, relative to its start */
	size_t piece_count;
};

static int find_own(struct own_vdso *ret_own, struct error *err)
{
	/* It stays where it is as long as we live, and is asked for with every address space. */
	static struct own_vdso found;
	static bool known;
	_cleanup_(free_ptr) char *text = NULL;
	struct own_vdso own = {};
	uint64_t vvar_start = 0, vvar_end = 0;
	int rc;

	if (known) {
		*ret_own = found;
		return 0;
	}
	rc = read_text_file(-1, "/proc/self/maps", &text, NULL);
	if (rc < 0)
		return error_set(err, -rc, "reading /proc/self/maps");
	for (char *line = text, *next; line && *line; line = next) {
		unsigned long start, end;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!strstr(line, " [v") || sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		if (strstr(line, "[vdso]")) {
			own.start = start;
			own.size = end - start;
		} else if (strstr(line, "[vvar") && own.piece_count < ARRAY_SIZE(own.pieces)) {
			if (!own.piece_count)
				vvar_start = start;
			vvar_end = end;
			own.pieces[own.piece_count++] = end - vvar_start;
		}
	}
	if (own.start && vvar_end == own.start)
		own.vvar_size = own.start - vvar_start;
	else
		own.piece_count = 0;
	found = *ret_own = own;
	known = true;
	return 0;
}

static const VmaEntry *find_area(const MmEntry *mm)
{
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (!vma_is_guard(mm->vmas[i]) && vma_type(mm->vmas[i]) == AREA_VDSO)
			return mm->vmas[i];
	return NULL;
}

/* The image's content; false when it is not there as a whole. */
static bool read_content(
	const struct restored_space *space, const VmaEntry *vma, unsigned char *content)
{
	for (uint64_t at = vma->start; at < vma->end; at += PAGE_SIZE) {
		const struct stored_range *range = stored_pages_find(&space->pages, at);

		if (!range || !range->file ||
			pread_full(range->file->fd, content + (at - vma->start), PAGE_SIZE,
				(off_t)(range->offset + (at - range->start))) != PAGE_SIZE)
			return false;
	}
	vdso_clean_tail(content, vma->end - vma->start);
	return true;
}

static bool same_symbols(const struct vdso_symbols *a, const struct vdso_symbols *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->items[i].offset != b->items[i].offset ||
			!streq(a->items[i].name, b->items[i].name))
			return false;
	return true;
}

/* vvar goes in front of the vdso, where the image may have had something else. */
static bool has_room(const MmEntry *mm, const VmaEntry *vdso, const struct own_vdso *own)
{
	uint64_t start = vdso->start - own->vvar_size, end = vdso->start + own->size;

	if (vdso->start < own->vvar_size)
		return false;
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *vma = mm->vmas[i];
		enum area_type type = vma_type(vma);

		if (vma->start < end && vma->end > start && type != AREA_VDSO && type != AREA_VVAR)
			return false;
	}
	return true;
}

static void write_jump(unsigned char *code, uint64_t target)
{
#if defined(__x86_64__)
	/* movabs $target, %rax; jmp *%rax */
	static const unsigned char jump[12] = {0x48, 0xb8, [10] = 0xff, 0xe0};

	memcpy(code, jump, sizeof(jump));
	memcpy(code + 2, &target, sizeof(target));
#elif defined(__aarch64__)
	/* ldr x16, .+8; br x16; .quad target */
	static const uint32_t jump[2] = {0x58000050, 0xd61f0200};

	memcpy(code, jump, sizeof(jump));
	memcpy(code + 8, &target, sizeof(target));
#endif
}

static bool patch(unsigned char *content, const struct vdso_symbols *theirs,
	const struct vdso_symbols *ours, uint64_t new_start, const char **ret_missing)
{
	uint64_t targets[VDSO_SYMBOLS_MAX];

	for (size_t i = 0; i < theirs->count; i++) {
		size_t j = 0;

		while (j < ours->count && !streq(ours->items[j].name, theirs->items[i].name))
			j++;
		if (j == ours->count) {
			*ret_missing = theirs->items[i].name;
			return false;
		}
		targets[i] = new_start + ours->items[j].offset;
	}
	for (size_t i = 0; i < theirs->count; i++)
		write_jump(content + theirs->items[i].offset, targets[i]);
	return true;
}

static void refuse(struct restore_context *context, const struct restored_space *space,
	const char *what, const char *detail)
{
	struct error *problem = problems_add(context->problems);

	error_refuse(problem, ERROR_KERNEL_LACKS,
		"task %d: the image's vdso is that of another kernel, %s%s", space->owner->pid,
		what, detail);
	error_hint(problem, "restore on a kernel like the one of the dump");
	error_about_task(problem, space->owner->pid);
}

static void place_elsewhere(struct restore_context *context, struct restored_space *space,
	const struct own_vdso *own, const unsigned char *own_content, unsigned char *content)
{
	struct vdso_placement *vdso = &space->vdso;
	struct vdso_symbols theirs, ours;
	const char *missing = NULL;
	uint64_t gap;

	if (vdso_parse(content, vdso->image_size, &theirs) < 0) {
		refuse(context, space, "and its functions cannot be found", "");
		return;
	}
	if (!own->start || vdso_parse(own_content, own->size, &ours) < 0) {
		refuse(context, space, "and this kernel has none", "");
		return;
	}
	if (!space_find_gap(space->space, own->vvar_size + own->size, &gap)) {
		refuse(context, space, "and there is no room for this one's", "");
		return;
	}
	vdso->new_start = gap + own->vvar_size;
	if (!patch(content, &theirs, &ours, vdso->new_start, &missing)) {
		refuse(context, space, "and this one has no ", missing);
		return;
	}
	vdso->patched = content;
	vdso->mode = VDSO_PATCH;
}

/* Where a thread goes on. 0 when the image does not say. */
static uint64_t instruction_pointer(const struct thread *thread)
{
	const CoreEntry *core = thread->core;

	if (core && core->thread_info && core->thread_info->gpregs)
		return core->thread_info->gpregs->ip;
	if (core && core->ti_aarch64 && core->ti_aarch64->gpregs)
		return core->ti_aarch64->gpregs->pc;
	return 0;
}

/* A thread that stands in the middle of one of the old functions would go on in code that reads a
 * vvar of another layout, or in the middle of other code. */
static void check_threads(struct restore_context *context, const struct restored_space *space)
{
	const struct vdso_placement *vdso = &space->vdso;
	const struct checkpoint *checkpoint = context->checkpoint;

	for (size_t i = 0; i < checkpoint->task_count; i++) {
		const struct task *task = checkpoint->tasks[i];

		for (size_t j = 0; task->space == space->space && j < task->thread_count; j++) {
			uint64_t ip = instruction_pointer(&task->threads[j]);
			struct error *problem;

			if (ip < vdso->image_start || ip - vdso->image_start >= vdso->image_size)
				continue;
			problem = problems_add(context->problems);
			error_refuse(problem, ERROR_KERNEL_LACKS,
				"thread %d of task %d was in the middle of a function of the vdso, "
				"and this kernel's is another",
				task->threads[j].tid, task->pid);
			error_hint(problem,
				"restore on a kernel like the one of the dump, or dump again");
			error_about_task(problem, task->pid);
		}
	}
}

int vdso_check(struct restore_context *context, struct restored_space *space, struct error *err)
{
	const VmaEntry *vma = find_area(space->space->mm);
	struct vdso_placement *vdso = &space->vdso;
	const unsigned char *own_content;
	struct vdso_symbols theirs, ours;
	unsigned char *content;
	struct own_vdso own;
	bool stored, equal, same;
	int rc;

	if (!vma)
		return 0;
	rc = find_own(&own, err);
	if (rc < 0)
		return rc;
	own_content = (const unsigned char *)(uintptr_t)own.start;
	vdso->image_start = vma->start;
	vdso->image_size = vma->end - vma->start;
	content = arena_alloc(context->arena, vdso->image_size);
	stored = read_content(space, vma, content);
	equal = own.start && own.size == vdso->image_size && stored &&
		memcmp(content, own_content, own.size) == 0;
	same = own.start && own.size == vdso->image_size &&
	       (!stored || equal ||
		       (vdso_parse(content, own.size, &theirs) == 0 &&
			       vdso_parse(own_content, own.size, &ours) == 0 &&
			       same_symbols(&theirs, &ours)));
	if (same && has_room(space->space->mm, vma, &own)) {
		vdso->mode = VDSO_MOVE;
		vdso->new_start = vma->start;
	} else if (!stored) {
		refuse(context, space, "and the image does not hold it", "");
	} else {
		place_elsewhere(context, space, &own, own_content, content);
	}
	if (stored && !equal)
		check_threads(context, space);
	return 0;
}

static void plan_move(
	struct space_plan *plan, const char *what, uint64_t from, uint64_t to, uint64_t size)
{
	int op = batch_op(plan->late, what, __NR_mremap, VAL(from), VAL(size), VAL(size),
		VAL(MREMAP_MAYMOVE | MREMAP_FIXED), VAL(to));

	batch_expect(plan->late, op, (int64_t)to);
}

/* vvar lies in front of the vdso, parked as it will stand. Its parts are areas of their own, which
 * mremap(2) moves one by one (before 6.17; then also together). */
int plan_vdso(struct space_plan *plan, struct error *err)
{
	const struct memory_host *host = plan->host;
	const struct vdso_placement *vdso = &plan->space->vdso;
	uint64_t from = host->vdso_parked.v, to = vdso->new_start - host->vvar_size, at = 0;
	struct own_vdso own;
	int rc;

	if (vdso->mode == VDSO_NONE)
		return 0;
	rc = find_own(&own, err);
	if (rc < 0)
		return rc;
	if (own.vvar_size != host->vvar_size || own.size != host->vdso_size)
		return error_set(err, EINVAL, "the puppet's vdso is not like our own");
	for (size_t i = 0; i < own.piece_count; i++) {
		plan_move(plan, "move vvar", from + at, to + at, own.pieces[i] - at);
		at = own.pieces[i];
	}
	plan_move(plan, "move the vdso", from + at, to + at, own.size);
	return 0;
}
