#pragma once
/* A hash table from a few numbers to a pointer. Entries are never removed. */
#include "base/arena.h"

struct table_key {
	uint64_t a, b, c;
};

struct table {
	struct table_slot *slots;
	size_t count, capacity; /* capacity: a power of two, or 0 */
};

/* NULL when there is none. */
void *table_get(const struct table *table, struct table_key key);
void table_put(struct table *table, struct arena *arena, struct table_key key, void *value);
