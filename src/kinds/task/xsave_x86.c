/*
 * XSAVE areas and their messages.
 *
 * ptrace(2) gives and takes the extended state (NT_X86_XSTATE) in XSAVE's standard format, whatever
 * the kernel uses inside: 512 bytes of FXSAVE, a header of 64 (which components are in use), and
 * each component at the offset that CPUID leaf 0xD tells. Offsets of AVX-512 and later differ
 * between makers, so an area is meaningless without its CPU; the messages name the components.
 *
 * The image has a field for each of AVX, MPX, AVX-512 and PKRU; a field is an array of just the
 * component's size. Anything newer (AMX, APX) goes to `components`, only when in use. A component
 * that is not in use (its bit in xstate_bv is 0) is in its initial state.
 */
#include <cpuid.h>
#include <pthread.h>

#include "kinds/task/cpu.h"

enum {
	XSAVE_X87 = 0,
	XSAVE_SSE = 1,
	XSAVE_AVX = 2,
	XSAVE_BNDREGS = 3,
	XSAVE_BNDCSR = 4,
	XSAVE_OPMASK = 5,
	XSAVE_ZMM_UPPER = 6,
	XSAVE_HI16_ZMM = 7,
	XSAVE_PKRU = 9,
};

#define FXSAVE_SIZE    512
#define XSAVE_HEADER   512
#define XSAVE_EXTENDED 576 /* the first component behind legacy area and header */
#define BIT(n)         ((uint64_t)1 << (n))

/* The legacy area, SDM volume 1, 10.5.1. */
struct fxsave {
	uint16_t cwd, swd, twd, fop;
	uint64_t rip, rdp;
	uint32_t mxcsr, mxcsr_mask;
	uint32_t st_space[32];
	uint32_t xmm_space[64];
	uint32_t padding[24];
};
_Static_assert(sizeof(struct fxsave) == FXSAVE_SIZE, "FXSAVE area");

/* The components that have a field of their own: where the array and its length stand. */
static const struct field {
	int component;
	size_t count_offset, array_offset, element;
} fields[] = {
#define FIELD(component, name, type)                                    \
	{                                                               \
		component, offsetof(UserX86XsaveEntry, n_##name),       \
			offsetof(UserX86XsaveEntry, name), sizeof(type) \
	}
	FIELD(XSAVE_AVX, ymmh_space, uint32_t),
	FIELD(XSAVE_BNDREGS, bndreg_state, uint64_t),
	FIELD(XSAVE_BNDCSR, bndcsr_state, uint64_t),
	FIELD(XSAVE_OPMASK, opmask_reg, uint64_t),
	FIELD(XSAVE_ZMM_UPPER, zmm_upper, uint64_t),
	FIELD(XSAVE_HI16_ZMM, hi16_zmm, uint64_t),
	FIELD(XSAVE_PKRU, pkru, uint32_t),
#undef FIELD
};

const char *xsave_component_name(int component)
{
	switch (component) {
	case XSAVE_AVX:
		return "AVX";
	case XSAVE_BNDREGS:
	case XSAVE_BNDCSR:
		return "MPX (memory bounds)";
	case XSAVE_OPMASK:
	case XSAVE_ZMM_UPPER:
	case XSAVE_HI16_ZMM:
		return "AVX-512";
	case XSAVE_PKRU:
		return "protection keys (PKRU)";
	case 17:
	case 18:
		return "AMX (tiles)";
	case 19:
		return "APX (more general registers)";
	default:
		return "unknown";
	}
}

/* A fact of the machine, not state: written once, before anyone reads it. */
static struct xsave_layout own_layout;

static void find_layout(void)
{
	struct xsave_layout *layout = &own_layout;
	uint32_t a, b, c, d;

	*layout = (struct xsave_layout){.supported = 3, .size = XSAVE_EXTENDED};
	if (__get_cpuid_max(0, NULL) < 0xd)
		return;
	__cpuid_count(0xd, 0, a, b, c, d);
	/* EAX and EDX list what could be enabled, XCR0 what is. */
	__asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	layout->supported = a | (uint64_t)d << 32;
	layout->size = b;
	for (int i = 2; i < XSAVE_COMPONENTS; i++) {
		if (!(layout->supported & BIT(i)))
			continue;
		__cpuid_count(0xd, i, a, b, c, d);
		layout->components[i] = (struct xsave_component){.offset = b, .size = a};
	}
}

const struct xsave_layout *xsave_layout_own(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_layout);
	return &own_layout;
}

static uint64_t known_components(void)
{
	uint64_t known = BIT(XSAVE_X87) | BIT(XSAVE_SSE);

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		known |= BIT(fields[i].component);
	return known;
}

static void legacy_to_image(struct arena *arena, const struct fxsave *fx, UserX86FpregsEntry *entry)
{
	entry->cwd = fx->cwd;
	entry->swd = fx->swd;
	entry->twd = fx->twd;
	entry->fop = fx->fop;
	entry->rip = fx->rip;
	entry->rdp = fx->rdp;
	entry->mxcsr = fx->mxcsr;
	entry->mxcsr_mask = fx->mxcsr_mask;
	entry->n_st_space = ARRAY_SIZE(fx->st_space);
	entry->st_space = arena_memdup(arena, fx->st_space, sizeof(fx->st_space));
	entry->n_xmm_space = ARRAY_SIZE(fx->xmm_space);
	entry->xmm_space = arena_memdup(arena, fx->xmm_space, sizeof(fx->xmm_space));
}

static void add_component(struct arena *arena, UserX86XsaveEntry *entry, int number,
	const unsigned char *bytes, size_t size)
{
	UserX86XsaveComponent *component = arena_new(arena, UserX86XsaveComponent);
	UserX86XsaveComponent **grown =
		arena_array(arena, UserX86XsaveComponent *, entry->n_components + 1);

	user_x86_xsave_component__init(component);
	component->number = (uint32_t)number;
	component->data.len = size;
	component->data.data = arena_memdup(arena, bytes, size);
	if (entry->n_components)
		memcpy(grown, entry->components, entry->n_components * sizeof(*grown));
	grown[entry->n_components++] = component;
	entry->components = grown;
}

int xsave_to_image(const struct xsave_layout *layout, struct arena *arena,
	const unsigned char *xsave, size_t size, UserX86FpregsEntry **ret_entry, struct error *err)
{
	UserX86FpregsEntry *entry = arena_new(arena, UserX86FpregsEntry);
	UserX86XsaveEntry *extended = arena_new(arena, UserX86XsaveEntry);
	struct fxsave fx;
	uint64_t header[8], known = known_components();

	if (size < XSAVE_EXTENDED)
		return error_set(err, EINVAL, "the extended registers are only %zu bytes", size);
	memcpy(&fx, xsave, sizeof(fx));
	memcpy(header, xsave + XSAVE_HEADER, sizeof(header));
	user_x86_fpregs_entry__init(entry);
	user_x86_xsave_entry__init(extended);
	legacy_to_image(arena, &fx, entry);
	entry->xsave = extended;
	extended->xstate_bv = header[0];
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *field = &fields[i];
		const struct xsave_component *at = &layout->components[field->component];

		if (!at->size || (size_t)at->offset + at->size > size)
			continue;
		*(size_t *)((char *)extended + field->count_offset) = at->size / field->element;
		*(void **)((char *)extended + field->array_offset) =
			arena_memdup(arena, xsave + at->offset, at->size);
	}
	for (int i = 2; i < XSAVE_COMPONENTS; i++) {
		const struct xsave_component *at = &layout->components[i];

		if (!(header[0] & BIT(i)) || known & BIT(i))
			continue;
		if (!at->size || (size_t)at->offset + at->size > size)
			return error_set(err, EINVAL, "register state %d (%s) is not in CPUID", i,
				xsave_component_name(i));
		add_component(arena, extended, i, xsave + at->offset, at->size);
	}
	*ret_entry = entry;
	return 0;
}

static int legacy_from_image(const UserX86FpregsEntry *entry, struct fxsave *fx, struct error *err)
{
	if (entry->n_st_space != ARRAY_SIZE(fx->st_space) ||
		entry->n_xmm_space != ARRAY_SIZE(fx->xmm_space))
		return error_refuse(err, ERROR_BAD_IMAGE,
			"fpregs has %zu words of x87 registers and %zu of SSE instead of 32 and 64",
			entry->n_st_space, entry->n_xmm_space);
	fx->cwd = (uint16_t)entry->cwd;
	fx->swd = (uint16_t)entry->swd;
	fx->twd = (uint16_t)entry->twd;
	fx->fop = (uint16_t)entry->fop;
	fx->rip = entry->rip;
	fx->rdp = entry->rdp;
	/* The kernel refuses bits that its CPU does not have; these are all that ever were. */
	fx->mxcsr = entry->mxcsr & 0x0003ffff;
	fx->mxcsr_mask = entry->mxcsr_mask;
	memcpy(fx->st_space, entry->st_space, sizeof(fx->st_space));
	memcpy(fx->xmm_space, entry->xmm_space, sizeof(fx->xmm_space));
	return 0;
}

static int take_component(const struct xsave_layout *layout, unsigned char *xsave, int number,
	const void *bytes, size_t size, struct error *err)
{
	const struct xsave_component *at = &layout->components[number];

	if (size != at->size)
		return error_refuse(err, ERROR_BAD_IMAGE,
			"register state %d (%s) has %zu bytes instead of %u", number,
			xsave_component_name(number), size, at->size);
	memcpy(xsave + at->offset, bytes, size);
	return 0;
}

/* The components in `wanted`, each of which the layout has. */
static int components_from_image(const struct xsave_layout *layout, const UserX86XsaveEntry *entry,
	uint64_t wanted, unsigned char *xsave, struct error *err)
{
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		size_t count = *(const size_t *)((const char *)entry + fields[i].count_offset);

		if (!(wanted & BIT(fields[i].component)))
			continue;
		rc = take_component(layout, xsave, fields[i].component,
			*(void *const *)((const char *)entry + fields[i].array_offset),
			count * fields[i].element, err);
		if (rc < 0)
			return rc;
		wanted &= ~BIT(fields[i].component);
	}
	for (size_t i = 0; i < entry->n_components; i++) {
		const UserX86XsaveComponent *component = entry->components[i];

		if (component->number >= XSAVE_COMPONENTS || !(wanted & BIT(component->number)))
			continue;
		rc = take_component(layout, xsave, (int)component->number, component->data.data,
			component->data.len, err);
		if (rc < 0)
			return rc;
		wanted &= ~BIT(component->number);
	}
	wanted &= ~(BIT(XSAVE_X87) | BIT(XSAVE_SSE));
	if (wanted)
		return error_refuse(err, ERROR_BAD_IMAGE,
			"register state %d (%s) is in use and not in the image",
			__builtin_ctzll(wanted), xsave_component_name(__builtin_ctzll(wanted)));
	return 0;
}

int xsave_from_image(const struct xsave_layout *layout, struct arena *arena,
	const UserX86FpregsEntry *entry, bool lenient, unsigned char **ret_xsave, struct error *err)
{
	const UserX86XsaveEntry *extended = entry->xsave;
	unsigned char *xsave = arena_alloc(arena, layout->size);
	uint64_t in_use = extended ? extended->xstate_bv : BIT(XSAVE_X87) | BIT(XSAVE_SSE);
	uint64_t lacking = in_use & ~layout->supported;
	struct fxsave fx = {0};
	int rc;

	if (lacking && !lenient) {
		int first = __builtin_ctzll(lacking);

		error_refuse(err, ERROR_CONFLICT,
			"the thread uses registers that this CPU does not have: %s",
			xsave_component_name(first));
		error_hint(err,
			"restore on a CPU with %s (--cpu-cap=none tries it nevertheless, "
			"without these registers)",
			xsave_component_name(first));
		return -EINVAL;
	}
	in_use &= layout->supported;
	rc = legacy_from_image(entry, &fx, err);
	if (rc < 0)
		return rc;
	memcpy(xsave, &fx, sizeof(fx));
	memcpy(xsave + XSAVE_HEADER, &in_use, sizeof(in_use));
	if (extended) {
		rc = components_from_image(layout, extended, in_use, xsave, err);
		if (rc < 0)
			return rc;
	}
	*ret_xsave = xsave;
	return 0;
}
