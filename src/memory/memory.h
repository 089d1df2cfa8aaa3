#pragma once
/*
 * Address spaces and pages, both directions (design.md, section 6).
 */
#include "kinds/context.h"

/* Dump, looking. The threads of `task` are stopped. Fills task->space->mm (everything but the four
 * numbers that only the task can tell, see memory_answer) from smaps, stat and auxv: classifies
 * every area, finds its file (kinds/file/collect.h) or shared memory object, puts what cannot be
 * dumped into context->problems. `pid` is the task as we see it. */
int memory_look(struct dump_context *context, pid_t pid, struct task *task, struct error *err);
/* What the task itself must tell (brk, dumpable, THP-disable ...): one batch in its leader. */
int memory_ask(struct dump_context *context, struct task *task, struct batch *batch, void **cookie,
	struct error *err);
int memory_answer(struct dump_context *context, struct task *task, const struct batch *batch,
	void *cookie, struct error *err);
/* Which pages exist, and which are shared by fork with another space of the tree. After all tasks
 * were looked at. */
int memory_find_pages(struct dump_context *context, struct error *err);
/* Writes mm, pagemap, pages of every space and shared object, while the tree is stopped. `skip` is
 * an address range of ours inside the task that must not be dumped (the executor's arena). */
int memory_save(struct dump_context *context, struct error *err);
void memory_look_end(struct dump_context *context);

/* What was moved, for stats-dump and the progress display. */
struct memory_stats {
	uint64_t pages_scanned, pages_written, shared_pages_written, bytes_written;
};
const struct memory_stats *memory_dump_stats(const struct dump_context *context);

/* Restore: reads mm-*.img and pagemap images; checks every number in them. */
int memory_load(struct restore_context *context, struct error *err);
int memory_check(struct restore_context *context, struct error *err);
/* An address range of `size` bytes that no space of the checkpoint uses. */
int memory_find_gap(
	struct restore_context *context, uint64_t size, raddr *ret_address, struct error *err);
/* Do these two spaces share pages by fork (so that the child must be forked after the parent was
 * filled)? */
bool memory_shares_pages(const struct restore_context *context, const struct address_space *parent,
	const struct address_space *child);
/* Creates shared memory objects and opens page files, inherited by every puppet. */
int memory_open(struct restore_context *context, struct error *err);
void memory_close(struct restore_context *context);

/* What the restore room tells about the puppet in which a space is planned. */
struct memory_host {
	raddr keep_start, keep_end; /* our own range: never unmapped here */
	const struct address_space *inherited; /* the space it was forked from when that was already
						* filled; NULL: empty but for keep and vdso */
	/* Where this kernel's vdso and vvar of the puppet stand now (inside keep), and its layout.
	 */
	raddr vdso_parked;
	uint64_t vvar_size, vdso_size;
};
/* Ops of PHASE_MAP and PHASE_MAP_LATE for the space of this plan's task. */
int memory_plan(struct restore_context *context, struct thread_plan *plan,
	const struct memory_host *host, struct error *err);
uint64_t memory_pages_restored(const struct restore_context *context);
