#pragma once
/* What the files of this room share. */
#include "dump/dump.h"
#include "kinds/context.h"
#include "kinds/task_kind.h"
#include "puppet/freeze.h"

/* A stopped thread and what kinds are told of it. */
struct looked_thread {
	struct thread_source source;
	struct frozen_thread *frozen;
	struct proc_status status;
	struct proc_stat stat;
};

struct looked_task {
	struct frozen_task *frozen;
	struct task *task;
	struct looked_thread *threads;
	size_t thread_count;
	bool owns_files, owns_fs, owns_space; /* the first that has its table, fs, space */
};

struct dump {
	struct dump_context context;
	struct checkpoint checkpoint;
	struct arena arena;
	struct frozen_tree tree;
	struct looked_task *tasks; /* as in tree.tasks */
	size_t task_count;
};

/* Fills the model from outside: tree, ids, kinds, files, areas. Obstacles to context.problems. */
int dump_look(struct dump *dump, struct error *err);
/* Lets the threads themselves answer what only they can tell. */
int dump_ask(struct dump *dump, struct error *err);
/* Writes everything but pages: inventory, pstree, core, ids, seccomp, timens, stats. */
int dump_save_tree(struct dump *dump, const struct dump_result *result, struct error *err);
/* Gives back what looking took. */
void dump_look_end(struct dump *dump);

/* Who shares what: fills ids of all tasks (kcmp(2)). */
int dump_find_sharing(struct dump *dump, struct error *err);
/* What a tree as a whole may not have: foreign namespaces, sessions outside, threads that share less
 * than threads do. */
int dump_find_obstacles(struct dump *dump, struct error *err);
