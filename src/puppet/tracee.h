#pragma once
/*
 * One traced thread: the only place that calls waitpid(2) on it, and the only one that knows its state.
 *
 * Everything rests on PTRACE_SEIZE (ptrace(2)): no SIGSTOP is sent, a group-stopped task stays so, and
 * when the tracer dies the kernel lets the thread run on.
 */
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/types.h>

#include "base/error.h"
#include "puppet/registers.h"

enum tracee_state {
	TRACEE_NONE, /* not ours */
	TRACEE_RUNNING, /* traced, runs or is about to */
	TRACEE_STOPPED, /* in a ptrace stop */
	TRACEE_GONE, /* has ended */
};

struct tracee {
	pid_t pid, tid;
	enum tracee_state state;
	bool group_stopped; /* the stop is (also) a job-control stop */
	int event; /* PTRACE_EVENT_* of the last stop, 0 for a signal or system call stop */
	int signal; /* the stop's signal */
	int status; /* as of wait(2), when gone */
};

/* Makes this process a tracer: SIGCHLD, by which the kernel tells of stops, is blocked, so that waiting for
 * it cannot miss one. *ret_old is for tracing_end(). */
struct tracing {
	sigset_t mask;
	struct sigaction action;
};
void tracing_begin(struct tracing *ret_old);
void tracing_end(const struct tracing *old);
/* Sleeps until some tracee stops or ends, at most this long. It may return early. */
void tracing_sleep(int64_t at_most_us);

/* Attaches and asks for a stop, without waiting for it. -ESRCH when the thread has ended, -EPERM with a
 * hint when it is traced by somebody else or not ours to trace. */
int tracee_seize(struct tracee *tracee, unsigned long options, struct error *err);
/* Asks a running tracee to stop. */
int tracee_interrupt(struct tracee *tracee, struct error *err);
/* Waits until it is in an event or group stop; signals that arrive first are delivered as if we were not
 * here. deadline_ms is CLOCK_MONOTONIC; 0 for none. -ESRCH when it ended, -ETIMEDOUT. */
int tracee_wait_stop(struct tracee *tracee, int64_t deadline_ms, struct error *err);
/* Waits for the next stop of any kind, whatever it is. */
int tracee_wait_any(struct tracee *tracee, int64_t deadline_ms, struct error *err);
/* Lets it run: request is PTRACE_CONT or PTRACE_SYSCALL. */
int tracee_continue(struct tracee *tracee, int request, int signal, struct error *err);
/* Lets it go. Returns -ESRCH when it has ended meanwhile. */
int tracee_detach(struct tracee *tracee, struct error *err);
/* Looks, without waiting, whether it stopped or ended. Returns 1 if so. */
int tracee_poll(struct tracee *tracee);

int tracee_get_registers(
	struct tracee *tracee, struct user_regs_struct *ret_general, struct error *err);
int tracee_set_registers(
	struct tracee *tracee, const struct user_regs_struct *general, struct error *err);
int tracee_get_xsave(struct tracee *tracee, void *buffer, size_t *size, struct error *err);
int tracee_set_xsave(struct tracee *tracee, const void *buffer, size_t size, struct error *err);
int tracee_get_mask(struct tracee *tracee, uint64_t *ret_mask, struct error *err);
int tracee_set_mask(struct tracee *tracee, uint64_t mask, struct error *err);
int tracee_set_options(struct tracee *tracee, unsigned long options, struct error *err);

/* Runs the one system call whose instruction `general`'s rip points to, and stops right behind it;
 * general becomes the registers there. The tracee has PTRACE_O_TRACESYSGOOD. */
int tracee_single_call(struct tracee *tracee, struct user_regs_struct *general, struct error *err);
/* From a stop at a system call's exit, where the kernel does not look for interrupted calls, to an event
 * stop, where it does; no instruction of the thread is run. */
int tracee_to_event_stop(struct tracee *tracee, struct error *err);

int64_t now_ms(void);
