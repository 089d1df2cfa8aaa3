#pragma once
/*
 * The registers of a stopped thread, as ptrace(2) gives and takes them. What they mean is for
 * puppet/arch and kinds/task/cpu_x86.c.
 */
#include <sys/user.h>

#include "base/error.h"

/* AVX-512 with PKRU is 2.7 KB; AMX would be 11 KB. */
#define XSAVE_MAX ((size_t)16384)

struct thread_registers {
	struct user_regs_struct general;
	unsigned char *xsave; /* NT_X86_XSTATE, standard format; arena */
	size_t xsave_size;
	uint64_t signal_mask; /* PTRACE_GETSIGMASK */
};
