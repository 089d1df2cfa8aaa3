#pragma once
/*
 * The zero tail of a task's vdso: executable memory that belongs to the task, is mapped already, and
 * holds nothing. Writing there through /proc/PID/mem gives this task a private copy of the page.
 */
#include "base/error.h"

/* Finds `size` bytes. `mem` is /proc/PID/mem. */
int tail_find(pid_t pid, int mem, size_t size, raddr *ret_address, struct error *err);
void tail_clear(int mem, raddr address, size_t size);
/* Where the vdso of the running kernel ends and how long its zero tail is. */
size_t tail_size(void);
/* The task's vdso; {0} when it has none. */
int tail_vdso(pid_t pid, raddr *ret_start, uint64_t *ret_size, struct error *err);
/* Is this instruction pointer in a tail? Then the thread is still on its way home from a dump or
 * restore whose conductor died. */
bool tail_contains(raddr vdso_start, uint64_t vdso_size, uint64_t rip);
