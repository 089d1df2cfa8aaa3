#include "memory/table.h"

struct table_slot {
	struct table_key key;
	void *value;
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ (h >> 29);
}

static struct table_slot *find(const struct table *table, struct table_key key)
{
	size_t i = mix(mix(mix(0, key.a), key.b), key.c) & (table->capacity - 1);

	while (table->slots[i].value &&
		(table->slots[i].key.a != key.a || table->slots[i].key.b != key.b ||
			table->slots[i].key.c != key.c))
		i = (i + 1) & (table->capacity - 1);
	return &table->slots[i];
}

void *table_get(const struct table *table, struct table_key key)
{
	return table->capacity ? find(table, key)->value : NULL;
}

void table_put(struct table *table, struct arena *arena, struct table_key key, void *value)
{
	struct table_slot *slot;

	if (table->count * 2 >= table->capacity) {
		struct table old = *table;

		table->capacity = old.capacity ? old.capacity * 2 : 64;
		table->slots = arena_array(arena, struct table_slot, table->capacity);
		for (size_t i = 0; i < old.capacity; i++)
			if (old.slots[i].value)
				*find(table, old.slots[i].key) = old.slots[i];
	}
	slot = find(table, key);
	if (!slot->value)
		table->count++;
	*slot = (struct table_slot){.key = key, .value = value};
}
