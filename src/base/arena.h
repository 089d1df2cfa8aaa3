#pragma once
/*
 * An arena: memory that is given back all at once.
 *
 * A checkpoint is thousands of small objects that live and die together; each belongs to the arena
 * of its checkpoint and is never freed by itself. Memory is zeroed and aligned for any type.
 * Allocation does not fail (see base/oom.c).
 */
#include "base/util.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
};

void *arena_alloc(struct arena *arena, size_t size);
void *arena_memdup(struct arena *arena, const void *data, size_t size);
char *arena_strdup(struct arena *arena, const char *s);
char *arena_printf(struct arena *arena, const char *format, ...) _printf_(2, 3);
/* Grows an array held in the arena to `count` elements (doubling; the old copy stays in the arena
 * until the end). Returns the array, which may have moved. `*capacity` is updated. */
void *arena_grow(struct arena *arena, void *array, size_t *capacity, size_t count, size_t size);
void arena_deinit(struct arena *arena);

#define arena_new(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define arena_array(arena, type, count) \
	((type *)arena_alloc((arena), arena_array_size((count), sizeof(type))))

static inline size_t arena_array_size(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		out_of_memory(SIZE_MAX);
	return bytes;
}
