#include "puppet/tracee.h"

#include <elf.h>
#include <sched.h>
#include <signal.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/testpoint.h"
#include "kernel/procfs.h"

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fail(const struct tracee *tracee, int errnum, struct error *err, const char *doing)
{
	int rc = error_set(err, errnum, "task %d, thread %d: %s", tracee->pid, tracee->tid, doing);

	error_about_task(err, tracee->pid);
	if (errnum == ESRCH)
		error_class(err, ERROR_GONE);
	return rc;
}

/* EPERM has several reasons; the right one is worth a look. */
static int seize_refused(struct tracee *tracee, struct error *err)
{
	struct proc_status status;
	struct error ignored = ERROR_INIT;
	int rc;

	if (procfs_read_status(tracee->pid, tracee->tid, &status, &ignored) < 0)
		return fail(tracee, ESRCH, err, "attaching");
	proc_status_deinit(&status);
	if (status.state == 'Z' || status.state == 'X')
		return fail(tracee, ESRCH, err, "attaching");
	rc = fail(tracee, EPERM, err, "attaching");
	error_class(err, ERROR_CANNOT_DUMP);
	if (status.tracer)
		error_hint(err, "it is traced by process %d: detach the debugger (or strace) first",
			status.tracer);
	else
		error_hint(err, "run as root, or with CAP_SYS_PTRACE in the task's user namespace");
	return rc;
}

/* On a stopped tracee these requests have one reason to fail: that it is gone. Giving up for any other
 * would leave it with registers that are not its own, so they are tried once more. */
static long insist(int request, pid_t tid, unsigned long address, void *data)
{
	long result = ptrace(request, tid, address, data);

	if (result < 0 && errno != ESRCH)
		result = ptrace(request, tid, address, data);
	return result;
}

int tracee_seize(struct tracee *tracee, unsigned long options, struct error *err)
{
	if (ptrace(PTRACE_SEIZE, tracee->tid, 0, options) < 0) {
		if (errno == EPERM)
			return seize_refused(tracee, err);
		return fail(tracee, errno, err, "attaching");
	}
	tracee->state = TRACEE_RUNNING;
	return tracee_interrupt(tracee, err);
}

int tracee_interrupt(struct tracee *tracee, struct error *err)
{
	if (insist(PTRACE_INTERRUPT, tracee->tid, 0, NULL) < 0)
		return fail(tracee, errno, err, "asking for a stop");
	return 0;
}

/* The one place where a wait status becomes a state. */
static void advance(struct tracee *tracee, int status)
{
	if (WIFEXITED(status) || WIFSIGNALED(status)) {
		tracee->state = TRACEE_GONE;
		tracee->status = status;
		return;
	}
	tracee->state = TRACEE_STOPPED;
	tracee->signal = WSTOPSIG(status);
	tracee->event = status >> 16;
	if (tracee->event == PTRACE_EVENT_STOP)
		tracee->group_stopped = tracee->signal != SIGTRAP;
}

int tracee_poll(struct tracee *tracee)
{
	int status;
	pid_t got = waitpid(tracee->tid, &status, __WALL | WNOHANG);

	/* Only ECHILD means that there is nobody to wait for; any other failure says nothing. */
	if (got == 0 || (got < 0 && errno != ECHILD))
		return 0;
	if (got < 0)
		tracee->state = TRACEE_GONE;
	else
		advance(tracee, status);
	return 1;
}

void tracing_begin(struct tracing *ret_old)
{
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t child;

	/* With SIG_IGN, which we may have inherited, nothing would be sent. */
	sigaction(SIGCHLD, &action, &ret_old->action);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &ret_old->mask);
}

void tracing_end(const struct tracing *old)
{
	sigprocmask(SIG_SETMASK, &old->mask, NULL);
	sigaction(SIGCHLD, &old->action, NULL);
}

void tracing_sleep(int64_t at_most_us)
{
	struct timespec time = {at_most_us / 1000000, at_most_us % 1000000 * 1000};
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigtimedwait(&child, NULL, &time);
}

/* A stop usually comes within microseconds: the CPU is offered first, then slept on. */
int tracee_wait_any(struct tracee *tracee, int64_t deadline_ms, struct error *err)
{
	for (unsigned int spins = 0; !tracee_poll(tracee); spins++) {
		if (spins < 4) {
			sched_yield();
			continue;
		}
		if (deadline_ms && now_ms() > deadline_ms) {
			fail(tracee, ETIMEDOUT, err, "waiting for it to stop");
			error_class(err, ERROR_TIMEOUT);
			return -ETIMEDOUT;
		}
		tracing_sleep(10000);
	}
	return tracee->state == TRACEE_GONE ? fail(tracee, ESRCH, err, "waiting for it to stop")
					    : 0;
}

int tracee_wait_stop(struct tracee *tracee, int64_t deadline_ms, struct error *err)
{
	for (;;) {
		int rc = tracee_wait_any(tracee, deadline_ms, err);

		if (rc < 0)
			return rc;
		if (tracee->event == PTRACE_EVENT_STOP)
			return 0;
		/* A signal came first: it is delivered as if we were not here. Other events are not
		 * asked for, or are of no interest here. */
		rc = tracee_continue(tracee, PTRACE_CONT, tracee->event ? 0 : tracee->signal, err);
		if (rc < 0)
			return rc;
	}
}

int tracee_continue(struct tracee *tracee, int request, int signal, struct error *err)
{
	if (insist(request, tracee->tid, 0, (void *)(intptr_t)signal) < 0)
		return fail(tracee, errno, err, "letting it run");
	tracee->state = TRACEE_RUNNING;
	return 0;
}

int tracee_detach(struct tracee *tracee, struct error *err)
{
	if (insist(PTRACE_DETACH, tracee->tid, 0, NULL) < 0)
		return fail(tracee, errno, err, "detaching");
	tracee->state = TRACEE_NONE;
	return 0;
}

int tracee_get_registers(
	struct tracee *tracee, struct user_regs_struct *ret_general, struct error *err)
{
	struct iovec iov = {ret_general, sizeof(*ret_general)};

	if (insist(PTRACE_GETREGSET, tracee->tid, NT_PRSTATUS, &iov) < 0)
		return fail(tracee, errno, err, "reading registers");
	return 0;
}

int tracee_set_registers(
	struct tracee *tracee, const struct user_regs_struct *general, struct error *err)
{
	struct iovec iov = {(void *)general, sizeof(*general)};

	if (insist(PTRACE_SETREGSET, tracee->tid, NT_PRSTATUS, &iov) < 0)
		return fail(tracee, errno, err, "setting registers");
	return 0;
}

int tracee_get_xsave(struct tracee *tracee, void *buffer, size_t *size, struct error *err)
{
	struct iovec iov = {buffer, *size};

	if (ptrace(PTRACE_GETREGSET, tracee->tid, NT_X86_XSTATE, &iov) < 0)
		return fail(tracee, errno, err, "reading floating-point registers");
	*size = iov.iov_len;
	return 0;
}

int tracee_set_xsave(struct tracee *tracee, const void *buffer, size_t size, struct error *err)
{
	struct iovec iov = {(void *)buffer, size};

	if (insist(PTRACE_SETREGSET, tracee->tid, NT_X86_XSTATE, &iov) < 0)
		return fail(tracee, errno, err, "setting floating-point registers");
	return 0;
}

int tracee_get_mask(struct tracee *tracee, uint64_t *ret_mask, struct error *err)
{
	if (ptrace(PTRACE_GETSIGMASK, tracee->tid, sizeof(*ret_mask), ret_mask) < 0)
		return fail(tracee, errno, err, "reading the signal mask");
	return 0;
}

int tracee_set_mask(struct tracee *tracee, uint64_t mask, struct error *err)
{
	if (insist(PTRACE_SETSIGMASK, tracee->tid, sizeof(mask), &mask) < 0)
		return fail(tracee, errno, err, "setting the signal mask");
	return 0;
}

int tracee_set_options(struct tracee *tracee, unsigned long options, struct error *err)
{
	if (ptrace(PTRACE_SETOPTIONS, tracee->tid, 0, options) < 0)
		return fail(tracee, errno, err, "setting ptrace options");
	return 0;
}

int tracee_single_call(struct tracee *tracee, struct user_regs_struct *general, struct error *err)
{
	int rc = tracee_set_registers(tracee, general, err), stops = 0;

	if (rc < 0)
		return rc;
	(void)test_point("registers of a single call are set");
	while (stops < 2) {
		rc = tracee_continue(tracee, PTRACE_SYSCALL, 0, err);
		if (rc == 0)
			rc = tracee_wait_any(tracee, 0, err);
		if (rc < 0)
			return rc;
		if (!tracee->event && tracee->signal == (SIGTRAP | 0x80))
			stops++;
	}
	(void)test_point("behind a single call");
	return tracee_get_registers(tracee, general, err);
}

int tracee_to_event_stop(struct tracee *tracee, struct error *err)
{
	int rc = tracee_interrupt(tracee, err);

	if (rc == 0)
		rc = tracee_continue(tracee, PTRACE_CONT, 0, err);
	return rc < 0 ? rc : tracee_wait_stop(tracee, 0, err);
}
