#pragma once
#include "model/checkpoint.h"

/* tc->timers with its three interval timers, made when it is missing. */
TaskTimersEntry *task_timers(struct arena *arena, TaskCoreEntry *tc);

/* Parses /proc/PID/timers: entries ascending by id. Lines that are not understood are an error. */
int timers_parse(struct arena *arena, const char *text, PosixTimerEntry ***ret_entries,
	size_t *ret_count, struct error *err);
