/*
 * Executing the plan. It knows no policy: what is in the batches is run, in rounds that are as wide as
 * the tree allows. A round without ops costs nothing.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/testpoint.h"
#include "kinds/file/collect.h"
#include "kinds/task/cpu.h"
#include "kinds/task/restart.h"
#include "kinds/task/rseq.h"
#include "kinds/task/signals.h"
#include "memory/memory.h"
#include "puppet/restart.h"
#include "restore/internal.h"

static struct puppet *leader_of(const struct planned_task *planned)
{
	return planned->threads[0].puppet;
}

typedef struct batch *(*batch_of)(struct planned_task *planned, size_t thread);

static struct batch *create_batch(struct planned_task *planned, size_t thread _unused_)
{
	return planned->create;
}

static struct batch *group_leader_batch(struct planned_task *planned, size_t thread)
{
	return thread ? NULL : planned->group_leader;
}

static struct batch *group_member_batch(struct planned_task *planned, size_t thread)
{
	return thread ? NULL : planned->group_member;
}

static struct batch *reap_batch(struct planned_task *planned, size_t thread)
{
	return thread ? NULL : planned->reap;
}

static struct batch *map_late_batch(struct planned_task *planned, size_t thread)
{
	return thread ? NULL : planned->threads[0].plan.phases[PHASE_MAP_LATE];
}

static struct batch *files_batch(struct planned_task *planned, size_t thread)
{
	return thread ? NULL : planned->threads[0].plan.phases[PHASE_FILES];
}

static struct batch *threads_batch(struct planned_task *planned, size_t thread)
{
	return thread ? NULL : planned->clone_threads;
}

static struct batch *state_batch(struct planned_task *planned, size_t thread)
{
	return planned->threads[thread].plan.phases[PHASE_STATE];
}

static struct batch *identity_batch(struct planned_task *planned, size_t thread)
{
	return planned->threads[thread].plan.phases[PHASE_IDENTITY];
}

/* The ones that are to end have ended before the round. */
static bool takes_part(const struct planned_task *planned)
{
	return leader_of(planned)->tracee.state != TRACEE_GONE;
}

/* One batch in every thread of the tree, all at once. */
static int run_round(struct restore *restore, batch_of batch_of, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < restore->task_count; i++) {
		struct planned_task *planned = &restore->tasks[i];

		for (size_t t = 0; rc == 0 && takes_part(planned) && t < planned->thread_count;
			t++) {
			struct batch *batch = batch_of(planned, t);

			if (batch && batch->count)
				rc = puppet_start(
					&restore->puppets, planned->threads[t].puppet, batch, err);
		}
	}
	for (size_t i = 0; rc == 0 && i < restore->task_count; i++)
		for (size_t t = 0; rc == 0 && t < restore->tasks[i].thread_count; t++)
			rc = puppet_finish(
				&restore->puppets, restore->tasks[i].threads[t].puppet, err);
	return rc;
}

/* Wave by wave: everything that exists creates and fills at the same time; then those it created. */
static int create_tree(struct restore *restore, struct error *err)
{
	bool *started = arena_array(&restore->arena, bool, restore->task_count);
	size_t left = restore->task_count;
	int rc = puppet_birth(&restore->puppets, leader_of(&restore->tasks[0]),
		restore->context.job->restore_sibling, err);

	if (rc == 0)
		rc = puppet_clear(
			&restore->puppets, leader_of(&restore->tasks[0]), &restore->arena, err);
	while (rc == 0 && left) {
		bool *running = arena_array(&restore->arena, bool, restore->task_count);
		size_t before = left;

		for (size_t i = 0; rc == 0 && i < restore->task_count; i++) {
			struct planned_task *planned = &restore->tasks[i];

			if (started[i] || leader_of(planned)->tracee.state != TRACEE_RUNNING)
				continue;
			rc = puppet_start(&restore->puppets, leader_of(planned),
				create_batch(planned, 0), err);
			started[i] = running[i] = true;
			left--;
		}
		for (size_t i = 0; rc == 0 && i < restore->task_count; i++)
			if (running[i])
				rc = puppet_finish(
					&restore->puppets, leader_of(&restore->tasks[i]), err);
		if (rc == 0 && left == before)
			rc = error_set(err, EDEADLK, "nobody creates the rest of the tree");
	}
	return rc;
}

static int attach_threads(struct restore *restore, struct error *err)
{
	for (size_t i = 0; i < restore->task_count; i++)
		for (size_t t = 1;
			takes_part(&restore->tasks[i]) && t < restore->tasks[i].thread_count; t++) {
			int rc = puppet_attach_thread(
				&restore->puppets, restore->tasks[i].threads[t].puppet, err);

			if (rc < 0)
				return rc;
		}
	return 0;
}

/* Helpers and zombies run their last batch and end. As tracer we are told first; then the parent has
 * its zombie, or reaps the helper. */
static int end_dead(struct restore *restore, struct error *err)
{
	for (size_t i = 0; i < restore->task_count; i++) {
		struct planned_task *planned = &restore->tasks[i];
		struct tracee *tracee = &leader_of(planned)->tracee;
		struct error gone = ERROR_INIT;
		int rc;

		if (!planned->end)
			continue;
		rc = puppet_start(&restore->puppets, leader_of(planned), planned->end, err);
		if (rc < 0)
			return rc;
		while (tracee->state != TRACEE_GONE) {
			rc = tracee_wait_any(tracee, now_ms() + 10000, &gone);
			if (tracee->state == TRACEE_GONE)
				break;
			if (rc == 0)
				rc = tracee_continue(tracee, PTRACE_CONT,
					tracee->event ? 0 : tracee->signal, &gone);
			if (rc < 0) {
				*err = gone;
				return rc;
			}
		}
		leader_of(planned)->batch = NULL;
	}
	return 0;
}

static bool has_pending_signals(const struct planned_task *planned, const CoreEntry *core)
{
	const TaskCoreEntry *tc = planned->task->threads[0].core->tc;

	return (core->thread_core->signals_p && core->thread_core->signals_p->n_signals) ||
	       (tc->signals_s && tc->signals_s->n_signals);
}

static int plan_landing(struct restore *restore, struct planned_task *planned, size_t index,
	struct landing *landing, struct error *err)
{
	const CoreEntry *core = planned->task->threads[index].core;
	const TaskCoreEntry *tc = planned->task->threads[0].core->tc;
	struct planned_thread *thread = &planned->threads[index];
	int rc = cpu_x86_registers_from_image(
		&restore->arena, core, index == 0, &landing->registers, err);

	if (rc < 0)
		return error_wrap(err, rc, "registers of thread %d", thread->puppet->tracee.tid);
	landing->puppet = thread->puppet;
	/* CRIU leaves it to the restore to abort the sequence that a thread was stopped in. */
	if (core->thread_core->rseq_entry && core->thread_core->rseq_entry->has_rseq_cs_pointer) {
		uint64_t ip = landing->registers.general.rip;

		rseq_ip_of_sequence(thread->puppet->tracee.pid,
			core->thread_core->rseq_entry->rseq_cs_pointer, ip, &ip);
		landing->registers.general.rip = ip;
	}
	landing->unmaps = index == 0 && planned->owns_space;
	landing->stopped = planned->task->state == TASK_STOPPED || task_stop_pending(planned->task);
	landing->stop_signal = tc->has_stop_signo && tc->stop_signo ? (int)tc->stop_signo : SIGSTOP;
	landing->exact = is_interrupted_call(&landing->registers.general) &&
			 has_pending_signals(planned, core);
	landing->seccomp = core->thread_core->has_seccomp_mode && core->thread_core->seccomp_mode;
	if (restart_is_primed(core)) {
		struct batch *prime = batch_create(&restore->arena);

		rc = task_plan_prime(&restore->context, &thread->plan, prime, err);
		if (rc == 0 && prime->count) {
			landing->primed = true;
			rc = puppet_start(&restore->puppets, thread->puppet, prime, err);
		}
	}
	return rc;
}

/* Ordered by address space, the thread that unmaps first in each. */
static int plan_landings(struct restore *restore, struct landing **ret_landings, size_t *ret_count,
	struct error *err)
{
	struct landing *landings =
		arena_array(&restore->arena, struct landing, restore->thread_count);
	size_t count = 0;

	for (size_t s = 0; s < restore->checkpoint.space_count; s++) {
		const struct address_space *space = restore->checkpoint.spaces[s];

		for (size_t i = 0; i < restore->task_count; i++) {
			struct planned_task *planned = &restore->tasks[i];

			if (planned->task->space != space)
				continue;
			for (size_t t = 0; t < planned->thread_count; t++) {
				int rc = plan_landing(restore, planned, t, &landings[count++], err);

				if (rc < 0)
					return rc;
			}
		}
	}
	*ret_landings = landings;
	*ret_count = count;
	return 0;
}

static int run_phases(struct restore *restore, struct error *err)
{
	const struct {
		const char *name;
		batch_of batch_of;
	} rounds[] = {
		{"process groups", group_leader_batch},
		{"process groups", group_member_batch},
		{NULL, NULL}, /* helpers and zombies end */
		{"children's ends", reap_batch},
		{"areas", map_late_batch},
		{"threads", threads_batch},
		{NULL, NULL}, /* threads are attached */
		/* Not before: files of /proc/PID/task are opened by who has them. */
		{"descriptors", files_batch},
		{"state", state_batch},
		{"identity", identity_batch},
	};
	bool dead_ended = false;

	for (size_t i = 0; i < ARRAY_SIZE(rounds); i++) {
		int rc;

		if (rounds[i].batch_of)
			rc = run_round(restore, rounds[i].batch_of, err);
		else if (!dead_ended)
			rc = end_dead(restore, err);
		else
			rc = attach_threads(restore, err);
		dead_ended |= !rounds[i].batch_of;
		if (rc < 0)
			return rounds[i].name ? error_wrap(err, rc, "restoring %s", rounds[i].name)
					      : rc;
		log_debug("restored %s",
			rounds[i].name ?: "the end of the dead, or new threads' tracing");
		(void)test_point("restore: a round is over");
	}
	return 0;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The memfds of the stage travel to the newborn like every other inherited descriptor. */
static int open_stage(struct restore *restore, struct error *err)
{
	int code = fcntl(restore->stage.code_fd, F_DUPFD_CLOEXEC, 0), rings;

	if (code >= 0)
		code = restore_inherit(&restore->context, code, "the executor", err);
	else
		code = error_set(err, errno, "duplicating a descriptor");
	if (code < 0)
		return code;
	rings = fcntl(restore->stage.rings_fd, F_DUPFD_CLOEXEC, 0);
	if (rings >= 0)
		rings = restore_inherit(&restore->context, rings, "the rings", err);
	else
		rings = error_set(err, errno, "duplicating a descriptor");
	return rings < 0 ? rings : stage_write_stub(&restore->stage, code, rings, err);
}

int restore_execute(struct restore *restore, struct restore_result *result, struct error *err)
{
	uint64_t begin = now_us();
	struct landing *landings;
	size_t count;
	int rc = open_stage(restore, err);

	if (rc == 0)
		rc = create_tree(restore, err);
	result->forking_us = now_us() - begin;
	log_debug("the tree is created");
	(void)test_point("restore: the tree is created");
	if (rc == 0)
		rc = run_phases(restore, err);
	if (rc == 0)
		rc = plan_landings(restore, &landings, &count, err);
	log_debug("landing");
	if (rc == 0)
		rc = land(&restore->puppets, landings, count, &restore->committed, err);
	return rc;
}
