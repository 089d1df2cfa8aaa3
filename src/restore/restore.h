#pragma once
/*
 * A restore: read and check everything, plan, then execute the plan. Up to the first fork nothing exists
 * that could be left behind; from there to the commit (puppet/land.h) everything dies with us.
 */
#include "kernel/features.h"
#include "model/job.h"

struct restore_result {
	pid_t pid; /* of the root */
	size_t tasks, threads;
	uint64_t pages_restored;
	uint64_t planning_us; /* reading, checking, planning */
	uint64_t forking_us; /* from the first birth to the last */
	uint64_t total_us;
};

/* Restores job->images_dir. Everything that stands in the way goes to problems; then the return value is
 * negative, err tells them all, and nothing has been created. With job->dry_run the plan is printed to
 * standard output and nothing is created. */
int stasis_restore(const struct job *job, const struct kernel_features *features,
	struct restore_result *ret_result, struct problems *problems, struct error *err);
