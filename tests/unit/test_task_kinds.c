/* Rows of task state: seccomp chains, timers, and what an image may not say. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/filter.h>
#include <signal.h>

#include "kinds/task/rows.h"
#include "kinds/task/seccomp.h"
#include "kinds/task/signals.h"
#include "kinds/task/timers.h"

static struct arena arena;
static struct checkpoint checkpoint;
static struct problems problems;
static struct job job;

static int begin(void **state)
{
	(void)state;
	arena = (struct arena){};
	checkpoint = (struct checkpoint){.arena = &arena};
	problems = (struct problems){};
	job_init(&job);
	return 0;
}

static int end(void **state)
{
	(void)state;
	problems_deinit(&problems);
	arena_deinit(&arena);
	job_deinit(&job);
	return 0;
}

static void filters_are_shared(void **state)
{
	const uint64_t a = 1, b = 2, c[2] = {3, 3};
	uint32_t *chain;
	size_t count;
	int root, left, right;

	(void)state;
	root = seccomp_intern(&checkpoint, -1, 0, &a, sizeof(a));
	left = seccomp_intern(&checkpoint, root, 0, &b, sizeof(b));
	right = seccomp_intern(&checkpoint, root, 0, c, sizeof(c));
	assert_int_equal(seccomp_intern(&checkpoint, -1, 0, &a, sizeof(a)), root);
	assert_int_equal(seccomp_intern(&checkpoint, root, 0, &b, sizeof(b)), left);
	/* The same program elsewhere in a chain, or to be logged, is another filter. */
	assert_int_not_equal(seccomp_intern(&checkpoint, -1, 0, &b, sizeof(b)), left);
	assert_int_not_equal(seccomp_intern(&checkpoint, root, 2, &b, sizeof(b)), left);
	assert_int_equal(checkpoint.seccomp->n_seccomp_filters, 5);
	assert_true(seccomp_chain(checkpoint.seccomp, (uint32_t)right, &arena, &chain, &count));
	assert_int_equal(count, 2);
	assert_int_equal(chain[0], root);
	assert_int_equal(chain[1], right);
	/* No end, and no beginning. */
	checkpoint.seccomp->seccomp_filters[root]->has_prev = true;
	checkpoint.seccomp->seccomp_filters[root]->prev = (uint32_t)left;
	assert_false(seccomp_chain(checkpoint.seccomp, (uint32_t)left, &arena, &chain, &count));
	assert_false(seccomp_chain(checkpoint.seccomp, 5, &arena, &chain, &count));
	assert_false(seccomp_chain(NULL, 0, &arena, &chain, &count));
}

static void timers_of_proc(void **state)
{
	PosixTimerEntry **entries;
	struct error err = ERROR_INIT;
	size_t count;

	(void)state;
	assert_int_equal(timers_parse(&arena,
				 "ID: 7\nsignal: 34/00007fff86e452a8\nnotify: signal/tid.42\n"
				 "ClockID: -6\nID: 0\nsignal: 0/0000000000000000\n"
				 "notify: none/pid.41\nClockID: 1\n",
				 &entries, &count, &err),
		0);
	assert_int_equal(count, 2);
	assert_int_equal(entries[0]->it_id, 0);
	assert_int_equal(entries[0]->it_sigev_notify, SIGEV_NONE);
	assert_false(entries[0]->has_notify_thread_id);
	assert_int_equal(entries[1]->it_id, 7);
	assert_int_equal(entries[1]->sival_ptr, 0x7fff86e452a8);
	assert_int_equal(entries[1]->it_sigev_notify, SIGEV_SIGNAL | SIGEV_THREAD_ID);
	assert_int_equal(entries[1]->notify_thread_id, 42);
	assert_int_equal((int32_t)entries[1]->clock_id, -6);
	assert_int_equal(timers_parse(&arena, "", &entries, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_true(timers_parse(&arena, "ID: 7\nsig", &entries, &count, &err) < 0);
}

/* A small but complete core of a leader. */
static CoreEntry *new_core(void)
{
	CoreEntry *core = arena_new(&arena, CoreEntry);
	UserX86FpregsEntry *fpregs = arena_new(&arena, UserX86FpregsEntry);

	core_entry__init(core);
	core->mtype = CORE_ENTRY__MARCH__X86_64;
	core->thread_info = arena_new(&arena, ThreadInfoX86);
	thread_info_x86__init(core->thread_info);
	core->thread_info->gpregs = arena_new(&arena, UserX86RegsEntry);
	user_x86_regs_entry__init(core->thread_info->gpregs);
	core->thread_info->gpregs->cs = 0x33;
	core->thread_info->gpregs->ss = 0x2b;
	core->thread_info->fpregs = fpregs;
	user_x86_fpregs_entry__init(fpregs);
	fpregs->n_st_space = 32;
	fpregs->st_space = arena_array(&arena, uint32_t, 32);
	fpregs->n_xmm_space = 64;
	fpregs->xmm_space = arena_array(&arena, uint32_t, 64);
	core->thread_core = arena_new(&arena, ThreadCoreEntry);
	thread_core_entry__init(core->thread_core);
	core->thread_core->creds = arena_new(&arena, CredsEntry);
	creds_entry__init(core->thread_core->creds);
	core->tc = arena_new(&arena, TaskCoreEntry);
	task_core_entry__init(core->tc);
	core->tc->comm = (char *)"name";
	return core;
}

/* Runs all checks; what may be planned is planned. Returns the number of problems. */
static size_t check_core(CoreEntry *core)
{
	struct thread thread = {.tid = 7, .core = core};
	struct task task = {.pid = 7, .threads = &thread, .thread_count = 1};
	struct task *tasks[] = {&task};
	struct restore_context context = {
		.job = &job, .arena = &arena, .checkpoint = &checkpoint, .problems = &problems};
	struct thread_plan plan = {.task = &task};
	struct error err = ERROR_INIT;
	size_t before = problems.count;

	checkpoint.tasks = tasks;
	checkpoint.task_count = 1;
	for (int i = 0; i < PHASE_COUNT; i++)
		plan.phases[i] = batch_create(&arena);
	for (size_t i = 0; task_kinds[i]; i++)
		if (task_kinds[i]->check)
			assert_int_equal(
				task_kinds[i]->check(&context, &task, &thread, true, &err), 0);
	for (size_t i = 0; problems.count == before && task_kinds[i]; i++)
		if (task_kinds[i]->plan)
			assert_int_equal(task_kinds[i]->plan(&context, &plan, &err), 0);
	return problems.count - before;
}

static SignalQueueEntry *queue_of(int signo, size_t size)
{
	SignalQueueEntry *queue = arena_new(&arena, SignalQueueEntry);
	struct image_siginfo info = {.signo = signo};
	SiginfoEntry *entry = arena_new(&arena, SiginfoEntry);

	signal_queue_entry__init(queue);
	siginfo_entry__init(entry);
	entry->siginfo.data = arena_memdup(&arena, &info, sizeof(info));
	entry->siginfo.len = size;
	queue->signals = arena_new(&arena, SiginfoEntry *);
	queue->signals[0] = entry;
	queue->n_signals = 1;
	return queue;
}

static PosixTimerEntry *add_timer(CoreEntry *core)
{
	TaskTimersEntry *timers = task_timers(&arena, core->tc);
	PosixTimerEntry *timer = arena_new(&arena, PosixTimerEntry);

	posix_timer_entry__init(timer);
	timer->si_signo = SIGUSR1;
	timers->posix = arena_new(&arena, PosixTimerEntry *);
	timers->posix[0] = timer;
	timers->n_posix = 1;
	return timer;
}

static CoreEntry *with_filter(size_t size)
{
	CoreEntry *core = new_core();
	unsigned char *bytes = arena_alloc(&arena, size + 1);

	core->thread_core->has_seccomp_mode = true;
	core->thread_core->seccomp_mode = SECCOMP_MODE__filter;
	core->thread_core->seccomp_filter =
		(uint32_t)seccomp_intern(&checkpoint, -1, 0, bytes, size);
	return core;
}

static void hostile(void **state)
{
	CoreEntry *core = new_core();
	PosixTimerEntry *timer;

	(void)state;
	assert_int_equal(check_core(core), 0);
#define REFUSED(change)                            \
	do {                                       \
		core = new_core();                 \
		change;                            \
		assert_true(check_core(core) > 0); \
	} while (0)
	REFUSED(core->thread_info->gpregs = NULL);
	REFUSED(core->thread_info->fpregs = NULL);
	REFUSED(core->thread_info->gpregs->cs = 0x10);
	REFUSED(core->thread_info->gpregs->ss = 0);
	REFUSED(core->thread_info->gpregs->ip = ~0ULL);
	REFUSED(core->thread_info->gpregs->fs_base = 1ULL << 60);
	REFUSED(core->thread_info->gpregs->gs = 0x28);
	REFUSED(core->thread_info->gpregs->has_interrupted = true);
	REFUSED(core->thread_info->fpregs->n_xmm_space = 0);
	REFUSED(core->thread_core->creds = NULL);
	REFUSED(core->thread_core->creds->n_cap_prm = 3);
	REFUSED(core->thread_core->creds->n_groups = 1 << 20);
	REFUSED(core->thread_core->creds->secbits = ~0U);
	REFUSED(core->thread_core->pdeath_sig = 65);
	REFUSED((core->thread_core->has_sched_policy = true, core->thread_core->sched_policy = 99));
	REFUSED((core->thread_core->has_sched_nice = true, core->thread_core->sched_nice = 20));
	REFUSED((core->thread_core->futex_rla = 1, core->thread_core->futex_rla_len = 1));
	REFUSED(core->tc->comm = (char *)"longer than it may be");
	REFUSED(core->tc->n_sigactions = 65);
	REFUSED(core->tc->signals_s = queue_of(0, 128));
	REFUSED(core->tc->signals_s = queue_of(SIGKILL, 128));
	REFUSED(core->tc->signals_s = queue_of(65, 128));
	REFUSED(core->thread_core->signals_p = queue_of(SIGUSR1, 127));
	REFUSED(core->tc->membarrier_registration_mask = 1);
	REFUSED((core->tc->has_oom_score_adj = true, core->tc->oom_score_adj = 2000));
	REFUSED((core->thread_core->has_seccomp_mode = true,
		core->thread_core->seccomp_mode = SECCOMP_MODE__filter));
	REFUSED(core = with_filter(7));
	REFUSED(core = with_filter(8 * (BPF_MAXINSNS + 1)));
	REFUSED((timer = add_timer(core), timer->vnsec = 1000000000));
	REFUSED((timer = add_timer(core), timer->si_signo = 65));
	REFUSED((timer = add_timer(core), timer->it_id = ~0U));
#undef REFUSED
	core = new_core();
	timer = add_timer(core);
	timer->overrun = ~0U;
	timer->isec = INT64_MAX;
	timer->vsec = 1;
	assert_int_equal(check_core(core), 0);
	core = with_filter(8);
	core->tc->signals_s = queue_of(SIGSTOP, 128);
	assert_int_equal(check_core(core), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(filters_are_shared, begin, end),
		cmocka_unit_test_setup_teardown(timers_of_proc, begin, end),
		cmocka_unit_test_setup_teardown(hostile, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
