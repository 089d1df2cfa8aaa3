/* Registers: XSAVE areas to messages and back, calls in progress. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/syscall.h>
#include <time.h>

#include "image/dir.h"
#include "kinds/task/cpu.h"
#include "kinds/task/restart.h"

#define BIT(n) ((uint64_t)1 << (n))

static struct arena arena;

static int begin(void **state)
{
	(void)state;
	arena = (struct arena){};
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_deinit(&arena);
	return 0;
}

/* AVX, AVX-512, PKRU and AMX, as Intel's server CPUs lay them out. */
static struct xsave_layout big_layout(void)
{
	struct xsave_layout layout = {.supported = 0x602e7,
		.size = 11008,
		.components = {
			[2] = {576, 256},
			[5] = {1088, 64},
			[6] = {1152, 512},
			[7] = {1664, 1024},
			[9] = {2688, 8},
			[17] = {2752, 64},
			[18] = {2816, 8192},
		}};

	return layout;
}

static uint64_t random_state = 88172645463325252ULL;

static uint64_t random_word(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void fill(unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)random_word();
}

/* An area as ptrace gives it: random, components out of use all zero. */
static unsigned char *random_area(const struct xsave_layout *layout, uint64_t in_use)
{
	unsigned char *area = arena_alloc(&arena, layout->size);

	fill(area, 416); /* FXSAVE without what software may have there */
	area[26] &= 3; /* MXCSR */
	area[27] = 0;
	memset(area + 4, 0, 2); /* the tag word is 8 bits here */
	memcpy(area + 512, &in_use, sizeof(in_use));
	for (int i = 2; i < XSAVE_COMPONENTS; i++)
		if (in_use & BIT(i))
			fill(area + layout->components[i].offset, layout->components[i].size);
	return area;
}

static void round_trip(const struct xsave_layout *layout, uint64_t in_use)
{
	unsigned char *area = random_area(layout, in_use), *again, *packed;
	UserX86FpregsEntry *entry, *unpacked;
	struct error err = ERROR_INIT;
	size_t size;

	assert_int_equal(xsave_to_image(layout, &arena, area, layout->size, &entry, &err), 0);
	packed = arena_alloc(&arena, user_x86_fpregs_entry__get_packed_size(entry));
	size = user_x86_fpregs_entry__pack(entry, packed);
	unpacked = user_x86_fpregs_entry__unpack(NULL, size, packed);
	assert_non_null(unpacked);
	assert_int_equal(xsave_from_image(layout, &arena, unpacked, false, &again, &err), 0);
	assert_memory_equal(area, again, layout->size);
	user_x86_fpregs_entry__free_unpacked(unpacked, NULL);
}

static void random_states(void **state)
{
	struct xsave_layout layout = big_layout();
	const struct xsave_layout *own = xsave_layout_own();

	(void)state;
	assert_true(own->size >= 576);
	for (int i = 0; i < 300; i++) {
		round_trip(&layout, random_word() & layout.supported);
		round_trip(own, random_word() & own->supported);
	}
}

static void lengths_of_fields(void **state)
{
	struct xsave_layout layout = big_layout();
	UserX86FpregsEntry *entry;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(
		xsave_to_image(&layout, &arena, random_area(&layout, 3), layout.size, &entry, &err),
		0);
	assert_int_equal(entry->n_st_space, 32);
	assert_int_equal(entry->n_xmm_space, 64);
	assert_int_equal(entry->xsave->n_ymmh_space, 64);
	assert_int_equal(entry->xsave->n_opmask_reg, 8);
	assert_int_equal(entry->xsave->n_zmm_upper, 64);
	assert_int_equal(entry->xsave->n_hi16_zmm, 128);
	assert_int_equal(entry->xsave->n_pkru, 2);
	assert_int_equal(entry->xsave->n_bndreg_state, 0);
	/* Tiles are large: only when in use. */
	assert_int_equal(entry->xsave->n_components, 0);
}

/* A state that this CPU lacks is refused by name. */
static void lacking(void **state)
{
	struct xsave_layout layout = big_layout(), small = big_layout();
	UserX86FpregsEntry *entry;
	struct error err = ERROR_INIT;
	unsigned char *area;

	(void)state;
	small.supported = 7;
	small.size = 832;
	assert_int_equal(xsave_to_image(&layout, &arena, random_area(&layout, 0xe7), layout.size,
				 &entry, &err),
		0);
	assert_true(xsave_from_image(&small, &arena, entry, false, &area, &err) < 0);
	assert_int_equal(err.class, ERROR_CONFLICT);
	assert_non_null(strstr(err.message, "AVX-512"));
	assert_int_equal(xsave_from_image(&small, &arena, entry, true, &area, &err), 0);
	assert_int_equal(*(uint64_t *)(area + 512), 7);
}

static void damaged(void **state)
{
	struct xsave_layout layout = big_layout();
	UserX86FpregsEntry *entry;
	struct error err = ERROR_INIT;
	unsigned char *area;

	(void)state;
	assert_int_equal(xsave_to_image(&layout, &arena, random_area(&layout, 0x602e7), layout.size,
				 &entry, &err),
		0);
	entry->xsave->n_ymmh_space = 63;
	assert_true(xsave_from_image(&layout, &arena, entry, false, &area, &err) < 0);
	assert_int_equal(err.class, ERROR_BAD_IMAGE);
	entry->xsave->n_ymmh_space = 64;
	entry->xsave->components[0]->number = 2000;
	assert_true(xsave_from_image(&layout, &arena, entry, false, &area, &err) < 0);
	assert_int_equal(err.class, ERROR_BAD_IMAGE);
	entry->xsave->components[0]->number = 17;
	entry->n_xmm_space = 1;
	assert_true(xsave_from_image(&layout, &arena, entry, false, &area, &err) < 0);
	assert_int_equal(err.class, ERROR_BAD_IMAGE);
}

/* CRIU's own images: to an area and back they are what they were. */
static void criu_images(void **state)
{
	static const struct {
		const char *directory;
		uint64_t tid;
	} samples[] = {{"counter", 31001}, {"pipeline", 31104}, {"python-many", 31901},
		{"python-many", 31903}};
	struct xsave_layout layout = big_layout();

	(void)state;
	/* They were made on AMD Zen 4, without PKRU. */
	layout.supported = 0xe7;
	layout.size = 2432;
	layout.components[9] = layout.components[17] = layout.components[18] =
		(struct xsave_component){};
	layout.components[5] = (struct xsave_component){832, 64};
	layout.components[6] = (struct xsave_component){896, 512};
	layout.components[7] = (struct xsave_component){1408, 1024};
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		_cleanup_(image_dir_cleanup) struct image_dir *dir = NULL;
		UserX86FpregsEntry *entry, *again;
		struct error err = ERROR_INIT;
		ProtobufCMessage *message;
		unsigned char *area, *a, *b;
		char path[512];
		size_t size;

		snprintf(path, sizeof(path), "%s/../shared/images/%s/images", SOURCE_ROOT,
			samples[i].directory);
		if (access(path, R_OK) < 0) {
			print_message("no %s\n", path);
			continue;
		}
		assert_int_equal(image_dir_open(path, &dir, &err), 0);
		assert_int_equal(
			image_read_single(dir, IMAGE_CORE, samples[i].tid, &arena, &message, &err),
			0);
		entry = ((CoreEntry *)message)->thread_info->fpregs;
		/* CRIU writes it always; there is no shadow stack. */
		assert_int_equal(entry->xsave->cet ? entry->xsave->cet->cet : 0, 0);
		entry->xsave->cet = NULL;
		assert_int_equal(xsave_from_image(&layout, &arena, entry, false, &area, &err), 0);
		assert_int_equal(
			xsave_to_image(&layout, &arena, area, layout.size, &again, &err), 0);
		size = user_x86_fpregs_entry__get_packed_size(entry);
		assert_int_equal(user_x86_fpregs_entry__get_packed_size(again), size);
		a = arena_alloc(&arena, size);
		b = arena_alloc(&arena, size);
		user_x86_fpregs_entry__pack(entry, a);
		user_x86_fpregs_entry__pack(again, b);
		assert_memory_equal(a, b, size);
	}
}

static CoreEntry *core_in_call(long nr, long result)
{
	CoreEntry *core = arena_new(&arena, CoreEntry);

	core_entry__init(core);
	core->thread_info = arena_new(&arena, ThreadInfoX86);
	thread_info_x86__init(core->thread_info);
	core->thread_core = arena_new(&arena, ThreadCoreEntry);
	thread_core_entry__init(core->thread_core);
	core->thread_info->gpregs = arena_new(&arena, UserX86RegsEntry);
	user_x86_regs_entry__init(core->thread_info->gpregs);
	core->thread_info->gpregs->orig_ax = (uint64_t)nr;
	core->thread_info->gpregs->ax = (uint64_t)result;
	core->thread_info->gpregs->ip = 0x1002;
	return core;
}

static void restarted(long nr, long result, long image_ax, uint64_t image_ip, long restored_ax)
{
	CoreEntry *core = core_in_call(nr, result);
	UserX86RegsEntry *gpregs = core->thread_info->gpregs;
	struct user_regs_struct general;

	restart_to_image(gpregs);
	assert_int_equal(gpregs->ax, (uint64_t)image_ax);
	assert_int_equal(gpregs->ip, image_ip);
	assert_int_equal(gpregs->orig_ax, (uint64_t)nr);
	general = (struct user_regs_struct){.rax = gpregs->ax, .rip = gpregs->ip};
	restart_from_image(core, &general);
	assert_int_equal(general.rax, (uint64_t)restored_ax);
	assert_int_equal(general.rip, 0x1002);
}

static void calls_in_progress(void **state)
{
	(void)state;
	restarted(SYS_read, -ERESTARTSYS, SYS_read, 0x1000, -ERESTARTSYS);
	restarted(SYS_futex, -ERESTARTNOINTR, SYS_futex, 0x1000, -ERESTARTNOINTR);
	restarted(SYS_pause, -ERESTARTNOHAND, SYS_pause, 0x1000, -ERESTARTNOHAND);
	/* Without a restart block the call begins anew, or is interrupted by a handler. */
	restarted(SYS_poll, -ERESTART_RESTARTBLOCK, -EINTR, 0x1002, -ERESTARTNOHAND);
	restarted(SYS_restart_syscall, -ERESTART_RESTARTBLOCK, -EINTR, 0x1002, -EINTR);
	/* Results of finished calls, and no call at all. */
	restarted(SYS_read, -EINTR, -EINTR, 0x1002, -EINTR);
	restarted(SYS_read, 512, 512, 0x1002, 512);
	restarted(-1, -ERESTARTSYS, -ERESTARTSYS, 0x1002, -ERESTARTSYS);
}

static void primed_sleep(void **state)
{
	CoreEntry *core = core_in_call(SYS_clock_nanosleep, -ERESTART_RESTARTBLOCK);
	struct thread thread = {.tid = 7, .core = core};
	struct task task = {.pid = 7, .threads = &thread, .thread_count = 1};
	struct thread_plan plan = {.task = &task};
	struct restore_context context = {.arena = &arena};
	struct batch *batch = batch_create(&arena);
	struct user_regs_struct general = {};
	struct error err = ERROR_INIT;
	const struct timespec *time;

	(void)state;
	core->thread_info->gpregs->di = CLOCK_BOOTTIME;
	core->thread_info->gpregs->r10 = 0x7000;
	restart_to_image(core->thread_info->gpregs);
	assert_false(restart_is_primed(core));
	assert_int_equal(task_plan_prime(&context, &plan, batch, &err), 0);
	assert_int_equal(batch->count, 0);

	core->thread_core->has_sleep_remaining = true;
	core->thread_core->sleep_remaining = 3000000005ULL;
	assert_true(restart_is_primed(core));
	restart_from_image(core, &general);
	assert_int_equal(general.rax, (uint64_t)-ERESTART_RESTARTBLOCK);
	assert_int_equal(task_plan_prime(&context, &plan, batch, &err), 0);
	assert_int_equal(batch->count, 1);
	assert_int_equal(batch->ops[0].nr, SYS_clock_nanosleep);
	assert_int_equal(batch->ops[0].args[0].value, CLOCK_BOOTTIME);
	assert_int_equal(batch->ops[0].args[3].value, 0x7000);
	time = batch->ops[0].args[2].data.bytes;
	assert_int_equal(time->tv_sec, 3);
	assert_int_equal(time->tv_nsec, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_states, begin, end),
		cmocka_unit_test_setup_teardown(lengths_of_fields, begin, end),
		cmocka_unit_test_setup_teardown(lacking, begin, end),
		cmocka_unit_test_setup_teardown(damaged, begin, end),
		cmocka_unit_test_setup_teardown(criu_images, begin, end),
		cmocka_unit_test_setup_teardown(calls_in_progress, begin, end),
		cmocka_unit_test_setup_teardown(primed_sleep, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
