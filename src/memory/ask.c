/*
 * What of an address space only the task itself can tell.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "memory/internal.h"

struct questions {
	int brk, dumpable, thp;
	int map, msync, mincore;
	unsigned char resident;
};

/* mlockall(MCL_FUTURE) shows nowhere. But msync(MS_INVALIDATE) is refused (EBUSY) on locked memory,
 * so that a page mapped for a moment tells; and with MCL_ONFAULT that page is not there yet. */
static void ask_locking(struct batch *batch, struct questions *asked)
{
	asked->map = batch_op_flags(batch, OP_ASK, "map a page to see whether it is locked",
		__NR_mmap, VAL(0), VAL(PAGE_SIZE), VAL(PROT_READ | PROT_WRITE),
		VAL(MAP_PRIVATE | MAP_ANONYMOUS), VAL(-1), VAL(0));
	asked->msync = batch_op_flags(batch, OP_ASK, "see whether it is locked", __NR_msync,
		RESULT(asked->map), VAL(PAGE_SIZE), VAL(MS_INVALIDATE));
	asked->mincore = batch_op_flags(batch, OP_ASK, "see whether it is there", __NR_mincore,
		RESULT(asked->map), VAL(PAGE_SIZE), OUT(&asked->resident, 1));
	batch_op_flags(
		batch, OP_ASK, "unmap the page", __NR_munmap, RESULT(asked->map), VAL(PAGE_SIZE));
}

static uint32_t locking(const struct batch *batch, const struct questions *asked)
{
	int64_t page = batch_result(batch, asked->map);

	if (page < 0)
		/* The limit of locked memory forbids another page. */
		return page == -EAGAIN ? MCL_FUTURE : 0;
	if (batch_result(batch, asked->msync) != -EBUSY)
		return 0;
	return batch_result(batch, asked->mincore) == 0 && asked->resident & 1
		       ? MCL_FUTURE
		       : MCL_FUTURE | MCL_ONFAULT;
}

int memory_ask(struct dump_context *context, struct task *task _unused_, struct batch *batch,
	void **cookie, struct error *err _unused_)
{
	struct questions *asked = arena_new(context->arena, struct questions);

	asked->brk = batch_op(batch, "ask the end of the heap", __NR_brk, VAL(0));
	asked->dumpable =
		batch_op(batch, "ask whether it may dump core", __NR_prctl, VAL(PR_GET_DUMPABLE));
	asked->thp = batch_op_flags(batch, OP_ASK, "ask whether huge pages are disabled",
		__NR_prctl, VAL(PR_GET_THP_DISABLE));
	ask_locking(batch, asked);
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
	mm->lock_future = locking(batch, asked);
	mm->has_lock_future = mm->lock_future != 0;
	return 0;
}
