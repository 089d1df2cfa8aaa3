/*
 * Restore: every number that the plan relies on is checked here, before anything exists.
 *
 * An image may hold any bytes. What is wrong goes to the list of problems, with the image and the
 * area; nothing is mapped, allocated or read by what an image says before it has passed.
 */
#include <stdarg.h>
#include <sys/mman.h>

#include "base/io.h"
#include "memory/restore.h"

/* Damaged images have more of the same: this many are named for each space. */
#define PROBLEMS_NAMED 8
/* The kernel's auxiliary vector has some 25 pairs. */
#define AUXV_MAX 128

void bad_image(struct restore_context *context, const char *image, const char *format, ...)
{
	struct error *problem = problems_add(context->problems);
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	error_refuse(problem, ERROR_BAD_IMAGE, "%s: %s", image, text);
	error_about_object(problem, "%s", image);
}

enum area_type vma_type(const VmaEntry *vma)
{
	static const struct {
		uint32_t bit;
		enum area_type type;
	} special[] = {
		{VMA_VSYSCALL, AREA_VSYSCALL},
		{VMA_VDSO, AREA_VDSO},
		{VMA_VVAR, AREA_VVAR},
		{VMA_UPROBES, AREA_UPROBES},
		{VMA_AIO, AREA_AIO},
	};
	const uint32_t kinds =
		VMA_FILE_PRIVATE | VMA_FILE_SHARED | VMA_ANON_SHARED | VMA_ANON_PRIVATE;
	uint32_t kind = vma->status & kinds;
	bool shared = (vma->flags & MAP_TYPE_BITS) == MAP_SHARED;

	for (size_t i = 0; i < ARRAY_SIZE(special); i++)
		if (vma->status & special[i].bit)
			return special[i].type;
	if (vma->status & (VMA_SOCKET | VMA_SHADOW_STACK) || !(vma->status & VMA_REGULAR))
		return AREA_REFUSED;
	if (kind == VMA_ANON_PRIVATE && !shared)
		return AREA_ANON;
	if (kind == VMA_ANON_SHARED && shared)
		return vma->status & VMA_SYSV ? AREA_SYSV : AREA_SHARED_ANON;
	if (kind == (shared ? VMA_FILE_SHARED : VMA_FILE_PRIVATE))
		return vma->status & VMA_MEMFD ? AREA_MEMFD : AREA_FILE;
	return AREA_REFUSED;
}

struct space_check {
	struct restore_context *context;
	struct restored_space *space;
	char image[64];
	size_t problems;
};

_printf_(3, 4) static void bad_area(
	struct space_check *check, const VmaEntry *vma, const char *format, ...)
{
	char text[256];
	va_list ap;

	if (check->problems++ >= PROBLEMS_NAMED)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	bad_image(check->context, check->image, "the area at %llx-%llx %s",
		(unsigned long long)vma->start, (unsigned long long)vma->end, text);
}

static bool range_is_sane(const VmaEntry *vma)
{
	uint64_t limit = vma->status & VMA_VSYSCALL ? UINT64_MAX : TASK_END;

	return vma->start % PAGE_SIZE == 0 && vma->end % PAGE_SIZE == 0 && vma->start < vma->end &&
	       vma->end <= limit && (vma->start || vma->status & VMA_VSYSCALL);
}

static bool flags_are_sane(const VmaEntry *vma)
{
	const uint32_t known = MAP_TYPE_BITS | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_DENYWRITE |
			       MAP_EXECUTABLE | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE |
			       MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB |
			       MAP_HUGE_BITS << MAP_HUGE_OFFSET;
	uint32_t type = vma->flags & MAP_TYPE_BITS;

	if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_DROPPABLE)
		return false;
	if (type == MAP_DROPPABLE && !(vma->status & VMA_ANON_PRIVATE))
		return false;
	return !(vma->flags & ~known);
}

static void check_area(struct space_check *check, const VmaEntry *vma)
{
	enum area_type type = vma_type(vma);
	uint64_t size = vma->end - vma->start;

	if (type == AREA_REFUSED)
		bad_area(check, vma, "has the status %#x, which is none of an area that is known",
			vma->status);
	if (vma->prot & ~(uint32_t)(PROT_READ | PROT_WRITE | PROT_EXEC))
		bad_area(check, vma, "has the protection %#x", vma->prot);
	if (!flags_are_sane(vma))
		bad_area(check, vma, "has the flags %#x", vma->flags);
	if (vma->pgoff % PAGE_SIZE || vma->pgoff > INT64_MAX - size)
		bad_area(check, vma, "begins at %#llx of what it maps",
			(unsigned long long)vma->pgoff);
	if ((type == AREA_FILE || type == AREA_MEMFD) &&
		!checkpoint_file(check->context->checkpoint, (uint32_t)vma->shmid))
		bad_area(check, vma, "maps file %llu, which files.img does not have",
			(unsigned long long)vma->shmid);
	if (vma->anon_name && strlen(vma->anon_name) >= 80)
		bad_area(check, vma, "has a name of %zu bytes", strlen(vma->anon_name));
}

/* A part of a SysV segment is there only as a continuation of the part before: shmat(2) attaches all
 * of it at once. */
static bool continues(const VmaEntry *vma, const VmaEntry *last)
{
	return last && vma_type(last) == AREA_SYSV && last->shmid == vma->shmid &&
	       last->end == vma->start && last->pgoff + (last->end - last->start) == vma->pgoff;
}

static void check_areas(struct space_check *check)
{
	const MmEntry *mm = check->space->space->mm;
	const VmaEntry *last = NULL, *vdso = NULL;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *vma = mm->vmas[i];

		if (!range_is_sane(vma)) {
			bad_area(check, vma, "is no range of user addresses");
			continue;
		}
		if (vma_is_guard(vma))
			continue;
		if (last && vma->start < last->end)
			bad_area(check, vma, "overlaps the one before, which ends at %llx",
				(unsigned long long)last->end);
		if (vma_type(vma) == AREA_SYSV && vma->pgoff && !continues(vma, last))
			bad_area(check, vma, "is a part of a SysV segment alone");
		last = vma;
		check_area(check, vma);
		if (vma_type(vma) != AREA_VDSO)
			continue;
		if (vdso || vma->end - vma->start > VDSO_MAX)
			bad_area(check, vma, "is a second vdso, or too long for one");
		vdso = vma;
	}
}

/* Guard areas and pages lie in areas; both ascend. */
static void check_inside(
	struct space_check *check, uint64_t start, uint64_t end, bool page, size_t *cursor)
{
	const MmEntry *mm = check->space->space->mm;
	uint64_t at = start;

	while (at < end) {
		const VmaEntry *vma;
		enum area_type type;

		while (*cursor < mm->n_vmas &&
			(vma_is_guard(mm->vmas[*cursor]) || mm->vmas[*cursor]->end <= at))
			(*cursor)++;
		vma = *cursor < mm->n_vmas ? mm->vmas[*cursor] : NULL;
		type = vma ? vma_type(vma) : AREA_REFUSED;
		if (!vma || vma->start > at ||
			(page && (vma->flags & MAP_TYPE_BITS) == MAP_SHARED && type != AREA_AIO) ||
			type == AREA_VVAR || type == AREA_VSYSCALL || type == AREA_UPROBES) {
			if (check->problems++ < PROBLEMS_NAMED)
				bad_image(check->context, check->image,
					"%s at %#llx lie in no area that has such",
					page ? "pages" : "guard pages", (unsigned long long)at);
			return;
		}
		at = vma->end;
	}
}

static void check_contents(struct space_check *check)
{
	const MmEntry *mm = check->space->space->mm;
	const struct stored_pages *pages = &check->space->pages;
	size_t cursor = 0;
	uint64_t last = 0;

	for (size_t i = 0; i < pages->count; i++)
		check_inside(check, pages->ranges[i].start, pages->ranges[i].end, true, &cursor);
	cursor = 0;
	for (size_t i = 0; i < mm->n_vmas; i++) {
		if (!vma_is_guard(mm->vmas[i]))
			continue;
		if (mm->vmas[i]->start < last)
			cursor = 0;
		last = mm->vmas[i]->end;
		check_inside(check, mm->vmas[i]->start, last, false, &cursor);
	}
}

static void check_numbers(struct space_check *check)
{
	const MmEntry *mm = check->space->space->mm;
	const struct {
		const char *name;
		uint64_t start, end;
		bool may_be_equal;
	} pairs[] = {
		{"mm_code", mm->mm_start_code, mm->mm_end_code, false},
		{"mm_data", mm->mm_start_data, mm->mm_end_data, false},
		{"mm_brk", mm->mm_start_brk, mm->mm_brk, true},
		{"mm_arg", mm->mm_arg_start, mm->mm_arg_end, true},
		{"mm_env", mm->mm_env_start, mm->mm_env_end, true},
		{"mm_start_stack", 0, mm->mm_start_stack, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (pairs[i].end >= TASK_END || pairs[i].start > pairs[i].end)
			bad_image(check->context, check->image, "%s is %#llx to %#llx",
				pairs[i].name, (unsigned long long)pairs[i].start,
				(unsigned long long)pairs[i].end);
	if (mm->n_mm_saved_auxv % 2 || mm->n_mm_saved_auxv > AUXV_MAX)
		bad_image(check->context, check->image, "the auxiliary vector has %zu numbers",
			mm->n_mm_saved_auxv);
	if (!checkpoint_file(check->context->checkpoint, mm->exe_file_id))
		bad_image(check->context, check->image,
			"the executable is file %u, which files.img does not have",
			mm->exe_file_id);
	if (mm->lock_future && (mm->lock_future & ~(uint32_t)MCL_ONFAULT) != MCL_FUTURE)
		bad_image(check->context, check->image, "lock_future is %#x", mm->lock_future);
	if (mm->has_dumpable && (mm->dumpable < 0 || mm->dumpable > 2))
		bad_image(check->context, check->image, "dumpable is %d", mm->dumpable);
}

/* Every area, ours, and a few that come and go meanwhile. */
static void check_area_count(struct space_check *check)
{
	_cleanup_(free_ptr) char *text = NULL;
	size_t wanted = 0;
	struct error *problem;

	for (size_t i = 0; i < check->space->space->mm->n_vmas; i++)
		wanted += !vma_is_guard(check->space->space->mm->vmas[i]);
	wanted += 8;
	if (wanted < 30000 || read_text_file(-1, "/proc/sys/vm/max_map_count", &text, NULL) < 0 ||
		wanted <= strtoul(text, NULL, 10))
		return;
	problem = problems_add(check->context->problems);
	error_refuse(problem, ERROR_CONFLICT,
		"task %d needs %zu areas, more than vm.max_map_count allows here",
		check->space->owner->pid, wanted);
	error_hint(problem, "sysctl vm.max_map_count=%zu", wanted);
	error_about_task(problem, check->space->owner->pid);
}

int memory_check(struct restore_context *context, struct error *err)
{
	size_t before = context->problems->count;

	for (size_t i = 0; i < context->checkpoint->space_count; i++) {
		struct address_space *space = context->checkpoint->spaces[i];
		struct space_check check = {.context = context, .space = restored_space(space)};
		int rc;

		if (!check.space || !space->mm)
			continue;
		snprintf(check.image, sizeof(check.image), "mm-%d.img", space->owner->pid);
		check_areas(&check);
		check_numbers(&check);
		if (check.problems)
			continue;
		check_contents(&check);
		check_area_count(&check);
		if (check.problems)
			continue;
		rc = aio_check(context, check.space, err);
		if (rc >= 0)
			rc = vdso_check(context, check.space, err);
		if (rc < 0)
			return rc;
	}
	/* What maps nonsense has no objects to look for. */
	return context->problems->count == before ? objects_check(context, err) : 0;
}
