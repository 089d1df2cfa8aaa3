#pragma once
/*
 * The order of a dump: freeze, look at everything and collect every obstacle, and only when there is
 * none, write, commit, and end the tree or let it run on.
 *
 * Until the tree is ended on purpose, whatever fails or whoever is killed, it runs on untouched.
 */
#include "kernel/features.h"
#include "model/job.h"

struct dump_result {
	size_t tasks, threads;
	uint64_t pages_scanned, pages_written, shared_pages_written, bytes_written;
	uint64_t freezing_us; /* from the first task stopped to the last */
	uint64_t frozen_us; /* from the first task stopped to the tree let go or ended */
	uint64_t memory_us; /* of it, for finding and writing pages */
	uint64_t total_us;
};

/* Dumps the tree of job->pid into job->images_dir. Everything that stands in the way goes to problems;
 * then the return value is negative and err tells them all. */
int stasis_dump(const struct job *job, const struct kernel_features *features,
	struct dump_result *ret_result, struct problems *problems, struct error *err);

/* The looking half alone: the tree runs on, nothing is written. Problems are no failure here. */
int stasis_inspect(const struct job *job, const struct kernel_features *features,
	struct dump_result *ret_result, struct problems *problems, struct error *err);
