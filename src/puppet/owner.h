#pragma once
/*
 * The robust futex by which executors learn that the conductor is dead (set_robust_list(2)): when this
 * thread ends, the kernel sets FUTEX_OWNER_DIED in the owner word of every ring that is linked here and
 * wakes a waiter, before it lets our tracees go. The kernel walks at most 2048 entries.
 *
 * The list belongs to the thread that calls this, which must be the one that traces. It replaces the
 * C library's (we use no robust mutexes).
 */
#include "base/error.h"
#include "puppet/ring.h"

#define OWNER_RINGS_MAX 2000

/* Makes this thread the owner of the ring. */
int owner_link(struct ring *ring, struct error *err);
void owner_unlink(struct ring *ring);
/* The owner word of a living conductor. */
uint32_t owner_word(void);
