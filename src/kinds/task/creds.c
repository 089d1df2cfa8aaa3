/*
 * Credentials: user and group ids, supplementary groups, capabilities, securebits. Each thread has
 * its own.
 *
 * All but the securebits stands in /proc/PID/task/TID/status. Each thread sets its own, with the
 *raw calls (glibc's would set those of all threads), in this order, which rests on capabilities(7):
 *
 *	1 SECBIT_NO_SETUID_FIXUP	so that changing user ids leaves the capabilities alone
 *	2 groups, group ids, user ids	still with CAP_SETGID, CAP_SETUID
 *	3 capset() with all permitted, and the inheritable ones as they will be (which must be in
 *the bounding set at this moment, not later)
 *	4 bounding set			PR_CAPBSET_DROP needs CAP_SETPCAP
 *	5 ambient set			needs each to be permitted and inheritable, and
 *					SECBIT_NO_CAP_AMBIENT_RAISE not yet set
 *	6 securebits			need CAP_SETPCAP; keep-caps is one of them
 *	7 capset() as it will be	drops all the rest
 *
 * Threads whose credentials are those of this process (root's tree, restored by root) need nothing.
 *
 * Capabilities that this process lacks cannot be given. In the bounding set, which only limits what
 * a later exec may gain, that is a warning; in the permitted, effective, inheritable or ambient set
 * it is refused: the program would find itself without something that it had. (Capabilities that
 * this kernel does not know are ignored: nothing asks for them.)
 *
 * Not kept: the security label (lsm_profile), keyrings.
 */
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "kinds/task/common.h"
#include "kinds/task/rows.h"

#define GROUPS_MAX (BATCH_DATA_MAX / sizeof(uint32_t))

/* Each set is two words. */
#define SET_WORDS 2

static uint64_t set_of(const uint32_t *words, size_t count)
{
	return count == SET_WORDS ? words[0] | (uint64_t)words[1] << 32 : 0;
}

static uint32_t *words_of(struct arena *arena, uint64_t set)
{
	uint32_t *words = arena_array(arena, uint32_t, SET_WORDS);

	words[0] = (uint32_t)set;
	words[1] = (uint32_t)(set >> 32);
	return words;
}

static void caps_to_image(struct arena *arena, const struct proc_status *status, CredsEntry *creds)
{
	creds->cap_inh = words_of(arena, status->caps[PROC_CAP_INH]);
	creds->cap_prm = words_of(arena, status->caps[PROC_CAP_PRM]);
	creds->cap_eff = words_of(arena, status->caps[PROC_CAP_EFF]);
	creds->cap_bnd = words_of(arena, status->caps[PROC_CAP_BND]);
	creds->n_cap_inh = creds->n_cap_prm = SET_WORDS;
	creds->n_cap_eff = creds->n_cap_bnd = SET_WORDS;
	if (status->caps[PROC_CAP_AMB]) {
		creds->cap_amb = words_of(arena, status->caps[PROC_CAP_AMB]);
		creds->n_cap_amb = SET_WORDS;
	}
}

static int look(
	struct dump_context *context, struct thread_source *source, struct error *err _unused_)
{
	const struct proc_status *status = source->status;
	CredsEntry *creds = arena_new(context->arena, CredsEntry);

	creds_entry__init(creds);
	creds->uid = status->uid[0];
	creds->euid = status->uid[1];
	creds->suid = status->uid[2];
	creds->fsuid = status->uid[3];
	creds->gid = status->gid[0];
	creds->egid = status->gid[1];
	creds->sgid = status->gid[2];
	creds->fsgid = status->gid[3];
	creds->n_groups = status->group_count;
	if (status->group_count)
		creds->groups = arena_memdup(context->arena, status->groups,
			status->group_count * sizeof(*status->groups));
	caps_to_image(context->arena, status, creds);
	if (status->no_new_privs) {
		creds->has_no_new_privs = true;
		creds->no_new_privs = 1;
	}
	source->thread->core->thread_core->creds = creds;
	if (status->group_count > GROUPS_MAX)
		task_obstacle(context, source, "is in %zu groups, more than %zu cannot be restored",
			status->group_count, GROUPS_MAX);
	return 0;
}

static int ask(struct dump_context *context _unused_, struct thread_source *source _unused_,
	struct batch *batch, void **cookie, struct error *err _unused_)
{
	*cookie = (void *)(intptr_t)batch_op(
		batch, "ask for the securebits", SYS_prctl, VAL(PR_GET_SECUREBITS));
	return 0;
}

static int answer(struct dump_context *context _unused_, struct thread_source *source,
	const struct batch *batch, void *cookie, struct error *err _unused_)
{
	source->thread->core->thread_core->creds->secbits =
		(uint32_t)batch_result(batch, (int)(intptr_t)cookie);
	return 0;
}

/* What the image says, without the capabilities that this kernel does not know. */
struct wanted {
	const CredsEntry *creds;
	uint64_t inheritable, permitted, effective, bounding, ambient;
};

static struct wanted wanted_of(const struct own_state *own, const CredsEntry *creds)
{
	uint64_t known =
		own->last_cap >= 63 ? UINT64_MAX : ((uint64_t)1 << (own->last_cap + 1)) - 1;

	return (struct wanted){
		.creds = creds,
		.inheritable = set_of(creds->cap_inh, creds->n_cap_inh) & known,
		.permitted = set_of(creds->cap_prm, creds->n_cap_prm) & known,
		.effective = set_of(creds->cap_eff, creds->n_cap_eff) & known,
		.bounding = set_of(creds->cap_bnd, creds->n_cap_bnd) & known,
		.ambient = set_of(creds->cap_amb, creds->n_cap_amb) & known,
	};
}

static bool ids_are_own(const struct own_state *own, const CredsEntry *creds)
{
	const uint32_t uids[3] = {creds->uid, creds->euid, creds->suid};
	const uint32_t gids[3] = {creds->gid, creds->egid, creds->sgid};

	return !memcmp(uids, own->uid, sizeof(uids)) && !memcmp(gids, own->gid, sizeof(gids)) &&
	       creds->fsuid == own->fsuid && creds->fsgid == own->fsgid;
}

static bool groups_are_own(const struct own_state *own, const CredsEntry *creds)
{
	return own->group_count >= 0 && creds->n_groups == (size_t)own->group_count &&
	       (!creds->n_groups ||
		       !memcmp(creds->groups, own->groups, creds->n_groups * sizeof(uint32_t)));
}

static bool caps_are_own(const struct own_state *own, const struct wanted *wanted)
{
	return wanted->inheritable == own->inheritable && wanted->permitted == own->permitted &&
	       wanted->effective == own->effective &&
	       (wanted->bounding & own->bounding) == own->bounding &&
	       wanted->ambient == own->ambient && wanted->creds->secbits == own->securebits;
}

static void check_arrays(
	struct restore_context *context, const struct thread *thread, const CredsEntry *creds)
{
	const size_t counts[] = {
		creds->n_cap_inh, creds->n_cap_prm, creds->n_cap_eff, creds->n_cap_bnd};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		if (counts[i] > SET_WORDS)
			task_bad_image(context, thread, "a capability set of %zu words", counts[i]);
	if (creds->n_cap_amb > SET_WORDS)
		task_bad_image(context, thread, "an ambient set of %zu words", creds->n_cap_amb);
	if (creds->n_groups > GROUPS_MAX)
		task_bad_image(context, thread, "%zu groups", creds->n_groups);
	if (creds->secbits & ~(uint32_t)(SECURE_ALL_BITS | SECURE_ALL_LOCKS))
		task_bad_image(context, thread, "securebits of %#x", creds->secbits);
}

static void check_caps(
	struct restore_context *context, const struct thread *thread, const struct wanted *wanted)
{
	const struct own_state *own = task_own_state(context);
	uint64_t active =
		wanted->permitted | wanted->effective | wanted->inheritable | wanted->ambient;
	/* An inheritable capability need not be permitted, but is in the bounding set. */
	uint64_t lacking = active & ~own->permitted;

	if (lacking)
		error_hint(task_conflict(context, thread,
				   "has capabilities that we lack (%#llx; the first is number %d)",
				   (unsigned long long)lacking, __builtin_ctzll(lacking)),
			"run stasis with all capabilities of the tasks (capsh --print)");
	if (wanted->bounding & ~own->bounding)
		log_warn("thread %d: capabilities %#llx cannot be had in its bounding set",
			thread->tid, (unsigned long long)(wanted->bounding & ~own->bounding));
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader _unused_, struct error *err _unused_)
{
	const struct own_state *own = task_own_state(context);
	const ThreadCoreEntry *core = thread->core->thread_core;
	struct wanted wanted;

	if (!core)
		return 0;
	if (!core->creds) {
		task_bad_image(context, thread, "credentials are missing");
		return 0;
	}
	check_arrays(context, thread, core->creds);
	wanted = wanted_of(own, core->creds);
	check_caps(context, thread, &wanted);
	return 0;
}

static void plan_ids(struct batch *batch, const CredsEntry *creds)
{
	int op;

	batch_op(batch, "set the groups", SYS_setgroups, VAL(creds->n_groups),
		creds->n_groups ? IN(creds->groups, creds->n_groups * sizeof(uint32_t)) : VAL(0));
	batch_op(batch, "set the group ids", SYS_setresgid, VAL(creds->gid), VAL(creds->egid),
		VAL(creds->sgid));
	batch_op(batch, "set the user ids", SYS_setresuid, VAL(creds->uid), VAL(creds->euid),
		VAL(creds->suid));
	/* They follow the effective ids, and return the id before, never an error. */
	if (creds->fsgid != creds->egid) {
		op = batch_op(
			batch, "set the file system's group id", SYS_setfsgid, VAL(creds->fsgid));
		batch_expect(batch, op, creds->egid);
	}
	if (creds->fsuid != creds->euid) {
		op = batch_op(
			batch, "set the file system's user id", SYS_setfsuid, VAL(creds->fsuid));
		batch_expect(batch, op, creds->euid);
	}
}

static void plan_capset(struct restore_context *context, struct batch *batch, uint64_t effective,
	uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct *header =
		arena_new(context->arena, struct __user_cap_header_struct);
	struct __user_cap_data_struct *data =
		arena_array(context->arena, struct __user_cap_data_struct, 2);

	header->version = _LINUX_CAPABILITY_VERSION_3;
	for (int i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(effective >> (32 * i));
		data[i].permitted = (uint32_t)(permitted >> (32 * i));
		data[i].inheritable = (uint32_t)(inheritable >> (32 * i));
	}
	batch_op(batch, "set the capabilities", SYS_capset, IN(header, sizeof(*header)),
		IN(data, 2 * sizeof(*data)));
}

static void plan_bounding(
	const struct own_state *own, struct batch *batch, const struct wanted *wanted)
{
	for (int cap = 0; cap <= own->last_cap; cap++)
		if (own->bounding >> cap & 1 && !(wanted->bounding >> cap & 1))
			batch_op(batch, "drop a capability from the bounding set", SYS_prctl,
				VAL(PR_CAPBSET_DROP), VAL(cap));
}

static void plan_ambient(
	const struct own_state *own, struct batch *batch, const struct wanted *wanted)
{
	if (own->ambient & ~wanted->ambient)
		batch_op(batch, "clear the ambient capabilities", SYS_prctl, VAL(PR_CAP_AMBIENT),
			VAL(PR_CAP_AMBIENT_CLEAR_ALL));
	for (int cap = 0; cap <= own->last_cap; cap++)
		if (wanted->ambient >> cap & 1)
			batch_op(batch, "raise an ambient capability", SYS_prctl,
				VAL(PR_CAP_AMBIENT), VAL(PR_CAP_AMBIENT_RAISE), VAL(cap));
}

bool creds_are_own(struct restore_context *context, const CoreEntry *core)
{
	const struct own_state *own = task_own_state(context);
	struct wanted wanted = wanted_of(own, core->thread_core->creds);

	return ids_are_own(own, wanted.creds) && groups_are_own(own, wanted.creds) &&
	       caps_are_own(own, &wanted);
}

static int plan(
	struct restore_context *context, struct thread_plan *plan, struct error *err _unused_)
{
	const struct own_state *own = task_own_state(context);
	struct wanted wanted = wanted_of(own, plan_core(plan)->thread_core->creds);
	struct batch *batch = plan->phases[PHASE_IDENTITY];
	uint32_t fixup = own->securebits | SECBIT_NO_SETUID_FIXUP;
	bool ids = !ids_are_own(own, wanted.creds) || !groups_are_own(own, wanted.creds);

	if (creds_are_own(context, plan_core(plan)))
		return 0;
	if (ids) {
		if (fixup != own->securebits)
			batch_op(batch, "keep capabilities over changes of ids", SYS_prctl,
				VAL(PR_SET_SECUREBITS), VAL(fixup));
		plan_ids(batch, wanted.creds);
	}
	plan_capset(context, batch, own->effective, own->permitted, wanted.inheritable);
	plan_bounding(own, batch, &wanted);
	plan_ambient(own, batch, &wanted);
	if ((ids ? fixup : own->securebits) != wanted.creds->secbits)
		batch_op(batch, "set the securebits", SYS_prctl, VAL(PR_SET_SECUREBITS),
			VAL(wanted.creds->secbits));
	plan_capset(context, batch, wanted.effective, wanted.permitted, wanted.inheritable);
	return 0;
}

const struct task_kind creds_kind = {
	.name = "credentials",
	.limits = "security labels and keyrings",
	.look = look,
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan,
};
