#pragma once
/* Carries a batch into a ring and its results back, piece by piece where it is longer than a ring. */
#include "puppet/batch.h"
#include "puppet/ring.h"

/* Where rings are in the puppet: what OP_ARG_RING and data addresses are computed from. */
struct ring_place {
	raddr first; /* the address of ring 0 there */
	uint32_t index; /* of the ring in question */
};

/* Fills the ring with ops from number `from` on, as many as fit; the first that did not is *ret_end.
 * Fails only when a single op is too large (a defect). The caller sets go. */
int ring_load(struct ring *ring, struct ring_place place, const struct batch *batch, size_t from,
	size_t *ret_end, struct error *err);

/* Takes results and data of ops [from, end) back after the executor has run them. Fails with the
 * sentence of the op that failed. Advisory errors are logged. `pid` is for the messages. */
int ring_collect(const struct ring *ring, struct batch *batch, size_t from, size_t end, pid_t pid,
	struct error *err);
