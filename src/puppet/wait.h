#pragma once
/* Waiting for an executor to finish a batch. */
#include "puppet/ring.h"
#include "puppet/tracee.h"

/* Changes go; an executor that enters the ring later runs the batch at once. */
void ring_prepare(struct ring *ring);
/* Changes go and wakes the executor that waits for it. */
void ring_go(struct ring *ring);
/* Waits until the batch is done. Stops that come meanwhile are handled: job-control stops are continued,
 * signals delivered. Fails when the tracee ends, faults, or does not answer within 60 seconds.
 * `on_event` (may be NULL) is told of ptrace events other than stops. */
int ring_wait(struct ring *ring, struct tracee *tracee,
	int (*on_event)(void *arg, struct tracee *tracee, struct error *err), void *arg,
	struct error *err);
