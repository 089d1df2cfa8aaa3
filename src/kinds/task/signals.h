#pragma once
/* Pending signals and the timers that sent them (signal_pending.c, timers.c). */
#include "model/checkpoint.h"

/* As the kernel lays it out, signal.h's siginfo_t without its unions. */
struct image_siginfo {
	int32_t signo, error, code, padding;
	int32_t timer_id, overrun; /* si_code SI_TIMER */
	uint64_t value;
	unsigned char rest[96];
};

/* False where the entry has not the size of a siginfo. */
bool siginfo_from_image(const SiginfoEntry *entry, struct image_siginfo *ret_info);

/* The task's POSIX timer that sent this signal: the signal is not queued in a restore, the timer
 * sends it again. NULL if there is none. */
const PosixTimerEntry *signal_timer(const TaskCoreEntry *tc, const struct image_siginfo *info);

/* Whether a signal of this timer is pending in the task, for itself or one of its threads. */
bool timer_signal_pending(const struct task *task, const PosixTimerEntry *timer);

/* Whether SIGSTOP is pending: it cannot be blocked, so it is not queued while a task is being put
 * together. The restore room stops the task at the end instead. */
bool task_stop_pending(const struct task *task);
