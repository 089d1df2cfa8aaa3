/*
 * What of an address space only the task itself can tell.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "memory/internal.h"

struct questions {
	int brk, dumpable, thp;
	int mincore; /* -1: not asked */
	unsigned char resident;
};

static bool has_locked_area(const struct dumped_space *space)
{
	for (size_t i = 0; i < space->area_count; i++)
		if (space->areas[i].vma->flags & MAP_LOCKED)
			return true;
	return false;
}

int memory_ask(struct dump_context *context, struct task *task, struct batch *batch, void **cookie,
	struct error *err _unused_)
{
	struct dumped_space *space = dumped_space(task->space);
	struct questions *asked = arena_new(context->arena, struct questions);

	asked->brk = batch_op(batch, "ask the end of the heap", __NR_brk, VAL(0));
	asked->dumpable =
		batch_op(batch, "ask whether it may dump core", __NR_prctl, VAL(PR_GET_DUMPABLE));
	asked->thp = batch_op_flags(batch, OP_ASK, "ask whether huge pages are disabled",
		__NR_prctl, VAL(PR_GET_THP_DISABLE));
	asked->mincore = -1;
	/* mlockall(MCL_FUTURE) shows nowhere; but memory mapped under it is there at once. */
	if (space && has_locked_area(space)) {
		int page = batch_op(batch, "map a page to see whether it is locked", __NR_mmap,
			VAL(0), VAL(PAGE_SIZE), VAL(PROT_READ | PROT_WRITE),
			VAL(MAP_PRIVATE | MAP_ANONYMOUS), VAL(-1), VAL(0));

		asked->mincore = batch_op_flags(batch, OP_ASK, "see whether it is locked",
			__NR_mincore, RESULT(page), VAL(PAGE_SIZE), OUT(&asked->resident, 1));
		batch_op(batch, "unmap the page", __NR_munmap, RESULT(page), VAL(PAGE_SIZE));
	}
	*cookie = asked;
	return 0;
}

int memory_answer(struct dump_context *context _unused_, struct task *task,
	const struct batch *batch, void *cookie, struct error *err _unused_)
{
	const struct questions *asked = cookie;
	MmEntry *mm = task->space->mm;

	mm->mm_brk = (uint64_t)batch_result(batch, asked->brk);
	mm->has_dumpable = true;
	mm->dumpable = (int32_t)batch_result(batch, asked->dumpable);
	mm->has_thp_disabled = true;
	mm->thp_disabled = batch_result(batch, asked->thp) > 0;
	if (asked->mincore >= 0 && batch_result(batch, asked->mincore) == 0 && asked->resident & 1)
		mm->has_lock_future = mm->lock_future = true;
	return 0;
}
