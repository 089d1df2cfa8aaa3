/*
 * Restore, PHASE_MAP_LATE: what would be in the way of filling and forking.
 *
 * The order matters: locks come before protections (a lock populates, which PROT_NONE forbids),
 * PR_SET_MM_MAP when all areas are there, and seals last, since a sealed area refuses all else.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "memory/restore.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef __NR_mseal
#define __NR_mseal 462
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA           0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static bool is_ours(const VmaEntry *vma)
{
	enum area_type type = vma_type(vma);

	return !vma_is_guard(vma) && type != AREA_VSYSCALL && type != AREA_VDSO &&
	       type != AREA_VVAR && type != AREA_UPROBES && type != AREA_AIO;
}

static void plan_locks(struct space_plan *plan)
{
	for (size_t i = 0; i < plan->mm->n_vmas; i++) {
		const VmaEntry *vma = plan->mm->vmas[i];

		if (!is_ours(vma) || !(vma->flags & MAP_LOCKED))
			continue;
		batch_op(plan->late, "lock memory", __NR_mlock2, VAL(vma->start),
			VAL(vma->end - vma->start), VAL(vma->lock_on_fault ? MLOCK_ONFAULT : 0));
	}
}

/* Neighbours that get the same protection are changed together. */
static void plan_protections(struct space_plan *plan)
{
	uint64_t start = 0, end = 0;
	uint32_t prot = 0;

	for (size_t i = 0; i <= plan->segment_count; i++) {
		const struct segment *segment = i < plan->segment_count ? &plan->segments[i] : NULL;

		if (segment && segment->prot == segment->vma->prot)
			continue;
		if (segment && start < end && segment->start == end && segment->vma->prot == prot) {
			end = segment->end;
			continue;
		}
		if (start < end)
			batch_op(plan->late, "protect memory as it was", __NR_mprotect, VAL(start),
				VAL(end - start), VAL(prot));
		if (!segment)
			return;
		start = segment->start;
		end = segment->end;
		prot = segment->vma->prot;
	}
}

static void plan_advice_of(struct space_plan *plan, const VmaEntry *vma)
{
	static const struct {
		int advice;
		uint32_t flags;
		const char *what;
	} table[] = {
		/* MADV_HUGEPAGE was given before the pages came. */
		{MADV_RANDOM, OP_ADVISORY, "advise random access"},
		{MADV_SEQUENTIAL, OP_ADVISORY, "advise sequential access"},
		{MADV_MERGEABLE, OP_ADVISORY, "advise merging of equal pages"},
		{MADV_NOHUGEPAGE, OP_ADVISORY, "advise against huge pages"},
		{MADV_DONTDUMP, OP_ADVISORY, "keep memory out of core dumps"},
		{MADV_DONTFORK, 0, "keep memory from children"},
		{MADV_WIPEONFORK, 0, "have memory wiped in children"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (vma->madv & (uint64_t)1 << table[i].advice)
			batch_op_flags(plan->late, table[i].flags, table[i].what, __NR_madvise,
				VAL(vma->start), VAL(vma->end - vma->start), VAL(table[i].advice));
}

static void plan_advice(struct space_plan *plan)
{
	for (size_t i = 0; i < plan->mm->n_vmas; i++) {
		const VmaEntry *vma = plan->mm->vmas[i];

		if (vma_is_guard(vma)) {
			batch_op(plan->late, "install guard pages", __NR_madvise, VAL(vma->start),
				VAL(vma->end - vma->start), VAL(MADV_GUARD_INSTALL));
			continue;
		}
		if (!is_ours(vma))
			continue;
		plan_advice_of(plan, vma);
		if (vma->anon_name)
			batch_op_flags(plan->late, OP_ADVISORY, "name memory", __NR_prctl,
				VAL(PR_SET_VMA), VAL(PR_SET_VMA_ANON_NAME), VAL(vma->start),
				VAL(vma->end - vma->start),
				IN(vma->anon_name, strlen(vma->anon_name) + 1));
	}
}

static void plan_seals(struct space_plan *plan)
{
	for (size_t i = 0; i < plan->mm->n_vmas; i++) {
		const VmaEntry *vma = plan->mm->vmas[i];

		if (is_ours(vma) && vma->sealed)
			batch_op(plan->late, "seal memory", __NR_mseal, VAL(vma->start),
				VAL(vma->end - vma->start), VAL(0));
	}
}

/* Once for each object, by the last task that maps it: nobody maps it anew after that. Tasks are
 * planned in the order in which they are made. */
static void plan_objects(struct space_plan *plan)
{
	struct restore_memory *memory = plan->context->memory;
	const struct checkpoint *checkpoint = plan->context->checkpoint;

	if (plan->space->space != checkpoint->spaces[checkpoint->space_count - 1])
		return;
	for (struct restored_object *o = memory->first_object; o; o = o->next) {
		int op;

		if (o->type == AREA_MEMFD && o->memfd->seals & F_SEAL_FUTURE_WRITE) {
			op = batch_op(plan->late, "seal a memfd", __NR_fcntl, VAL(-1),
				VAL(F_ADD_SEALS), VAL(o->memfd->seals));
			plan_fd(plan->context, plan->late, op, 0, &o->fd);
		} else if (o->type == AREA_SYSV && o->sysv->desc->mode & 01000) {
			op = batch_op(plan->late, "mark a SysV segment for removal", __NR_shmctl,
				VAL(-1), VAL(IPC_RMID), VAL(0));
			plan_fd(plan->context, plan->late, op, 0, &o->fd);
		}
	}
}

/* All the numbers at once; the single PR_SET_MM options need CAP_SYS_RESOURCE. The old executable,
 * our stub, is unmapped by now, as exe_fd demands. */
static void plan_numbers(struct space_plan *plan)
{
	const MmEntry *mm = plan->mm;
	struct arena *arena = plan->context->arena;
	struct prctl_mm_map *map = arena_new(arena, struct prctl_mm_map);
	uint32_t size = (uint32_t)(mm->n_mm_saved_auxv * sizeof(uint64_t));
	int op;

	*map = (struct prctl_mm_map){
		.start_code = mm->mm_start_code,
		.end_code = mm->mm_end_code,
		.start_data = mm->mm_start_data,
		.end_data = mm->mm_end_data,
		.start_brk = mm->mm_start_brk,
		.brk = mm->mm_brk,
		.start_stack = mm->mm_start_stack,
		.arg_start = mm->mm_arg_start,
		.arg_end = mm->mm_arg_end,
		.env_start = mm->mm_env_start,
		.env_end = mm->mm_env_end,
		.auxv_size = size,
		.exe_fd = (uint32_t)restore_file_fd(plan->context, mm->exe_file_id),
	};
	op = batch_op(plan->late, "set the numbers of the address space", __NR_prctl,
		VAL(PR_SET_MM), VAL(PR_SET_MM_MAP), IN(map, sizeof(*map)), VAL(sizeof(*map)),
		VAL(0));
	if (size)
		batch_nest(plan->late, op, 2, offsetof(struct prctl_mm_map, auxv),
			arena_memdup(arena, mm->mm_saved_auxv, size), size, true, false);
}

int plan_late(struct space_plan *plan, struct error *err)
{
	int rc;

	plan_locks(plan);
	plan_protections(plan);
	plan_advice(plan);
	plan_aio(plan);
	rc = plan_vdso(plan, err);
	if (rc < 0)
		return rc;
	plan_objects(plan);
	plan_numbers(plan);
	if (plan->mm->lock_future)
		batch_op(plan->late, "lock memory yet to come", __NR_mlockall,
			VAL(plan->mm->lock_future));
	plan_seals(plan);
	return 0;
}
