#include "puppet/puppet.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/log.h"
#include "base/testpoint.h"
#include "kernel/procfs.h"
#include "kernel/uapi.h"
#include "puppet/transfer.h"
#include "puppet/wait.h"

/* The end of user space with 4-level page tables: nothing of a newborn lies above. */
#define TASK_SIZE_MAX ((uint64_t)0x7ffffffff000)

static struct ring *ring_of(const struct puppets *puppets, const struct puppet *puppet)
{
	return &puppets->stage->ring[puppet->ring];
}

unsigned long puppet_trace_options(const struct puppets *puppets, const struct puppet *puppet)
{
	unsigned long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD;

	if (puppet->is_process)
		options |= PTRACE_O_TRACEFORK;
	if (puppet->makes_siblings)
		options |= PTRACE_O_TRACECLONE;
	if (puppets->suspend_seccomp)
		options |= PTRACE_O_SUSPEND_SECCOMP;
	return options;
}

/* The child's side of a birth. It waits at the gate until it is traced: from then on it dies with us.
 * If we die before, the gate closes. */
static _Noreturn void born(int gate, int stub_fd)
{
	char *argv[] = {"stasis-puppet", NULL}, *envp[] = {NULL};
	uint64_t all = ~(uint64_t)0;
	char byte;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
	if (read(gate, &byte, 1) == 1)
		syscall(SYS_execveat, stub_fd, "", argv, envp, AT_EMPTY_PATH);
	_exit(127);
}

static int birth_failed(struct puppet *puppet, int errnum, struct error *err)
{
	pid_t pid = puppet->tracee.tid;

	if (errnum == EEXIST) {
		error_refuse(err, ERROR_CONFLICT, "pid %d is in use by another process", pid);
		error_about_task(err, pid);
		error_hint(err,
			"end that process, wait for its parent to reap it, or restore in a new "
			"pid namespace (unshare --pid --fork --mount-proc)");
		return -EEXIST;
	}
	error_set(err, errnum, "creating task %d", pid);
	error_about_task(err, pid);
	if (errnum == EPERM)
		error_hint(err, "choosing a pid needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN");
	return -errnum;
}

int puppet_birth(struct puppets *puppets, struct puppet *puppet, bool sibling, struct error *err)
{
	pid_t pid = puppet->tracee.tid;
	struct clone_args args = {
		.exit_signal = sibling ? 0 : SIGCHLD,
		.flags = sibling ? CLONE_PARENT : 0,
		.set_tid = (uint64_t)(uintptr_t)&pid,
		.set_tid_size = 1,
	};
	_cleanup_(close_fd) int gate_read = -1, gate_write = -1;
	int gate[2];
	long child;

	if (pipe2(gate, O_CLOEXEC) < 0)
		return error_set(err, errno, "creating a pipe");
	gate_read = gate[0];
	gate_write = gate[1];
	child = syscall(SYS_clone3, &args, sizeof(args));
	if (child == 0) {
		close(gate_write);
		born(gate_read, puppets->stage->stub_fd);
	}
	if (child < 0)
		return birth_failed(puppet, errno, err);
	(void)test_point("birth: cloned");
	if (ptrace(PTRACE_SEIZE, pid, 0, puppet_trace_options(puppets, puppet)) < 0)
		return error_set(err, errno, "tracing task %d", pid);
	puppet->tracee.state = TRACEE_RUNNING;
	(void)test_point("birth: traced");
	if (write(gate_write, "", 1) != 1)
		return error_set(err, errno, "starting task %d", pid);
	return 0;
}

/* Lists the newborn's vvar and vdso areas; their order and distances must stay. */
static int plan_parking(
	const struct stage *stage, pid_t pid, struct batch *batch, struct error *err)
{
	_cleanup_(free_ptr) char *text = NULL;
	uint64_t base = 0;
	int rc = procfs_read_file(pid, "maps", &text, NULL, err);

	if (rc < 0)
		return rc;
	for (char *line = text; line && *line;) {
		char *end = strchr(line, '\n'), *p;
		uint64_t from = strtoull(line, &p, 16), to = strtoull(p + 1, NULL, 16), target;

		if (end)
			*end = '\0';
		if (strstr(line, " [vvar") || strstr(line, " [vdso]")) {
			if (!base)
				base = from;
			target = stage->vdso.v + from - base;
			batch_expect(batch,
				batch_op(batch, "park the vdso", SYS_mremap, VAL(from),
					VAL(to - from), VAL(to - from),
					VAL(MREMAP_MAYMOVE | MREMAP_FIXED), VAL(target)),
				(int64_t)target);
		}
		line = end ? end + 1 : NULL;
	}
	return 0;
}

int puppet_clear(
	struct puppets *puppets, struct puppet *puppet, struct arena *arena, struct error *err)
{
	const struct stage *stage = puppets->stage;
	struct batch *hello = batch_create(arena), *batch = batch_create(arena);
	int rc;

	batch_op(hello, "be born", SYS_getpid);
	rc = puppet_run(puppets, puppet, hello, err);
	if (rc == 0)
		rc = plan_parking(stage, puppet->tracee.pid, batch, err);
	if (rc < 0)
		return rc;
	batch_op(batch, "unmap everything below", SYS_munmap, VAL(0), VAL(stage->start.v));
	batch_op(batch, "unmap everything above", SYS_munmap, VAL(stage->end.v),
		VAL(TASK_SIZE_MAX - stage->end.v));
	batch_op(batch, "unmap the stub", SYS_munmap, VAL(stage->stub.v), VAL(PAGE_SIZE));
	return puppet_run(puppets, puppet, batch, err);
}

static int start_piece(struct puppets *puppets, struct puppet *puppet, struct error *err)
{
	struct ring *ring = ring_of(puppets, puppet);
	struct ring_place place = {.first = puppets->stage->rings, .index = (uint32_t)puppet->ring};
	int rc = ring_load(ring, place, puppet->batch, puppet->from, &puppet->end, err);

	if (rc == 0)
		ring_go(ring);
	return rc;
}

int puppet_start(
	struct puppets *puppets, struct puppet *puppet, struct batch *batch, struct error *err)
{
	puppet->batch = batch;
	puppet->from = puppet->end = 0;
	return batch->count ? start_piece(puppets, puppet, err) : 0;
}

/* A puppet forked: its child is stopped before its first instruction, and so is the parent. */
static int adopt(void *arg, struct tracee *parent, struct error *err)
{
	struct puppets *puppets = arg;
	unsigned long message = 0;
	struct puppet *child = NULL;
	int rc;

	if (ptrace(PTRACE_GETEVENTMSG, parent->tid, 0, &message) < 0)
		return error_set(err, errno, "asking for the child of task %d", parent->pid);
	for (size_t i = 0; i < puppets->count && !child; i++)
		if (puppets->all[i].tracee.tid == (pid_t)message)
			child = &puppets->all[i];
	if (!child)
		return error_set(
			err, ESRCH, "task %d forked an unknown child %lu", parent->pid, message);
	child->tracee.state = TRACEE_RUNNING;
	rc = tracee_wait_stop(&child->tracee, 0, err);
	if (rc == 0 && (child->makes_siblings || !child->is_process))
		rc = tracee_set_options(&child->tracee, puppet_trace_options(puppets, child), err);
	if (rc == 0)
		rc = tracee_continue(&child->tracee, PTRACE_CONT, 0, err);
	(void)test_point("a puppet was forked");
	if (rc == 0)
		rc = tracee_continue(parent, PTRACE_CONT, 0, err);
	return rc;
}

static bool piece_forks(const struct puppet *puppet)
{
	for (size_t i = puppet->from; i < puppet->end; i++)
		if (puppet->batch->ops[i].flags & OP_FORK)
			return true;
	return false;
}

int puppet_finish(struct puppets *puppets, struct puppet *puppet, struct error *err)
{
	while (puppet->batch && puppet->batch->count) {
		struct ring *ring = ring_of(puppets, puppet);
		int rc = ring_wait(
			ring, &puppet->tracee, piece_forks(puppet) ? adopt : NULL, puppets, err);

		if (rc == 0)
			rc = ring_collect(ring, puppet->batch, puppet->from, puppet->end,
				puppet->tracee.tid, err);
		if (rc < 0) {
			puppet->batch = NULL;
			return rc;
		}
		puppet->from = puppet->end;
		if (puppet->from == puppet->batch->count)
			break;
		rc = start_piece(puppets, puppet, err);
		if (rc < 0)
			return rc;
	}
	puppet->batch = NULL;
	return 0;
}

int puppet_run(
	struct puppets *puppets, struct puppet *puppet, struct batch *batch, struct error *err)
{
	int rc = puppet_start(puppets, puppet, batch, err);

	return rc < 0 ? rc : puppet_finish(puppets, puppet, err);
}

void puppet_plan_clone(struct batch *batch, const struct puppet *child, pid_t tid, uint64_t flags,
	const char *what)
{
	struct clone_args *args = arena_new(batch->arena, struct clone_args);
	pid_t *set_tid = arena_new(batch->arena, pid_t);
	bool thread = flags & CLONE_THREAD;
	int op;

	*set_tid = tid;
	args->flags = flags;
	args->exit_signal = flags & (CLONE_THREAD | CLONE_PARENT) ? 0 : SIGCHLD;
	args->set_tid_size = 1;
	op = batch_op_flags(batch, thread ? OP_CLONE : OP_CLONE | OP_FORK, what, SYS_clone3,
		IN(args, sizeof(*args)), VAL(sizeof(*args)), RING(child->ring));
	batch_nest(batch, op, 0, offsetof(struct clone_args, set_tid), set_tid, sizeof(*set_tid),
		true, false);
	batch_expect(batch, op, tid);
}

int puppet_attach_thread(struct puppets *puppets, struct puppet *puppet, struct error *err)
{
	if (ptrace(PTRACE_SEIZE, puppet->tracee.tid, 0, puppet_trace_options(puppets, puppet)) < 0)
		return error_set(err, errno, "tracing thread %d", puppet->tracee.tid);
	puppet->tracee.state = TRACEE_RUNNING;
	return 0;
}

void puppets_kill(struct puppets *puppets)
{
	size_t left;

	do {
		left = 0;
		for (size_t i = puppets->count; i-- > 0;) {
			struct tracee *tracee = &puppets->all[i].tracee;

			if (tracee->state != TRACEE_RUNNING && tracee->state != TRACEE_STOPPED)
				continue;
			/* Again each time: there is no other way out. */
			kill(tracee->pid, SIGKILL);
			tracee_poll(tracee);
			if (tracee->state != TRACEE_GONE)
				left++;
		}
		if (left)
			tracing_sleep(1000);
	} while (left);
}
