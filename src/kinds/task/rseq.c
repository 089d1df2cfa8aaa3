/*
 * Restartable sequences, rseq(2).
 *
 * A thread registers an area (glibc: at its start) in which the kernel keeps the current CPU, and
 * in which the thread names the critical section that it is in: rseq_cs points to a struct with
 * the first instruction, the length, and where to go when the thread was preempted or signalled in
 * between. PTRACE_GET_RSEQ_CONFIGURATION (5.13) tells the registration, rseq(2) makes it.
 *
 * The area and the descriptors are ordinary memory and come back with it. What has to be done is
 * the abort: a thread that was stopped in a section has been scheduled away in it, and the kernel
 * would send it to the abort handler on its way back to user mode. But when an executor runs first,
 * the kernel finds an instruction pointer that is in no section and clears rseq_cs; the thread
 * would then go on in the middle of its section as if alone. So a thread is regarded as aborted
 * from the moment on in which it is stopped: ip is the abort handler's, in the image and in the
 * registers to be given back. This is nothing that the kernel would not have
 * done, so a dump that fails half-way has changed nothing.
 *
 * The flags by which a section could ask not to be aborted (RSEQ_CS_FLAG_NO_RESTART_*) were never
 * used by anyone and have been refused by the kernel since 6.1; they are ignored.
 */
#include "kinds/task/rseq.h"

#include <linux/rseq.h>
#include <sys/syscall.h>

#include "kernel/uapi.h"
#include "kinds/task/common.h"
#include "kinds/task/rows.h"
#include "puppet/registers.h"

/* ORIG_RSEQ_SIZE of the kernel; later ones are longer. */
#define RSEQ_SIZE_MIN 32
#define RSEQ_SIZE_MAX 4096

#define RSEQ_CS_OFFSET 8 /* of rseq_cs in struct rseq, on every architecture */

void rseq_ip_of_sequence(pid_t pid, uint64_t rseq_cs, uint64_t ip, uint64_t *ret_ip)
{
	struct rseq_cs sequence;

	*ret_ip = ip;
	if (!rseq_cs || task_read_memory(pid, rseq_cs, &sequence, sizeof(sequence)) < 0)
		return;
	if (ip - sequence.start_ip < sequence.post_commit_offset)
		*ret_ip = sequence.abort_ip;
}

static int read_configuration(pid_t tid, struct __ptrace_rseq_configuration *ret)
{
	*ret = (struct __ptrace_rseq_configuration){0};
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, (void *)sizeof(*ret), ret) < 0)
		return -errno;
	return 0;
}

/* The instruction pointer with which a stopped thread would really go on. */
static uint64_t resume_ip(pid_t pid, uint64_t area, uint64_t ip)
{
	uint64_t rseq_cs;

	if (task_read_memory(pid, area + RSEQ_CS_OFFSET, &rseq_cs, sizeof(rseq_cs)) == 0)
		rseq_ip_of_sequence(pid, rseq_cs, ip, &ip);
	return ip;
}

static int look(
	struct dump_context *context, struct thread_source *source, struct error *err _unused_)
{
	struct __ptrace_rseq_configuration configuration;
	UserX86RegsEntry *gpregs = source->thread->core->thread_info->gpregs;
	uint64_t stopped_at = source->registers->general.rip, ip;
	RseqEntry *entry;

	/* Kernels before 5.13 cannot tell, and are too old for stasis in other ways. */
	if (read_configuration(source->tid, &configuration) < 0 || !configuration.rseq_abi_pointer)
		return 0;
	entry = arena_new(context->arena, RseqEntry);
	rseq_entry__init(entry);
	entry->rseq_abi_pointer = configuration.rseq_abi_pointer;
	entry->rseq_abi_size = configuration.rseq_abi_size;
	entry->signature = configuration.signature;
	source->thread->core->thread_core->rseq_entry = entry;
	ip = resume_ip(source->pid, entry->rseq_abi_pointer, stopped_at);
	if (ip != stopped_at)
		gpregs->ip = source->registers->general.rip = ip;
	return 0;
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader _unused_, struct error *err _unused_)
{
	const RseqEntry *entry =
		thread->core->thread_core ? thread->core->thread_core->rseq_entry : NULL;

	/* The kernel checks the address itself; a size that it refuses is better said here. */
	if (entry && entry->rseq_abi_pointer &&
		(entry->rseq_abi_size < RSEQ_SIZE_MIN || entry->rseq_abi_size > RSEQ_SIZE_MAX))
		task_bad_image(context, thread, "an rseq area of %u bytes", entry->rseq_abi_size);
	return 0;
}

static int plan(struct restore_context *context _unused_, struct thread_plan *plan,
	struct error *err _unused_)
{
	const RseqEntry *entry = plan_core(plan)->thread_core->rseq_entry;

	if (entry && entry->rseq_abi_pointer)
		batch_op(plan->phases[PHASE_STATE], "register the rseq area", SYS_rseq,
			VAL(entry->rseq_abi_pointer), VAL(entry->rseq_abi_size), VAL(0),
			VAL(entry->signature));
	return 0;
}

const struct task_kind rseq_kind = {
	.name = "restartable sequences",
	.look = look,
	.check = check,
	.plan = plan,
};
