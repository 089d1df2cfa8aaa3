/*
 * System calls in progress.
 *
 * A thread that is stopped in a call has left it: the call returned -ERESTART* (ax), orig_ax says
 * which call it was, and on the way back to user mode the kernel decides what becomes of it
 * (arch/x86/kernel/signal.c, handle_signal and arch_do_signal_or_restart):
 *
 *	ax                         no handler runs         a handler runs
 *	-ERESTARTSYS (512)         call again              again if SA_RESTART, else -EINTR
 *	-ERESTARTNOINTR (513)      call again              call again
 *	-ERESTARTNOHAND (514)      call again              -EINTR
 *	-ERESTART_RESTARTBLOCK     restart_syscall(2)      -EINTR
 *	  (516)
 *
 * That happens at the end of the same stop in which a restore sets the registers, so they are set
 * as they were, and the kernel does the rest exactly, signals that are pending included. CRIU's
 * images have the decision already made ("call again", or -EINTR for 516): they carry no -ERESTART*
 * any more and need nothing. Ours say the same in the same fields, so that CRIU can restore them,
 * and the truth beside it (`interrupted`).
 *
 * The restart block is the kernel's own memory of a call with a relative time limit: nanosleep,
 * clock_nanosleep, poll, futex. Nothing reads or writes it. Two ways out:
 *
 *  - A sleep is primed: the thread itself begins a sleep of the remaining time, as its last op in
 *    the executor, is interrupted there, and so owns a restart block. With ax = -516 set at that
 *    stop, the kernel goes on with it under the thread's own registers. The time that remained is
 *    known where the program gave the call a place for it (`rem`; the kernel fills it in whenever
 *    it takes the thread out); otherwise the sleep begins anew with its full length.
 *  - poll and futex begin anew with their full time limit (as -ERESTARTNOHAND, which is otherwise
 *    the same). How much of it was over is written nowhere.
 *
 * A thread that was taken out of such a call before (a stop signal, a debugger, a dump that left it
 * running) is in restart_syscall(2), which does not say what it restarts. Its arguments are still
 * in the registers, and the number is in the instruction before `syscall` in all code that
 *compilers make ("mov $nr, %eax"). Where it is not, the call ends with -EINTR.
 */
#include "kinds/task/restart.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>

#include "kinds/task/common.h"
#include "kinds/task/rows.h"
#include "puppet/registers.h"

#define NSEC_PER_SEC 1000000000ULL
#define CODE_BEFORE  40 /* bytes of code that are searched for the number of a call */

static bool is_restart(int64_t code)
{
	return code == -ERESTARTSYS || code == -ERESTARTNOINTR || code == -ERESTARTNOHAND ||
	       code == -ERESTART_RESTARTBLOCK;
}

void restart_to_image(UserX86RegsEntry *gpregs)
{
	int64_t code = (int64_t)gpregs->ax;

	if ((int64_t)gpregs->orig_ax < 0 || !is_restart(code))
		return;
	gpregs->has_interrupted = true;
	gpregs->interrupted = code;
	if (code == -ERESTART_RESTARTBLOCK) {
		gpregs->ax = (uint64_t)-EINTR;
		return;
	}
	gpregs->ax = gpregs->orig_ax;
	gpregs->ip -= 2; /* the length of `syscall` */
}

bool restart_is_primed(const CoreEntry *core)
{
	const UserX86RegsEntry *gpregs = core->thread_info->gpregs;

	return gpregs->has_interrupted && gpregs->interrupted == -ERESTART_RESTARTBLOCK &&
	       (gpregs->orig_ax == SYS_nanosleep || gpregs->orig_ax == SYS_clock_nanosleep) &&
	       core->thread_core->has_sleep_remaining;
}

void restart_from_image(const CoreEntry *core, struct user_regs_struct *general)
{
	const UserX86RegsEntry *gpregs = core->thread_info->gpregs;

	if (!gpregs->has_interrupted)
		return;
	general->rax = (uint64_t)gpregs->interrupted;
	if (gpregs->interrupted != -ERESTART_RESTARTBLOCK)
		general->rip += 2;
	else if (gpregs->orig_ax == SYS_restart_syscall)
		general->rax = (uint64_t)-EINTR;
	else if (!restart_is_primed(core))
		general->rax = (uint64_t)-ERESTARTNOHAND;
}

static bool is_restartable(uint32_t nr)
{
	return nr == SYS_nanosleep || nr == SYS_clock_nanosleep || nr == SYS_poll ||
	       nr == SYS_futex;
}

static bool is_time(pid_t pid, uint64_t address)
{
	struct timespec time;

	return address && task_read_memory(pid, address, &time, sizeof(time)) == 0 &&
	       time.tv_sec >= 0 && (uint64_t)time.tv_nsec < NSEC_PER_SEC;
}

/* The call that restart_syscall(2) continues: the last "mov $nr, %eax" shortly before `syscall`, or,
 * where the compiler has shared the end of several calls, what looks like the arguments of a wait. */
static void name_restarted_call(const struct thread_source *source, UserX86RegsEntry *gpregs)
{
	unsigned char code[CODE_BEFORE];
	uint64_t op = gpregs->si & ~(uint64_t)(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);

	if (task_read_memory(source->pid, gpregs->ip - sizeof(code), code, sizeof(code)) < 0)
		return;
	for (size_t at = sizeof(code) - 7 + 1; at-- > 0;) {
		uint32_t nr;

		memcpy(&nr, code + at + 1, sizeof(nr));
		if (code[at] != 0xb8 || !is_restartable(nr))
			continue;
		gpregs->orig_ax = nr;
		return;
	}
	if ((op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET) && gpregs->di % 4 == 0 &&
		gpregs->di >= PAGE_SIZE && is_time(source->pid, gpregs->r10))
		gpregs->orig_ax = SYS_futex;
}

/* Calls that end with -EINTR when their thread is stopped, handler or not (signal(7)). Where no
 * handler is to run, that would be the doing of whoever stopped it, us, so it is taken for what it
 * would be if these calls were like the others: call again, unless a handler runs. */
static bool ends_by_stop(uint64_t nr)
{
	switch (nr) {
	case SYS_rt_sigtimedwait:
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_io_getevents:
	case SYS_io_pgetevents:
		return true;
	default:
		return false;
	}
}

/* The time that an interrupted sleep had still to go: from `rem`, or else all of it. */
static void read_remaining(
	const struct thread_source *source, const UserX86RegsEntry *gpregs, ThreadCoreEntry *thread)
{
	uint64_t request, remaining;
	struct timespec time;

	if (gpregs->orig_ax == SYS_nanosleep) {
		request = gpregs->di;
		remaining = gpregs->si;
	} else if (gpregs->orig_ax == SYS_clock_nanosleep) {
		request = gpregs->dx;
		remaining = gpregs->r10;
	} else {
		return;
	}
	if (task_read_memory(source->pid, remaining ? remaining : request, &time, sizeof(time)) < 0)
		return;
	if (time.tv_sec < 0 || (uint64_t)time.tv_sec > UINT64_MAX / NSEC_PER_SEC - 1 ||
		(uint64_t)time.tv_nsec >= NSEC_PER_SEC)
		return;
	thread->has_sleep_remaining = true;
	thread->sleep_remaining = (uint64_t)time.tv_sec * NSEC_PER_SEC + (uint64_t)time.tv_nsec;
}

static int look(struct dump_context *context _unused_, struct thread_source *source,
	struct error *err _unused_)
{
	CoreEntry *core = source->thread->core;
	UserX86RegsEntry *gpregs = core->thread_info->gpregs;

	if ((int64_t)gpregs->ax == -EINTR && ends_by_stop(gpregs->orig_ax)) {
		gpregs->ax = (uint64_t)-ERESTARTNOHAND;
		source->registers->general.rax = gpregs->ax;
		/* At once, for the way out on which nothing has been injected (inspect). */
		(void)ptrace(PTRACE_POKEUSER, source->tid, (void *)offsetof(struct user, regs.rax),
			(void *)gpregs->ax);
	}
	if ((int64_t)gpregs->ax == -ERESTART_RESTARTBLOCK && (int64_t)gpregs->orig_ax >= 0) {
		if (gpregs->orig_ax == SYS_restart_syscall)
			name_restarted_call(source, gpregs);
		read_remaining(source, gpregs, core->thread_core);
	}
	restart_to_image(gpregs);
	return 0;
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader _unused_, struct error *err _unused_)
{
	const UserX86RegsEntry *gpregs;

	/* That they are there is for the row "cpu" to say. */
	if (!thread->core->thread_info || !thread->core->thread_info->gpregs)
		return 0;
	gpregs = thread->core->thread_info->gpregs;
	if (gpregs->has_interrupted && !is_restart(gpregs->interrupted))
		task_bad_image(context, thread, "an interrupted call cannot have returned %lld",
			(long long)gpregs->interrupted);
	else if (gpregs->has_interrupted && gpregs->orig_ax > INT32_MAX)
		task_bad_image(context, thread, "there is no call number %llu to restart",
			(unsigned long long)gpregs->orig_ax);
	return 0;
}

int task_plan_prime(struct restore_context *context, const struct thread_plan *plan,
	struct batch *prime, struct error *err _unused_)
{
	const CoreEntry *core = plan_core(plan);
	const UserX86RegsEntry *gpregs = core->thread_info->gpregs;
	struct timespec *time;

	if (!restart_is_primed(core))
		return 0;
	time = arena_new(context->arena, struct timespec);
	time->tv_sec = (time_t)(core->thread_core->sleep_remaining / NSEC_PER_SEC);
	time->tv_nsec = (long)(core->thread_core->sleep_remaining % NSEC_PER_SEC);
	/* `rem` is the program's: the kernel writes the remaining time there from now on. */
	if (gpregs->orig_ax == SYS_nanosleep)
		batch_op_flags(prime, OP_ASK, "sleep on", SYS_nanosleep, IN(time, sizeof(*time)),
			VAL(gpregs->si));
	else
		batch_op_flags(prime, OP_ASK, "sleep on", SYS_clock_nanosleep, VAL(gpregs->di),
			VAL(0), IN(time, sizeof(*time)), VAL(gpregs->r10));
	return 0;
}

const struct task_kind restart_kind = {
	.name = "calls in progress",
	.limits = "poll(2) and futex(2) with a relative time limit, and sleeps without a place for "
		  "the "
		  "remaining time, begin their time anew",
	.look = look,
	.check = check,
};
