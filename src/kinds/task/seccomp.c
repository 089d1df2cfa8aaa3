/*
 * Seccomp: the mode and the filters of a thread, seccomp(2).
 *
 * PTRACE_SECCOMP_GET_FILTER gives the classic BPF program number n of a thread, 0 being the oldest
 * (ptrace(2) says the reverse; measured on 6.18), PTRACE_SECCOMP_GET_METADATA its flags
 * (SECCOMP_FILTER_FLAG_LOG is all that it tells). Threads and children share filters: in the image
 * each is stored once, with the one below it as `prev`, and a thread names its topmost.
 *
 * A restore installs them oldest first. The restore room traces all puppets with
 * PTRACE_O_SUSPEND_SECCOMP, so no filter has a say until the thread is let go. They are installed
 * before the credentials are set, because without no_new_privs that needs CAP_SYS_ADMIN;
 * no_new_privs itself, which no call of ours minds, comes with them.
 *
 * Refused: filters that ask a supervisor (SECCOMP_RET_USER_NOTIF), whose listener is a descriptor
 * in another task; filters of more instructions than an op can carry (BATCH_DATA_MAX).
 */
#include "kinds/task/seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "kernel/uapi.h"
#include "kinds/task/common.h"
#include "kinds/task/rows.h"

#define FILTERS_MAX      4096 /* far above what the kernel's limit on instructions leaves */
#define INSTRUCTIONS_MAX BPF_MAXINSNS
#define KEPT_FLAGS       SECCOMP_FILTER_FLAG_LOG

#ifndef SECCOMP_RET_USER_NOTIF
#define SECCOMP_RET_USER_NOTIF 0x7fc00000U
#endif

int seccomp_intern(
	struct checkpoint *checkpoint, int64_t prev, uint32_t flags, const void *bytes, size_t size)
{
	struct arena *arena = checkpoint->arena;
	SeccompEntry *seccomp = checkpoint->seccomp;
	SeccompFilter *filter, **grown;

	if (!seccomp) {
		seccomp = checkpoint->seccomp = arena_new(arena, SeccompEntry);
		seccomp_entry__init(seccomp);
	}
	for (size_t i = 0; i < seccomp->n_seccomp_filters; i++) {
		filter = seccomp->seccomp_filters[i];
		if ((filter->has_prev ? (int64_t)filter->prev : -1) == prev &&
			(filter->has_flags ? filter->flags : 0) == flags &&
			filter->filter.len == size && !memcmp(filter->filter.data, bytes, size))
			return (int)i;
	}
	filter = arena_new(arena, SeccompFilter);
	seccomp_filter__init(filter);
	filter->filter.len = size;
	filter->filter.data = arena_memdup(arena, bytes, size);
	if (prev >= 0) {
		filter->has_prev = true;
		filter->prev = (uint32_t)prev;
	}
	if (flags) {
		filter->has_flags = true;
		filter->flags = flags;
	}
	/* Filters are few: no capacity is kept beside the message. */
	grown = arena_array(arena, SeccompFilter *, seccomp->n_seccomp_filters + 1);
	if (seccomp->n_seccomp_filters)
		memcpy(grown, seccomp->seccomp_filters,
			seccomp->n_seccomp_filters * sizeof(*grown));
	grown[seccomp->n_seccomp_filters] = filter;
	seccomp->seccomp_filters = grown;
	return (int)seccomp->n_seccomp_filters++;
}

bool seccomp_chain(const SeccompEntry *seccomp, uint32_t last, struct arena *arena,
	uint32_t **ret_chain, size_t *ret_count)
{
	size_t total = seccomp ? seccomp->n_seccomp_filters : 0;
	size_t count = 0;
	uint32_t index = last;
	uint32_t *chain;

	for (;;) {
		if (index >= total || count == total)
			return false;
		count++;
		if (!seccomp->seccomp_filters[index]->has_prev)
			break;
		index = seccomp->seccomp_filters[index]->prev;
	}
	chain = arena_array(arena, uint32_t, count);
	index = last;
	for (size_t i = count; i-- > 0;) {
		chain[i] = index;
		index = seccomp->seccomp_filters[index]->prev;
	}
	*ret_chain = chain;
	*ret_count = count;
	return true;
}

static bool asks_supervisor(const struct sock_filter *program, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (program[i].code == (BPF_RET | BPF_K) &&
			(program[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF)
			return true;
	return false;
}

/* 1 and the index in the image, 0 where there is no n-th filter, or an error. */
static int read_filter(struct dump_context *context, const struct thread_source *source,
	uint64_t number, int64_t prev, int *ret_index, struct error *err)
{
	struct sock_filter *program;
	struct __ptrace_seccomp_metadata metadata = {.filter_off = number};
	long count = ptrace(PTRACE_SECCOMP_GET_FILTER, source->tid, (void *)number, NULL);

	if (count < 0 && errno == ENOENT)
		return 0;
	if (count < 0)
		return error_set(err, errno, "reading seccomp filter %llu of thread %d",
			(unsigned long long)number, source->tid);
	program = arena_array(context->arena, struct sock_filter, (size_t)count);
	if (ptrace(PTRACE_SECCOMP_GET_FILTER, source->tid, (void *)number, program) != count)
		return error_set(err, EIO, "reading seccomp filter %llu of thread %d",
			(unsigned long long)number, source->tid);
	/* 4.16; without it a filter loses its wish to be logged. */
	(void)ptrace(PTRACE_SECCOMP_GET_METADATA, source->tid, (void *)sizeof(metadata), &metadata);
	if (asks_supervisor(program, (size_t)count))
		task_obstacle(context, source,
			"has a seccomp filter that asks a supervisor (SECCOMP_RET_USER_NOTIF), "
			"whose "
			"connection cannot be kept");
	if ((size_t)count * sizeof(*program) > BATCH_DATA_MAX)
		task_obstacle(context, source,
			"has a seccomp filter of %ld instructions, more than "
			"%zu cannot be restored",
			count, BATCH_DATA_MAX / sizeof(*program));
	*ret_index = seccomp_intern(context->checkpoint, prev,
		(uint32_t)metadata.flags & KEPT_FLAGS, program, (size_t)count * sizeof(*program));
	return 1;
}

static int look(struct dump_context *context, struct thread_source *source, struct error *err)
{
	ThreadCoreEntry *thread = source->thread->core->thread_core;
	int64_t last = -1;
	int rc, index = -1;

	if (source->status->seccomp <= SECCOMP_MODE_DISABLED)
		return 0;
	thread->has_seccomp_mode = true;
	thread->seccomp_mode = (SeccompMode)source->status->seccomp;
	if (source->status->seccomp != SECCOMP_MODE_FILTER)
		return 0;
	for (uint64_t number = 0; number < FILTERS_MAX; number++) {
		rc = read_filter(context, source, number, last, &index, err);
		if (rc < 0) {
			error_about_task(err, source->pid);
			return rc;
		}
		if (!rc)
			break;
		last = index;
	}
	if (last < 0)
		return error_set(
			err, EIO, "thread %d has seccomp filters that cannot be read", source->tid);
	thread->has_seccomp_filter = true;
	thread->seccomp_filter = (uint32_t)last;
	return 0;
}

/* Images before CRIU 3.0 have both in tc, for all threads. */
static SeccompMode mode_of(const CoreEntry *core, uint32_t *ret_filter)
{
	const ThreadCoreEntry *thread = core->thread_core;

	if (thread && thread->has_seccomp_mode) {
		*ret_filter = thread->seccomp_filter;
		return thread->seccomp_mode;
	}
	if (core->tc && core->tc->has_old_seccomp_mode) {
		*ret_filter = core->tc->old_seccomp_filter;
		return core->tc->old_seccomp_mode;
	}
	return SECCOMP_MODE__disabled;
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader _unused_, struct error *err _unused_)
{
	const SeccompEntry *seccomp = context->checkpoint->seccomp;
	uint32_t last = 0, *chain;
	size_t count;
	SeccompMode mode = mode_of(thread->core, &last);

	if (mode == SECCOMP_MODE__disabled || mode == SECCOMP_MODE__strict)
		return 0;
	if (mode != SECCOMP_MODE__filter) {
		task_bad_image(context, thread, "there is no seccomp mode %d", (int)mode);
		return 0;
	}
	if (!seccomp_chain(seccomp, last, context->arena, &chain, &count)) {
		task_bad_image(
			context, thread, "seccomp filter %u or one below it is not there", last);
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		size_t size = seccomp->seccomp_filters[chain[i]]->filter.len;

		if (!size || size % sizeof(struct sock_filter) ||
			size / sizeof(struct sock_filter) > INSTRUCTIONS_MAX)
			task_bad_image(
				context, thread, "seccomp filter %u has %zu bytes", chain[i], size);
		else if (size > BATCH_DATA_MAX)
			task_conflict(context, thread,
				"has a seccomp filter of %zu instructions, more than can be "
				"restored",
				size / sizeof(struct sock_filter));
	}
	return 0;
}

static void plan_filter(struct arena *arena, struct batch *batch, const SeccompFilter *filter)
{
	struct sock_fprog *program = arena_new(arena, struct sock_fprog);
	int op;

	program->len = (unsigned short)(filter->filter.len / sizeof(struct sock_filter));
	op = batch_op(batch, "install a seccomp filter", SYS_seccomp, VAL(SECCOMP_SET_MODE_FILTER),
		VAL(filter->has_flags ? filter->flags & KEPT_FLAGS : 0),
		IN(program, sizeof(*program)));
	batch_nest(batch, op, 2, offsetof(struct sock_fprog, filter), filter->filter.data,
		(uint32_t)filter->filter.len, true, false);
}

static int plan(
	struct restore_context *context, struct thread_plan *plan, struct error *err _unused_)
{
	struct batch *batch = plan->phases[PHASE_IDENTITY];
	const CoreEntry *core = plan_core(plan);
	const CredsEntry *creds = core->thread_core->creds;
	uint32_t last = 0, *chain;
	size_t count;
	SeccompMode mode = mode_of(core, &last);

	if (creds && creds->no_new_privs)
		batch_op(batch, "set no_new_privs", SYS_prctl, VAL(PR_SET_NO_NEW_PRIVS), VAL(1));
	if (mode == SECCOMP_MODE__strict)
		batch_op(batch, "set strict seccomp", SYS_seccomp, VAL(SECCOMP_SET_MODE_STRICT));
	if (mode != SECCOMP_MODE__filter ||
		!seccomp_chain(context->checkpoint->seccomp, last, context->arena, &chain, &count))
		return 0;
	for (size_t i = 0; i < count; i++)
		plan_filter(context->arena, batch,
			context->checkpoint->seccomp->seccomp_filters[chain[i]]);
	return 0;
}

const struct task_kind seccomp_kind = {
	.name = "seccomp",
	.limits = "filters that ask a supervisor (user notification): refused",
	.look = look,
	.check = check,
	.plan = plan,
};
