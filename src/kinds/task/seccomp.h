#pragma once
#include "model/checkpoint.h"

/* The index in checkpoint->seccomp of the filter with these bytes and flags on top of `prev` (-1:
 * the first of a chain), added when it is new. Chains that begin alike share their beginning. */
int seccomp_intern(struct checkpoint *checkpoint, int64_t prev, uint32_t flags, const void *bytes,
	size_t size);

/* The chain that ends in filter `last`, oldest first: *ret_chain has *ret_count indices.
 * False where an index is out of range or the chain has no beginning. */
bool seccomp_chain(const SeccompEntry *seccomp, uint32_t last, struct arena *arena,
	uint32_t **ret_chain, size_t *ret_count);
