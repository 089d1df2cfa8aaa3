/*
 * The commit of a restore.
 *
 * Every thread is stopped and gets everything but its last registers; the way home (the landing record
 * below its red zone, the landing code in the tail of its vdso) is prepared. Then PTRACE_O_EXITKILL is
 * taken from one after the other: who has lost it would, if we died, run the landing code, see that the
 * commit word is still 0, and end its process; who has not is killed by the kernel. The commit is one
 * store to that word. From then on, if we die, whoever is still stopped lands by itself. So at each
 * instant either the whole tree lives or none of it.
 *
 * The one gap: a thread below whose stack pointer there is no memory to write to has no record. It
 * keeps EXITKILL until it is let go, a few microseconds after the commit.
 */
#include "puppet/land.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/io.h"
#include "base/log.h"
#include "base/testpoint.h"
#include "kernel/procfs.h"
#include "puppet/restart.h"
#include "puppet/tail.h"

static uint64_t record_address(const struct landing *landing)
{
	return landing->registers.general.rsp - RED_ZONE - LAND_SIZE;
}

static void write_record(struct landing *landing)
{
	struct user_regs_struct r = landing->registers.general;
	uint64_t record[LAND_SIZE / 8] = {};
	struct iovec local = {record, sizeof(record)};
	struct iovec remote = {(void *)(uintptr_t)record_address(landing), sizeof(record)};

	restart_by_hand(&r);
	record[LAND_RIP / 8] = r.rip;
	record[LAND_MASK / 8] = landing->registers.signal_mask;
	record[LAND_FLAGS / 8] = packed_flags(r.eflags);
	record[LAND_RAX / 8] = r.rax;
	record[LAND_RDI / 8] = r.rdi;
	record[LAND_RSI / 8] = r.rsi;
	record[LAND_RDX / 8] = r.rdx;
	record[LAND_R10 / 8] = r.r10;
	record[LAND_RCX / 8] = r.rcx;
	record[LAND_R11 / 8] = r.r11;
	landing->has_record = process_vm_writev(landing->puppet->tracee.pid, &local, 1, &remote, 1,
				      0) == (ssize_t)sizeof(record);
	if (!landing->has_record)
		log_debug("thread %d has no room below its stack pointer",
			landing->puppet->tracee.tid);
}

static void landing_registers(const struct puppets *puppets, const struct landing *landing,
	bool unmap, struct user_regs_struct *r)
{
	const struct stage *stage = puppets->stage;

	*r = landing->registers.general;
	r->orig_rax = (unsigned long long)-1;
	r->rip = landing->code.v;
	r->rsp = record_address(landing);
	r->rdx = stage_ring(stage, 0).v + RING_COMMIT;
	r->r10 = landing->seccomp ? LAND_NO_SYSCALLS : unmap ? LAND_UNMAP : 0;
	r->rdi = stage->start.v;
	r->rsi = stage->end.v - stage->start.v;
}

/* A primed puppet must be inside its call; one that was too quick for us has an answer already. */
static int stop_primed(struct puppets *puppets, struct landing *landing, struct error *err)
{
	struct tracee *tracee = &landing->puppet->tracee;
	struct ring *ring = &puppets->stage->ring[landing->puppet->ring];

	for (int tries = 0; tries < 1000; tries++) {
		struct user_regs_struct r;
		int rc = tracee_interrupt(tracee, err);

		if (rc == 0)
			rc = tracee_wait_stop(tracee, 0, err);
		if (rc == 0)
			rc = tracee_get_registers(tracee, &r, err);
		if (rc < 0)
			return rc;
		if (__atomic_load_n(&ring->done, __ATOMIC_ACQUIRE) == ring->go) {
			/* It returned: that is the thread's result. */
			landing->registers.general.rax =
				(uint64_t)ring->ops[ring->count - 1].result;
			landing->registers.general.orig_rax = (unsigned long long)-1;
			return 0;
		}
		if ((int64_t)r.rax == -ERESTART_RESTARTBLOCK)
			return 0;
		rc = tracee_continue(tracee, PTRACE_CONT, 0, err);
		if (rc < 0)
			return rc;
		usleep(100);
	}
	return error_set(err, ETIMEDOUT, "task %d does not enter its call", tracee->pid);
}

static int stop_all(
	struct puppets *puppets, struct landing *landings, size_t count, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++)
		if (!landings[i].primed)
			rc = tracee_interrupt(&landings[i].puppet->tracee, err);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = landings[i].primed ? stop_primed(puppets, &landings[i], err)
					: tracee_wait_stop(&landings[i].puppet->tracee, 0, err);
	return rc;
}

static int write_code(struct landing *landing, struct error *err)
{
	pid_t pid = landing->puppet->tracee.pid;
	size_t size = (size_t)(landing_end - landing_start);
	_cleanup_(close_fd) int mem = procfs_open(pid, "mem", O_RDWR, err);
	int rc;

	if (mem < 0)
		return mem;
	rc = tail_find(pid, mem, size, &landing->code, err);
	if (rc < 0)
		return rc;
	rc = pwrite_full(mem, landing_start, size, (off_t)landing->code.v);
	return rc < 0 ? error_set(err, -rc, "writing to the vdso page of task %d", pid) : 0;
}

/* The code lies where the thread that unmaps has it, which comes first in its address space. */
static int prepare(struct puppets *puppets, struct landing *landing, raddr *code, struct error *err)
{
	struct tracee *tracee = &landing->puppet->tracee;
	struct user_regs_struct r;
	int rc = 0;

	if (landing->unmaps)
		rc = write_code(landing, err);
	if (rc < 0)
		return rc;
	if (landing->unmaps)
		*code = landing->code;
	landing->code = *code;
	rc = tracee_set_xsave(tracee, landing->registers.xsave, landing->registers.xsave_size, err);
	if (rc < 0)
		return rc;
	write_record(landing);
	if (!landing->has_record)
		return 0;
	landing_registers(puppets, landing, false, &r);
	rc = tracee_set_registers(tracee, &r, err);
	if (rc == 0 && landing->seccomp)
		rc = tracee_set_mask(tracee, landing->registers.signal_mask, err);
	return rc;
}

/* From here on nothing may fail; what does, is a task that was killed. */
static void set_last(struct landing *landing)
{
	struct tracee *tracee = &landing->puppet->tracee;
	struct error ignored = ERROR_INIT;

	/* First the mask: if we die in between, landing sets it once more. */
	tracee_set_mask(tracee, landing->registers.signal_mask, &ignored);
	(void)test_point("landing: between mask and registers");
	tracee_set_registers(tracee, &landing->registers.general, &ignored);
}

static void detach(struct landing *landing)
{
	struct error ignored = ERROR_INIT;

	tracee_detach(&landing->puppet->tracee, &ignored);
}

/* A task that is to be stopped goes with a stop signal that all its threads find before their first
 * instruction: DETACH from an event stop takes none along. */
static void let_go_stopped(struct landing *landings, size_t count, struct landing *last)
{
	pid_t pid = last->puppet->tracee.pid;

	kill(pid, last->stop_signal);
	for (size_t i = 0; i < count; i++)
		if (landings[i].puppet->tracee.pid == pid)
			detach(&landings[i]);
}

static void let_go_last(
	struct puppets *puppets, struct landing *landings, size_t count, struct landing *landing)
{
	struct tracee *tracee = &landing->puppet->tracee;
	struct error ignored = ERROR_INIT;
	struct user_regs_struct r;

	landing_registers(puppets, landing, true, &r);
	if (!landing->exact && !landing->seccomp && !landing->stopped && landing->has_record) {
		tracee_set_registers(tracee, &r, &ignored);
		detach(landing);
		return;
	}
	r.rip = landing->code.v + (uint64_t)(landing_unmap - landing_start);
	r.rax = SYS_munmap;
	tracee_single_call(tracee, &r, &ignored);
	tracee_to_event_stop(tracee, &ignored);
	set_last(landing);
	if (landing->stopped)
		let_go_stopped(landings, count, landing);
	else
		detach(landing);
}

static int drop_exitkill(struct puppets *puppets, struct landing *landing, struct error *err)
{
	unsigned long options = PTRACE_O_TRACESYSGOOD;

	if (!landing->has_record)
		return 0;
	if (puppets->suspend_seccomp)
		options |= PTRACE_O_SUSPEND_SECCOMP;
	return tracee_set_options(&landing->puppet->tracee, options, err);
}

/* Who lands by itself needs a CPU for it. Whoever looks at the tree as soon as we say that it is there
 * shall find it as it was, so we wait a little until our pages are gone. */
static void await_landing(const struct puppets *puppets, const struct landing *landing)
{
	char byte;
	struct iovec local = {&byte, 1};
	struct iovec remote = {(void *)(uintptr_t)puppets->stage->rings.v, 1};
	int64_t deadline = now_ms() + 1000;

	while (process_vm_readv(landing->puppet->tracee.pid, &local, 1, &remote, 1, 0) == 1 &&
		now_ms() < deadline)
		usleep(20);
}

int land(struct puppets *puppets, struct landing *landings, size_t count, bool *ret_committed,
	struct error *err)
{
	raddr code = {};
	int rc = stop_all(puppets, landings, count, err);

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = prepare(puppets, &landings[i], &code, err);
	(void)test_point("landing: prepared");
	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = drop_exitkill(puppets, &landings[i], err);
		(void)test_point("landing: no longer killed with us");
	}
	if (rc < 0)
		return rc;
	__atomic_store_n(&puppets->stage->ring[0].commit, 1, __ATOMIC_SEQ_CST);
	*ret_committed = true;
	(void)test_point("landing: committed");
	for (size_t i = 0; i < count; i++) {
		if (landings[i].unmaps)
			continue;
		set_last(&landings[i]);
		if (!landings[i].stopped)
			detach(&landings[i]);
	}
	(void)test_point("landing: all but the last are free");
	for (size_t i = 0; i < count; i++)
		if (landings[i].unmaps)
			let_go_last(puppets, landings, count, &landings[i]);
	for (size_t i = 0; i < count; i++)
		if (landings[i].unmaps)
			await_landing(puppets, &landings[i]);
	return 0;
}
