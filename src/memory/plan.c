/*
 * Restore: an address space as a list of operations for the puppet that becomes its owner.
 *
 * PHASE_MAP: what was inherited and is not wanted goes, every area is mapped at its address,
 * writable where pages are read into it, and the pages are read. Then children are forked that
 * share pages. PHASE_MAP_LATE is late.c.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "memory/restore.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static const char *map_what(enum area_type type)
{
	switch (type) {
	case AREA_FILE:
		return "map a file";
	case AREA_MEMFD:
		return "map a memfd";
	case AREA_SHARED_ANON:
		return "map shared memory";
	default:
		return "map memory";
	}
}

static bool is_read_only(const VmaEntry *vma)
{
	return vma->has_fdflags && (vma->fdflags & O_ACCMODE) == O_RDONLY;
}

static int map_object(struct space_plan *plan, const VmaEntry *vma, int op)
{
	struct restored_object *object = object_of_area(plan->context, vma);
	bool read_only = object->needs_read_fd && is_read_only(vma);

	plan_fd(plan->context, plan->map, op, 4, read_only ? &object->read_fd : &object->fd);
	return op;
}

/* A segment may be attached as a whole only; protections of parts are changed afterwards. */
static void attach_segment(struct space_plan *plan, const VmaEntry *vma)
{
	struct restored_object *object = object_of_area(plan->context, vma);
	int flags = (is_read_only(vma) ? SHM_RDONLY : 0) | (vma->prot & PROT_EXEC ? SHM_EXEC : 0);
	int op;

	if (vma->pgoff)
		return; /* the part before has attached it */
	op = batch_op(plan->map, "attach a SysV shared memory segment", __NR_shmat, VAL(-1),
		VAL(vma->start), VAL(flags));
	plan_fd(plan->context, plan->map, op, 0, &object->fd);
	batch_expect(plan->map, op, (int64_t)vma->start);
}

/* Of another kernel: plain memory, with jumps to this one's. */
static void fill_vdso(struct space_plan *plan)
{
	struct vdso_placement *vdso = &plan->space->vdso;
	struct iovec *iov = arena_new(plan->context->arena, struct iovec);
	int op;

	*iov = (struct iovec){(void *)(uintptr_t)vdso->image_start, vdso->image_size};
	op = batch_op(plan->map, "fill the vdso of the image", __NR_preadv, VAL(-1),
		IN(iov, sizeof(*iov)), VAL(1));
	plan_fd(plan->context, plan->map, op, 0, &vdso->fd);
	batch_expect(plan->map, op, (int64_t)vdso->image_size);
}

static void map_segment(struct space_plan *plan, struct segment *segment)
{
	const VmaEntry *vma = segment->vma;
	enum area_type type = vma_type(vma);
	uint32_t flags = vma->flags & ~(uint32_t)(MAP_LOCKED | MAP_POPULATE | MAP_NONBLOCK);
	uint64_t size = segment->end - segment->start;
	uint64_t offset = vma->pgoff + (segment->start - vma->start);
	int op;

	if (type == AREA_SYSV) {
		attach_segment(plan, vma);
		segment->prot = is_read_only(vma) ? PROT_READ : PROT_READ | PROT_WRITE;
		return;
	}
	if ((segment->filled || type == AREA_VDSO) && !(segment->prot & PROT_WRITE))
		segment->prot |= PROT_READ | PROT_WRITE;
	if (type == AREA_ANON || type == AREA_VDSO)
		offset = 0;
	else
		flags &=
			~(uint32_t)(MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_BITS << MAP_HUGE_OFFSET);
	op = batch_op(plan->map, map_what(type), __NR_mmap, VAL(segment->start), VAL(size),
		VAL(segment->prot), VAL(flags | MAP_FIXED_NOREPLACE), VAL(-1), VAL(offset));
	batch_expect(plan->map, op, (int64_t)segment->start);
	if (type == AREA_FILE)
		plan->map->ops[op].args[4] =
			VAL(restore_file_fd(plan->context, (uint32_t)vma->shmid));
	else if (type == AREA_MEMFD || type == AREA_SHARED_ANON)
		map_object(plan, vma, op);
	else if (type == AREA_VDSO)
		fill_vdso(plan);
	/* Before the pages come, so that they come huge. */
	if (vma->madv & (uint64_t)1 << MADV_HUGEPAGE)
		batch_op_flags(plan->map, OP_ADVISORY, "ask for huge pages", __NR_madvise,
			VAL(segment->start), VAL(size), VAL(MADV_HUGEPAGE));
}

static void plan_mapping(struct space_plan *plan)
{
	for (size_t i = 0; i < plan->segment_count; i++) {
		struct segment *segment = &plan->segments[i];

		if (!segment->kept) {
			map_segment(plan, segment);
		} else if (segment->filled && !(segment->prot & PROT_WRITE)) {
			segment->prot |= PROT_READ | PROT_WRITE;
			batch_op(plan->map, "make inherited memory writable", __NR_mprotect,
				VAL(segment->start), VAL(segment->end - segment->start),
				VAL(segment->prot));
		}
	}
}

int memory_plan(struct restore_context *context, struct thread_plan *thread,
	const struct memory_host *host, struct error *err)
{
	struct address_space *space = thread->task->space;
	struct space_plan plan = {
		.context = context,
		.host = host,
		.space = restored_space(space),
		.mm = space->mm,
		.map = thread->phases[PHASE_MAP],
		.late = thread->phases[PHASE_MAP_LATE],
		.parent = restored_space(host->inherited),
	};

	if (plan.parent && !plan.parent->segments)
		return error_set(
			err, EINVAL, "task %d is planned before its parent", thread->task->pid);
	/* Also passed on by fork, and it keeps pages from coming huge. */
	if (plan.mm->thp_disabled || (host->inherited && host->inherited->mm->thp_disabled))
		batch_op(plan.map, "disable huge pages, or not", __NR_prctl,
			VAL(PR_SET_THP_DISABLE), VAL(plan.mm->thp_disabled), VAL(0), VAL(0),
			VAL(0));
	plan_segments(&plan);
	plan_find_filled(&plan);
	plan_mapping(&plan);
	plan_fill(&plan);
	plan.space->segments = plan.segments;
	plan.space->segment_count = plan.segment_count;
	return plan_late(&plan, err);
}

uint64_t memory_pages_restored(const struct restore_context *context)
{
	const struct restore_memory *memory = context->memory;

	return memory ? memory->pages_planned : 0;
}
