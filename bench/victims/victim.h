#pragma once
/*
 * A program to be measured. It says that it is ready by closing descriptor 3, so that nothing of the bench
 * is left in it, and then does nothing: what is measured is stasis alone.
 */
#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static inline __attribute__((noreturn)) void ready_and_wait(void)
{
	close_range(3, ~0U, 0);
	for (;;)
		pause();
}

static inline size_t number(int argc, char **argv)
{
	size_t n = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;

	if (n == 0)
		errx(2, "usage: %s NUMBER", argv[0]);
	return n;
}
