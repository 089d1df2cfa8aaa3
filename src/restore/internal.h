#pragma once
/* What the files of this room share. */
#include "kinds/context.h"
#include "kinds/task_kind.h"
#include "puppet/land.h"
#include "puppet/puppet.h"
#include "restore/restore.h"

struct planned_thread {
	struct thread_plan plan;
	struct puppet *puppet;
};

/* A process to be created: a task of the checkpoint or a helper (TASK_HELPER, in no image). */
struct planned_task {
	struct task *task;
	struct planned_thread *threads;
	size_t thread_count;
	struct planned_task *creator; /* NULL: ourselves */
	struct planned_task *parent; /* who will be its parent; NULL: ours */
	uint64_t clone_flags;
	bool early; /* forked before its creator makes a session */
	bool shares_pages; /* forked after its creator was filled */
	bool creates_session;
	pid_t birth_sid; /* the session it is born in */
	bool owns_space, owns_files, owns_fs;
	bool leaves_child; /* a helper or zombie is its child: SIGCHLD must be drained */
	struct batch *create; /* forks, session, areas: in this order */
	struct batch *clone_threads;
	struct batch *group_leader, *group_member;
	struct batch *end; /* of helpers and zombies: their last batch */
	struct batch *reap; /* wait for dead helpers, drain SIGCHLD */
	struct batch *prime;
};

struct restore {
	struct restore_context context;
	struct checkpoint checkpoint;
	struct arena arena;
	struct planned_task *tasks; /* creators before those they create */
	size_t task_count;
	size_t thread_count; /* of all of them: the number of rings */
	struct stage stage;
	struct puppets puppets;
	bool committed;
};

/* Reads the tree: inventory, pstree, core, ids, seccomp. Damages are problems where reading can go on. */
int restore_load(struct restore *restore, struct error *err);
/* Who creates whom, with what flags, and which helpers are needed. What cannot be had is a problem. */
int restore_plan_tree(struct restore *restore, struct error *err);
/* Compiles everything else to batches. */
int restore_plan(struct restore *restore, struct error *err);
void restore_print_plan(const struct restore *restore, FILE *out);
/* Executes the plan up to the commit and over it. */
int restore_execute(struct restore *restore, struct restore_result *result, struct error *err);
