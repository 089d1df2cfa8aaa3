#pragma once
/*
 * What a dump puts into a stopped process so that its threads can answer: the dump executor in the zero
 * tail of its vdso page, and one shared mapping, the arena (a ring). No descriptor and no socket appears
 * in the process.
 *
 * The leader is the holder: from intrusion_begin() to intrusion_end() it is in the executor, so that
 * there is always somebody who takes the arena away if we die. Other threads visit, one at a time.
 */
#include "puppet/batch.h"
#include "puppet/freeze.h"

struct intrusion;

int intrusion_begin(struct arena *arena, struct frozen_task *task, struct error *err);
/* Lets `thread` (of this task) run the batch; returns when it is stopped again. */
int intrusion_run(struct frozen_task *task, struct frozen_thread *thread, struct batch *batch,
	struct error *err);
/* Takes everything out again; the threads are stopped with their own registers. Failures are those of
 * a dying task and are ignored. Does nothing when there is no intrusion. */
void intrusion_end(struct frozen_task *task);
/* The arena's address range in the task, which is not part of its state. Zero when there is none. */
void intrusion_range(const struct frozen_task *task, raddr *ret_start, raddr *ret_end);
/* Forgets it without a word: the task is being killed. */
void intrusion_abandon(struct frozen_task *task);
