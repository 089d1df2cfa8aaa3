#pragma once
/*
 * The registers of a thread, as the images and as ptrace(2) have them (cpu_x86.c, xsave_x86.c).
 */
#include "model/checkpoint.h"
#include "puppet/registers.h"

/* What PTRACE_SETREGSET and PTRACE_SETREGS are to be given at the very end of a restore: general
 * registers, extended state in the size that this CPU and kernel want (xsave in `arena`), signal
 * mask. check() of the row "cpu" has passed.
 *
 * The general registers are those of the thread as it was stopped, with orig_rax: they are meant
 * for a thread that stands in a PTRACE_EVENT_STOP inside get_signal(), where the kernel itself
 * makes of -ERESTART* what it would have made of it (see restart.h, also for the call that has to
 * be made before, so that -ERESTART_RESTARTBLOCK works). */
int cpu_x86_registers_from_image(struct arena *arena, const CoreEntry *core, bool leader,
	struct thread_registers *ret_registers, struct error *err);

/* Fills gpregs and fpregs of the image. */
int cpu_x86_registers_to_image(struct arena *arena, const struct thread_registers *registers,
	CoreEntry *core, struct error *err);

/*
 * Where XSAVE's standard format has each component: CPUID leaf 0xD.
 */
#define XSAVE_COMPONENTS 63

struct xsave_layout {
	uint64_t supported; /* user components that XCR0 has enabled */
	uint32_t size; /* of the whole area */
	struct xsave_component {
		uint32_t offset, size;
	} components[XSAVE_COMPONENTS];
};

/* Of this CPU. Found once: each CPUID costs 9 us in a virtual machine like ours, and a tree of 500
 * threads would want thousands. */
const struct xsave_layout *xsave_layout_own(void);

/* "AVX-512 (upper halves)"; a static string. */
const char *xsave_component_name(int component);

/* 0, -EINVAL for an area that is too small or not in standard format. */
int xsave_to_image(const struct xsave_layout *layout, struct arena *arena,
	const unsigned char *xsave, size_t size, UserX86FpregsEntry **ret_entry, struct error *err);
/* *ret_xsave has layout->size bytes. With `lenient` state that this CPU lacks is left out. The
 * class of an error is ERROR_BAD_IMAGE, or ERROR_CONFLICT where this CPU lacks a component. */
int xsave_from_image(const struct xsave_layout *layout, struct arena *arena,
	const UserX86FpregsEntry *entry, bool lenient, unsigned char **ret_xsave,
	struct error *err);
