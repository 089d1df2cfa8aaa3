#include "puppet/wait.h"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

#define ANSWER_TIMEOUT_MS 60000

void ring_prepare(struct ring *ring)
{
	__atomic_store_n(&ring->waiting, 0, __ATOMIC_RELAXED);
	__atomic_add_fetch(&ring->go, 1, __ATOMIC_SEQ_CST);
}

static void wake(struct ring *ring)
{
	syscall(SYS_futex, &ring->go, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void ring_go(struct ring *ring)
{
	ring_prepare(ring);
	wake(ring);
}

static bool is_done(const struct ring *ring)
{
	return __atomic_load_n(&ring->done, __ATOMIC_ACQUIRE) == ring->go;
}

static bool is_fault(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGTRAP ||
	       signal == SIGFPE || signal == SIGSYS;
}

/* The tracee has stopped or ended while it should be working. */
static int handle_stop(struct tracee *tracee,
	int (*on_event)(void *arg, struct tracee *tracee, struct error *err), void *arg,
	struct error *err)
{
	int rc;

	if (tracee->state == TRACEE_GONE) {
		rc = error_set(err, ESRCH, "task %d ended unexpectedly (status %#x)", tracee->pid,
			(unsigned int)tracee->status);
		error_about_task(err, tracee->pid);
		error_class(err, ERROR_GONE);
		return rc;
	}
	if (tracee->event && tracee->event != PTRACE_EVENT_STOP && on_event)
		return on_event(arg, tracee, err);
	if (!tracee->event && is_fault(tracee->signal)) {
		struct user_regs_struct registers = {};
		struct error ignored = ERROR_INIT;

		tracee_get_registers(tracee, &registers, &ignored);
		rc = error_set(err, EFAULT, "task %d faulted in the executor (signal %d at %#llx)",
			tracee->pid, tracee->signal, (unsigned long long)registers.rip);
		error_about_task(err, tracee->pid);
		return rc;
	}
	return tracee_continue(tracee, PTRACE_CONT, tracee->event ? 0 : tracee->signal, err);
}

int ring_wait(struct ring *ring, struct tracee *tracee,
	int (*on_event)(void *arg, struct tracee *tracee, struct error *err), void *arg,
	struct error *err)
{
	const struct timespec nap = {.tv_nsec = 2000000};
	int64_t deadline = now_ms() + ANSWER_TIMEOUT_MS;

	/* Most batches take microseconds. The yield matters when both share a CPU. */
	for (unsigned int spins = 0; !is_done(ring); spins++) {
		uint32_t seen;

		if (((spins & 7) == 7 || on_event) && tracee_poll(tracee)) {
			int rc = handle_stop(tracee, on_event, arg, err);

			if (rc < 0)
				return rc;
			continue;
		}
		if (spins < 16) {
			sched_yield();
			continue;
		}
		if (now_ms() > deadline) {
			error_set(err, ETIMEDOUT, "task %d does not answer", tracee->pid);
			error_about_task(err, tracee->pid);
			return -ETIMEDOUT;
		}
		/* Events are told by SIGCHLD; a batch that ends without the expected ones is found soon. */
		if (on_event) {
			tracing_sleep(500);
			wake(ring);
			continue;
		}
		seen = __atomic_load_n(&ring->done, __ATOMIC_ACQUIRE);
		__atomic_store_n(&ring->waiting, 1, __ATOMIC_SEQ_CST);
		/* Nobody sleeps through a call to work for longer than a nap. */
		if (seen != ring->go &&
			syscall(SYS_futex, &ring->done, FUTEX_WAIT, seen, &nap, NULL, 0) < 0)
			wake(ring);
	}
	__atomic_store_n(&ring->waiting, 0, __ATOMIC_RELAXED);
	return 0;
}
