/*
 * What happens when memory runs out: the conductor says so and ends.
 *
 * That is safe, because a conductor may die at any instant anyway (design.md, section 1): in a dump
 * its tasks are let go by the kernel and heal themselves, in a restore the kernel kills every
 * puppet (PTRACE_O_EXITKILL), and the undo journal on disk is replayed by the next run. So no
 * function has to carry a branch that no test could reach. Sizes that come from an image are never
 * asked for unchecked (image/), so a damaged image does not end here.
 */
#include "base/util.h"
#include "base/log.h"

_Noreturn void out_of_memory(size_t wanted)
{
	log_error("out of memory: %zu bytes could not be had", wanted);
	_exit(1);
}

void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		out_of_memory(count * size);
	return p;
}

void *xreallocarray(void *old, size_t count, size_t size)
{
	void *p = reallocarray(old, count ? count : 1, size ? size : 1);

	if (!p)
		out_of_memory(count * size);
	return p;
}

char *xstrdup(const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		out_of_memory(strlen(s) + 1);
	return copy;
}
