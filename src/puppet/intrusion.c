/*
 * See puppet/intrusion.h, and "Surviving the conductor's death" in docs/architecture.md. The rule for
 * every step below: whatever happens to us between two system calls, the thread goes on as if it had
 * never been stopped. So signals are blocked after, and unblocked before, the matching change of
 * registers, and the way home (the slot) is written before the registers that may need it.
 */
#include "puppet/intrusion.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "base/log.h"
#include "base/testpoint.h"
#include "kernel/procfs.h"
#include "puppet/owner.h"
#include "puppet/restart.h"
#include "puppet/tail.h"
#include "puppet/transfer.h"
#include "puppet/wait.h"

struct intrusion {
	int mem; /* /proc/PID/mem */
	raddr code, arena;
	size_t code_size;
	struct ring *ring; /* the arena, as we have it mapped */
	bool linked;
};

#define ALL_SIGNALS (~(uint64_t)0)

static raddr code_at(const struct intrusion *intrusion, const unsigned char *label)
{
	return (raddr){intrusion->code.v + (uint64_t)(label - dump_executor_start)};
}

/* Where the thread goes by itself when we die. */
static int write_slot(const struct intrusion *intrusion, int index,
	const struct thread_registers *registers, struct error *err)
{
	struct user_regs_struct r = registers->general;
	uint64_t slot[SLOT_SIZE / 8] = {};
	raddr at = code_at(intrusion, dump_executor_slots);
	int rc;

	restart_by_hand(&r);
	slot[SLOT_MASK / 8] = registers->signal_mask;
	slot[SLOT_RIP / 8] = r.rip;
	slot[SLOT_RAX / 8] = r.rax;
	slot[SLOT_RBX / 8] = r.rbx;
	slot[SLOT_RCX / 8] = r.rcx;
	slot[SLOT_RDX / 8] = r.rdx;
	slot[SLOT_RSI / 8] = r.rsi;
	slot[SLOT_RDI / 8] = r.rdi;
	slot[SLOT_RBP / 8] = r.rbp;
	slot[SLOT_R8 / 8] = r.r8;
	slot[SLOT_R9 / 8] = r.r9;
	slot[SLOT_R10 / 8] = r.r10;
	slot[SLOT_R11 / 8] = r.r11;
	slot[SLOT_R12 / 8] = r.r12;
	slot[SLOT_R13 / 8] = r.r13;
	slot[SLOT_R14 / 8] = r.r14;
	slot[SLOT_R15 / 8] = r.r15;
	slot[SLOT_FLAGS / 8] = packed_flags(r.eflags);
	rc = pwrite_full(intrusion->mem, slot, sizeof(slot), (off_t)(at.v + index * SLOT_SIZE));
	return rc < 0 ? error_set(err, -rc, "writing to the vdso page") : 0;
}

static uint64_t role_of(const struct frozen_task *task, const struct frozen_thread *thread)
{
	uint64_t role = thread == task->threads[0] ? 0 : ROLE_VISITOR;

	return thread->suspend_seccomp ? role | ROLE_NO_SYSCALLS : role;
}

/* Under a seccomp filter the way home has no system calls, so the mask is not touched: a signal that
 * comes meanwhile is handled by the task at once, as if it had come before the freeze. */
static int block_signals(struct frozen_thread *thread, struct error *err)
{
	return thread->suspend_seccomp ? 0 : tracee_set_mask(&thread->tracee, ALL_SIGNALS, err);
}

static int unblock_signals(struct frozen_thread *thread, struct error *err)
{
	return thread->suspend_seccomp
		       ? 0
		       : tracee_set_mask(&thread->tracee, thread->registers.signal_mask, err);
}

static int map_arena(struct frozen_task *task, struct intrusion *intrusion, struct error *err)
{
	struct frozen_thread *leader = task->threads[0];
	struct user_regs_struct r = leader->registers.general;
	_cleanup_(close_fd) int fd = -1;
	char name[64];
	int rc;

	r.rip = intrusion->code.v;
	r.orig_rax = (unsigned long long)-1;
	r.rax = SYS_mmap;
	r.rdi = 0;
	r.rsi = RING_SIZE;
	r.rdx = PROT_READ | PROT_WRITE;
	r.r10 = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
	r.r8 = (unsigned long long)-1;
	r.r9 = 0;
	r.r12 = role_of(task, leader);
	leader->borrowed = true;
	rc = tracee_single_call(&leader->tracee, &r, err);
	if (rc < 0)
		return rc;
	if ((int64_t)r.rax < 0)
		return error_set(err, (int)-(int64_t)r.rax, "mapping a page in task %d", task->pid);
	intrusion->arena.v = r.rax;
	rc = block_signals(leader, err);
	if (rc < 0)
		return rc;
	snprintf(name, sizeof(name), "map_files/%llx-%llx", r.rax, r.rax + RING_SIZE);
	fd = procfs_open(task->pid, name, O_RDWR, err);
	if (fd < 0) {
		error_hint(err, "CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN is needed");
		return fd;
	}
	intrusion->ring = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (intrusion->ring == MAP_FAILED) {
		intrusion->ring = NULL;
		return error_set(err, errno, "mapping the arena of task %d", task->pid);
	}
	for (size_t i = 0; i < task->thread_count; i++)
		if (task->threads[i]->suspend_seccomp)
			intrusion->ring->visiting = VISITING_UNKNOWN;
	rc = owner_link(intrusion->ring, err);
	intrusion->linked = rc == 0;
	return rc;
}

/* Sends a stopped thread into the executor. It runs when it is continued. */
static int enter(struct frozen_task *task, struct frozen_thread *thread, struct error *err)
{
	struct intrusion *intrusion = task->intrusion;
	struct user_regs_struct r = thread->registers.general;
	int rc;

	r.rip = code_at(intrusion, dump_executor_visit).v;
	r.orig_rax = (unsigned long long)-1;
	r.rax = 0;
	r.r15 = intrusion->arena.v;
	r.r12 = role_of(task, thread);
	r.r13 = owner_word();
	thread->borrowed = true;
	rc = tracee_set_registers(&thread->tracee, &r, err);
	return rc < 0 ? rc : block_signals(thread, err);
}

static int arena_begin(struct frozen_task *task, struct intrusion *intrusion, struct error *err)
{
	struct frozen_thread *leader = task->threads[0];
	int rc;

	intrusion->mem = procfs_open(task->pid, "mem", O_RDWR, err);
	if (intrusion->mem < 0)
		return intrusion->mem;
	intrusion->code_size = (size_t)(dump_executor_end - dump_executor_start);
	rc = tail_find(task->pid, intrusion->mem, intrusion->code_size, &intrusion->code, err);
	if (rc < 0)
		return rc;
	rc = pwrite_full(intrusion->mem, dump_executor_start, intrusion->code_size,
		(off_t)intrusion->code.v);
	if (rc < 0)
		return error_set(err, -rc, "writing to the vdso page of task %d", task->pid);
	(void)test_point("intrusion: the executor is written");
	rc = write_slot(intrusion, 0, &leader->registers, err);
	if (rc < 0)
		return rc;
	rc = map_arena(task, intrusion, err);
	if (rc < 0)
		return rc;
	(void)test_point("intrusion: the arena is mapped");
	return enter(task, leader, err);
}

int intrusion_begin(struct arena *arena, struct frozen_task *task, struct error *err)
{
	struct intrusion *intrusion = arena_new(arena, struct intrusion);
	int rc;

	intrusion->mem = -1;
	task->intrusion = intrusion;
	rc = arena_begin(task, intrusion, err);
	if (rc < 0) {
		intrusion_end(task);
		error_wrap(err, rc, "entering task %d", task->pid);
	}
	return rc;
}

static int run_piece(struct frozen_task *task, struct frozen_thread *thread, struct error *err)
{
	struct ring *ring = task->intrusion->ring;
	int rc;

	ring_prepare(ring);
	(void)test_point("intrusion: before a batch");
	rc = tracee_continue(&thread->tracee, PTRACE_CONT, 0, err);
	if (rc < 0)
		return rc;
	(void)test_point("intrusion: during a batch");
	rc = ring_wait(ring, &thread->tracee, NULL, NULL, err);
	if (rc < 0)
		return rc;
	rc = tracee_interrupt(&thread->tracee, err);
	if (rc < 0)
		return rc;
	rc = tracee_wait_stop(&thread->tracee, 0, err);
	(void)test_point("intrusion: after a batch");
	return rc;
}

static int run_batch(struct frozen_task *task, struct frozen_thread *thread, struct batch *batch,
	struct error *err)
{
	struct ring_place place = {.first = task->intrusion->arena};

	for (size_t from = 0, end; from < batch->count; from = end) {
		int rc = ring_load(task->intrusion->ring, place, batch, from, &end, err);

		if (rc == 0)
			rc = enter(task, thread, err);
		if (rc == 0) {
			/* Only now: a visitor that we leave here, its registers changed but not yet
			 * running, must not be waited for. */
			if (task->intrusion->ring->visiting != VISITING_UNKNOWN)
				task->intrusion->ring->visiting =
					thread == task->threads[0] ? VISITING_NOBODY : VISITING_ONE;
			rc = run_piece(task, thread, err);
		}
		if (rc == 0)
			rc = ring_collect(
				task->intrusion->ring, batch, from, end, thread->tracee.tid, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Gives a stopped thread its own registers back. */
static int go_home(struct frozen_thread *thread, struct error *err)
{
	int rc;

	if (!thread->borrowed || thread->tracee.state != TRACEE_STOPPED)
		return 0;
	rc = unblock_signals(thread, err);
	(void)test_point("intrusion: between mask and registers");
	if (rc == 0)
		rc = tracee_set_registers(&thread->tracee, &thread->registers.general, err);
	if (rc == 0)
		thread->borrowed = false;
	return rc;
}

int intrusion_run(struct frozen_task *task, struct frozen_thread *thread, struct batch *batch,
	struct error *err)
{
	bool visitor = thread != task->threads[0];
	struct error failed = ERROR_INIT;
	int rc;

	if (visitor) {
		rc = write_slot(task->intrusion, 1, &thread->registers, err);
		if (rc < 0)
			return rc;
	}
	rc = run_batch(task, thread, batch, err);
	if (visitor) {
		int back;

		if (task->intrusion->ring->visiting != VISITING_UNKNOWN)
			task->intrusion->ring->visiting = VISITING_NOBODY;
		(void)test_point("intrusion: the visit is over");
		back = go_home(thread, &failed);
		if (rc == 0 && back < 0) {
			*err = failed;
			rc = back;
		}
	}
	return rc;
}

/* The leader unmaps the arena. Afterwards it is in a stop at a system call's exit, where the kernel does
 * not look for interrupted calls; its own registers may say that there is one. So it is brought to an
 * event stop first. */
static void leave_arena(struct frozen_task *task, struct intrusion *intrusion)
{
	struct frozen_thread *leader = task->threads[0];
	struct user_regs_struct r = leader->registers.general;
	struct error ignored = ERROR_INIT;

	if (leader->tracee.state != TRACEE_STOPPED)
		return;
	r.rip = intrusion->code.v;
	r.orig_rax = (unsigned long long)-1;
	r.rax = SYS_munmap;
	r.rdi = intrusion->arena.v;
	r.rsi = RING_SIZE;
	r.r12 = role_of(task, leader);
	if (intrusion->arena.v && tracee_single_call(&leader->tracee, &r, &ignored) < 0)
		return;
	tracee_to_event_stop(&leader->tracee, &ignored);
}

void intrusion_end(struct frozen_task *task)
{
	struct intrusion *intrusion = task->intrusion;
	struct error ignored = ERROR_INIT;

	if (!intrusion)
		return;
	for (size_t i = 1; i < task->thread_count; i++) {
		struct frozen_thread *thread = task->threads[i];

		/* A visit that failed may have left it running in the executor. */
		if (thread->borrowed && thread->tracee.state == TRACEE_RUNNING &&
			tracee_interrupt(&thread->tracee, &ignored) == 0)
			tracee_wait_stop(&thread->tracee, now_ms() + 1000, &ignored);
		go_home(thread, &ignored);
	}
	if (task->threads[0]->borrowed) {
		struct tracee *leader = &task->threads[0]->tracee;

		if (leader->state == TRACEE_RUNNING && tracee_interrupt(leader, &ignored) == 0)
			tracee_wait_stop(leader, now_ms() + 1000, &ignored);
		leave_arena(task, intrusion);
		go_home(task->threads[0], &ignored);
	}
	for (size_t i = 0; i < task->thread_count; i++)
		if (task->threads[i]->borrowed && task->threads[i]->tracee.state != TRACEE_GONE) {
			/* It could not be brought home. What it needs for its own way stays, and the
			 * owner word tells it to go as soon as we end. */
			close_fd(&intrusion->mem);
			task->intrusion = NULL;
			return;
		}
	if (intrusion->code.v)
		tail_clear(intrusion->mem, intrusion->code, intrusion->code_size);
	intrusion_abandon(task);
}

void intrusion_abandon(struct frozen_task *task)
{
	struct intrusion *intrusion = task->intrusion;

	if (!intrusion)
		return;
	if (intrusion->linked)
		owner_unlink(intrusion->ring);
	if (intrusion->ring)
		munmap(intrusion->ring, RING_SIZE);
	close_fd(&intrusion->mem);
	task->intrusion = NULL;
}

void intrusion_range(const struct frozen_task *task, raddr *ret_start, raddr *ret_end)
{
	*ret_start = *ret_end = (raddr){};
	if (!task->intrusion)
		return;
	*ret_start = task->intrusion->arena;
	ret_end->v = task->intrusion->arena.v ? task->intrusion->arena.v + RING_SIZE : 0;
}
