/* The looking half of a dump: what can be learned from outside, and every obstacle. */
#include "dump/internal.h"

#include "base/log.h"
#include "kinds/file/collect.h"
#include "memory/memory.h"

static CoreEntry *new_core(struct arena *arena, bool leader)
{
	CoreEntry *core = arena_new(arena, CoreEntry);

	core_entry__init(core);
	core->mtype = CORE_ENTRY__MARCH__X86_64;
	core->thread_info = arena_new(arena, ThreadInfoX86);
	thread_info_x86__init(core->thread_info);
	core->thread_info->gpregs = arena_new(arena, UserX86RegsEntry);
	user_x86_regs_entry__init(core->thread_info->gpregs);
	core->thread_info->fpregs = arena_new(arena, UserX86FpregsEntry);
	user_x86_fpregs_entry__init(core->thread_info->fpregs);
	core->thread_core = arena_new(arena, ThreadCoreEntry);
	thread_core_entry__init(core->thread_core);
	if (leader) {
		core->tc = arena_new(arena, TaskCoreEntry);
		task_core_entry__init(core->tc);
		core->tc->comm = "";
	}
	return core;
}

/* The host's namespaces have the numbers that CRIU gives them: first come, first served. */
static TaskKobjIdsEntry *new_ids(struct arena *arena)
{
	TaskKobjIdsEntry *ids = arena_new(arena, TaskKobjIdsEntry);

	task_kobj_ids_entry__init(ids);
	ids->has_pid_ns_id = ids->has_net_ns_id = ids->has_ipc_ns_id = ids->has_uts_ns_id = true;
	ids->has_mnt_ns_id = ids->has_user_ns_id = ids->has_cgroup_ns_id = ids->has_time_ns_id =
		true;
	ids->pid_ns_id = 1;
	ids->net_ns_id = 2;
	ids->ipc_ns_id = 3;
	ids->uts_ns_id = 4;
	ids->time_ns_id = 5;
	ids->mnt_ns_id = 6;
	ids->user_ns_id = 7;
	ids->cgroup_ns_id = 8;
	return ids;
}

static int look_zombie(struct dump *dump, struct looked_task *looked, struct error *err)
{
	struct arena *arena = &dump->arena;
	struct proc_stat stat;
	CoreEntry *core = arena_new(arena, CoreEntry);
	int rc = procfs_read_stat(looked->frozen->pid, looked->frozen->pid, &stat, err);

	if (rc < 0)
		return rc;
	core_entry__init(core);
	core->mtype = CORE_ENTRY__MARCH__X86_64;
	core->tc = arena_new(arena, TaskCoreEntry);
	task_core_entry__init(core->tc);
	core->tc->task_state = TASK_DEAD;
	core->tc->exit_code = looked->frozen->exit_code;
	core->tc->comm = arena_strdup(arena, stat.comm);
	looked->task->threads = arena_new(arena, struct thread);
	looked->task->threads[0] = (struct thread){.tid = looked->frozen->pid, .core = core};
	looked->task->thread_count = 1;
	looked->task->state = TASK_ZOMBIE;
	looked->task->pgid = stat.pgrp;
	looked->task->sid = stat.sid;
	return 0;
}

static int look_thread(
	struct dump *dump, struct looked_task *looked, size_t index, struct error *err)
{
	struct looked_thread *thread = &looked->threads[index];
	pid_t pid = looked->frozen->pid, tid;
	int rc;

	thread->frozen = looked->frozen->threads[index];
	tid = thread->frozen->tracee.tid;
	rc = procfs_read_status(pid, tid, &thread->status, err);
	if (rc == 0)
		rc = procfs_read_stat(pid, tid, &thread->stat, err);
	if (rc < 0)
		return rc;
	looked->task->threads[index] =
		(struct thread){.tid = tid, .core = new_core(&dump->arena, index == 0)};
	thread->source = (struct thread_source){
		.task = looked->task,
		.thread = &looked->task->threads[index],
		.pid = pid,
		.tid = tid,
		.leader = index == 0,
		.status = &thread->status,
		.stat = &thread->stat,
		.registers = &thread->frozen->registers,
	};
	return 0;
}

static int look_alive(struct dump *dump, struct looked_task *looked, struct error *err)
{
	const struct tracee *leader = &looked->frozen->threads[0]->tracee;
	struct task *task = looked->task;
	TaskCoreEntry *tc;

	looked->thread_count = task->thread_count = looked->frozen->thread_count;
	looked->threads = arena_array(&dump->arena, struct looked_thread, looked->thread_count);
	task->threads = arena_array(&dump->arena, struct thread, task->thread_count);
	for (size_t i = 0; i < looked->thread_count; i++) {
		int rc = look_thread(dump, looked, i, err);

		if (rc < 0)
			return rc;
	}
	tc = task->threads[0].core->tc;
	task->state = leader->group_stopped ? TASK_STOPPED : TASK_ALIVE;
	tc->task_state = task->state;
	if (task->state == TASK_STOPPED) {
		tc->has_stop_signo = true;
		tc->stop_signo = (uint32_t)leader->signal;
	}
	task->pgid = looked->threads[0].stat.pgrp;
	task->sid = looked->threads[0].stat.sid;
	return 0;
}

static int look_tree(struct dump *dump, struct error *err)
{
	dump->task_count = dump->tree.count;
	dump->tasks = arena_array(&dump->arena, struct looked_task, dump->task_count);
	for (size_t i = 0; i < dump->task_count; i++) {
		struct looked_task *looked = &dump->tasks[i];
		struct frozen_task *frozen = dump->tree.tasks[i];
		struct task *parent =
			frozen->parent ? checkpoint_task(&dump->checkpoint, frozen->parent->pid)
				       : NULL;
		int rc;

		looked->frozen = frozen;
		looked->task = checkpoint_add_task(&dump->checkpoint, parent, frozen->pid);
		looked->task->ids = new_ids(&dump->arena);
		rc = frozen->zombie ? look_zombie(dump, looked, err)
				    : look_alive(dump, looked, err);
		if (rc < 0)
			return rc;
		looked->task->threads[0].core->ids = NULL;
	}
	return 0;
}

static int look_kinds(struct dump *dump, struct looked_task *looked, struct error *err)
{
	for (size_t t = 0; t < looked->thread_count; t++)
		for (size_t k = 0; task_kinds[k]; k++) {
			int rc = 0;

			if (task_kinds[k]->look)
				rc = task_kinds[k]->look(
					&dump->context, &looked->threads[t].source, err);
			if (rc < 0)
				return error_wrap(err, rc, "looking at the %s of task %d",
					task_kinds[k]->name, looked->frozen->pid);
		}
	return 0;
}

/* Files, fs and address space are looked at once, in the first task that has them. */
static int look_shared(struct dump *dump, struct looked_task *looked, struct error *err)
{
	struct task *task = looked->task;
	pid_t pid = looked->frozen->pid;
	int rc = 0;

	task->space = checkpoint_space(&dump->checkpoint, task->ids->vm_id, &looked->owns_space);
	task->fds =
		checkpoint_fd_table(&dump->checkpoint, task->ids->files_id, &looked->owns_files);
	if (looked->owns_space) {
		task->space->owner = task;
		rc = memory_look(&dump->context, pid, task, err);
	}
	if (rc == 0 && looked->owns_files)
		rc = files_look_table(&dump->context, pid, task->fds, err);
	if (rc == 0)
		rc = files_look_fs(&dump->context, pid, task, err);
	return rc;
}

int dump_look(struct dump *dump, struct error *err)
{
	int rc = look_tree(dump, err);

	if (rc == 0)
		rc = dump_find_sharing(dump, err);
	if (rc == 0)
		rc = dump_find_obstacles(dump, err);
	for (size_t i = 0; rc == 0 && i < dump->task_count; i++) {
		if (dump->tasks[i].frozen->zombie)
			continue;
		rc = look_kinds(dump, &dump->tasks[i], err);
		if (rc == 0)
			rc = look_shared(dump, &dump->tasks[i], err);
	}
	return rc < 0 ? rc : files_look_finish(&dump->context, err);
}

void dump_look_end(struct dump *dump)
{
	for (size_t i = 0; i < dump->task_count; i++)
		for (size_t t = 0; t < dump->tasks[i].thread_count; t++)
			proc_status_deinit(&dump->tasks[i].threads[t].status);
	files_look_end(&dump->context);
	memory_look_end(&dump->context);
}
