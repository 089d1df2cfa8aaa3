#include "base/arena.h"

#include <stdarg.h>

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	_Alignas(max_align_t) unsigned char data[];
};

#define ARENA_BLOCK ((size_t)256 * 1024)

void *arena_alloc(struct arena *arena, size_t size)
{
	size_t rounded;
	struct arena_block *block = arena->blocks;

	if (size > SIZE_MAX / 2)
		out_of_memory(size);
	rounded = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (!block || block->size - block->used < rounded) {
		size_t wanted = MAX(rounded, ARENA_BLOCK);
		struct arena_block *fresh = xcalloc(1, sizeof(*fresh) + wanted);

		fresh->size = wanted;
		/* A large object gets a block of its own behind the current one, which goes on
		 * being used. */
		if (block && rounded > ARENA_BLOCK / 2) {
			fresh->next = block->next;
			block->next = fresh;
		} else {
			fresh->next = block;
			arena->blocks = fresh;
		}
		block = fresh;
	}
	block->used += rounded;
	return block->data + block->used - rounded;
}

void *arena_memdup(struct arena *arena, const void *data, size_t size)
{
	void *copy = arena_alloc(arena, size);

	if (size)
		memcpy(copy, data, size);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *s)
{
	return arena_memdup(arena, s, strlen(s) + 1);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list ap;
	int length;
	char *text;

	va_start(ap, format);
	length = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	text = arena_alloc(arena, (size_t)length + 1);
	va_start(ap, format);
	vsnprintf(text, (size_t)length + 1, format, ap);
	va_end(ap);
	return text;
}

void *arena_grow(struct arena *arena, void *array, size_t *capacity, size_t count, size_t size)
{
	size_t wanted = *capacity ? *capacity : 8;
	void *fresh;

	if (count <= *capacity)
		return array;
	while (wanted < count)
		wanted *= 2;
	fresh = arena_alloc(arena, arena_array_size(wanted, size));
	if (*capacity)
		memcpy(fresh, array, *capacity * size);
	*capacity = wanted;
	return fresh;
}

void arena_deinit(struct arena *arena)
{
	struct arena_block *block = arena->blocks;

	while (block) {
		struct arena_block *next = block->next;

		free(block);
		block = next;
	}
	arena->blocks = NULL;
}
