/*
 * System calls in progress. Each thread sits in one call; a checkpoint must not make any of them
 * return. At a verification each gets what it waits for and must return exactly that; then it
 * enters its call again.
 */
#include "victim.h"

#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/uio.h>

enum { HOUR = 3600 };

struct call {
	const char *name;
	long nr;
	long (*enter)(struct call *); /* what the thread does */
	void (*trigger)(struct call *); /* what makes it return */
	long expected;
	int expected_errno;
	/* state */
	volatile pid_t tid;
	volatile unsigned long returns;
	long result;
	int error;
	int pipe[2];
	volatile uint32_t futex;
	struct timespec left;
	uint64_t entered;
	volatile pid_t child;
};

static const struct timespec hour = {HOUR, 0};

static void handle(int signal)
{
	(void)signal;
}

static long enter_read(struct call *c)
{
	char byte;

	return read(c->pipe[0], &byte, 1);
}

static long enter_readv(struct call *c)
{
	char a[3], b[5];
	struct iovec v[] = {{a, 3}, {b, 5}};

	return readv(c->pipe[0], v, 2);
}

static void trigger_pipe(struct call *c)
{
	must(write(c->pipe[1], "x", 1));
}

static void trigger_restart(struct call *c)
{
	/* The handler is SA_RESTART: the read goes on, and only the byte ends it. */
	must(syscall(SYS_tgkill, getpid(), c->tid, SIGUSR2));
	msleep(20);
	check_int(syscall(SYS_tgkill, getpid(), c->tid, 0), 0, "%s is alive: tgkill", c->name);
	trigger_pipe(c);
}

static long enter_write(struct call *c)
{
	static char block[65536];

	fcntl(c->pipe[1], F_SETPIPE_SZ, 4096);
	/* The first fills the pipe, the second waits. */
	must(write(c->pipe[1], block, 4096));
	return write(c->pipe[1], block, 4096);
}

static void trigger_drain(struct call *c)
{
	static char block[8192];

	for (size_t n = 0; n < 8192;)
		n += (size_t)must(read(c->pipe[0], block, sizeof(block) - n));
}

static long enter_nanosleep(struct call *c)
{
	c->left = (struct timespec){-1, -1};
	c->entered = now_ns(CLOCK_MONOTONIC);
	return nanosleep(&hour, &c->left);
}

static long enter_nanosleep_plain(struct call *c)
{
	(void)c;
	return nanosleep(&hour, NULL);
}

static long enter_clock_nanosleep(struct call *c)
{
	struct timespec until;
	int error;

	(void)c;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += HOUR;
	error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	errno = error;
	return error ? -1 : 0;
}

static void trigger_signal(struct call *c)
{
	must(syscall(SYS_tgkill, getpid(), c->tid, SIGUSR1));
}

static long enter_futex(struct call *c)
{
	return syscall(SYS_futex, &c->futex, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static long enter_futex_timeout(struct call *c)
{
	return syscall(SYS_futex, &c->futex, FUTEX_WAIT_PRIVATE, 0, &hour, NULL, 0);
}

static long enter_futex_until(struct call *c)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += HOUR;
	return syscall(SYS_futex, &c->futex, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, NULL, UINT_MAX);
}

static void trigger_futex(struct call *c)
{
	int op = c->enter == enter_futex ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE;

	check_int(syscall(SYS_futex, &c->futex, op, 1, NULL, NULL, 0), 1, "%s: woken", c->name);
}

static long enter_poll(struct call *c)
{
	struct pollfd p = {c->pipe[0], POLLIN, 0};
	long n = poll(&p, 1, -1);
	char byte;

	if (n == 1)
		must(read(c->pipe[0], &byte, 1));
	return n;
}

static long enter_poll_timeout(struct call *c)
{
	struct pollfd p = {c->pipe[0], POLLIN, 0};
	long n = poll(&p, 1, HOUR * 1000);
	char byte;

	if (n == 1)
		must(read(c->pipe[0], &byte, 1));
	return n;
}

static long enter_ppoll(struct call *c)
{
	struct pollfd p = {c->pipe[0], POLLIN, 0};
	sigset_t mask, now, before;
	long n;
	char byte;

	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	pthread_sigmask(SIG_BLOCK, NULL, &before);
	n = ppoll(&p, 1, &hour, &mask);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	if (memcmp(&now, &before, 8) != 0)
		return -100; /* the mask of the call has stayed */
	if (n == 1)
		must(read(c->pipe[0], &byte, 1));
	return n;
}

static long enter_select(struct call *c)
{
	struct timeval limit = {HOUR, 0};
	fd_set set;
	long n;
	char byte;

	FD_ZERO(&set);
	FD_SET(c->pipe[0], &set);
	n = select(c->pipe[0] + 1, &set, NULL, NULL, &limit);
	if (n == 1)
		must(read(c->pipe[0], &byte, 1));
	return n;
}

static long enter_pause(struct call *c)
{
	(void)c;
	return pause();
}

static long enter_sigsuspend(struct call *c)
{
	sigset_t mask, blocked, now;
	long n;

	(void)c;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	sigfillset(&mask);
	sigdelset(&mask, SIGUSR1);
	n = sigsuspend(&mask);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	return sigismember(&now, SIGUSR1) && !sigismember(&now, SIGHUP) ? n : -100;
}

static long enter_sigwait(struct call *c)
{
	sigset_t set;
	siginfo_t info;
	long n;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	n = strstr(c->name, "timeout") ? sigtimedwait(&set, &info, &hour)
				       : sigwaitinfo(&set, &info);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return n;
}

static long enter_wait(struct call *c)
{
	pid_t pid = (pid_t)must(fork()), got;
	int status = 0;

	if (pid == 0) {
		/* Whatever another thread had open at the moment. */
		close_range(3, ~0u, 0);
		for (;;)
			pause();
	}
	c->child = pid;
	got = waitpid(pid, &status, 0);
	return got == pid && WIFSIGNALED(status) ? WTERMSIG(status) : -100;
}

static void trigger_wait(struct call *c)
{
	must(kill(c->child, SIGTERM));
}

static long enter_fifo(struct call *c)
{
	int fd = open(victim_path("fifo"), O_RDONLY);

	(void)c;
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static void trigger_fifo(struct call *c)
{
	(void)c;
	close((int)must(open(victim_path("fifo"), O_WRONLY)));
}

static struct call calls[] = {
	{"read", SYS_read, enter_read, trigger_pipe, 1, 0},
	{"read-restarted", SYS_read, enter_read, trigger_restart, 1, 0},
	{"readv", SYS_readv, enter_readv, trigger_pipe, 1, 0},
	{"write", SYS_write, enter_write, trigger_drain, 4096, 0},
	{"nanosleep", SYS_clock_nanosleep, enter_nanosleep, trigger_signal, -1, EINTR},
	{"nanosleep-plain", SYS_clock_nanosleep, enter_nanosleep_plain, trigger_signal, -1, EINTR},
	{"clock_nanosleep", SYS_clock_nanosleep, enter_clock_nanosleep, trigger_signal, -1, EINTR},
	{"futex", SYS_futex, enter_futex, trigger_futex, 0, 0},
	{"futex-timeout", SYS_futex, enter_futex_timeout, trigger_futex, 0, 0},
	{"futex-until", SYS_futex, enter_futex_until, trigger_futex, 0, 0},
	{"poll", SYS_poll, enter_poll, trigger_pipe, 1, 0},
	{"poll-timeout", SYS_poll, enter_poll_timeout, trigger_pipe, 1, 0},
	{"ppoll", SYS_ppoll, enter_ppoll, trigger_pipe, 1, 0},
	{"select", SYS_pselect6, enter_select, trigger_pipe, 1, 0},
	{"pause", SYS_pause, enter_pause, trigger_signal, -1, EINTR},
	{"sigsuspend", SYS_rt_sigsuspend, enter_sigsuspend, trigger_signal, -1, EINTR},
	{"sigwait", SYS_rt_sigtimedwait, enter_sigwait, trigger_signal, SIGUSR1, 0},
	{"sigwait-timeout", SYS_rt_sigtimedwait, enter_sigwait, trigger_signal, SIGUSR1, 0},
	{"waitpid", SYS_wait4, enter_wait, trigger_wait, SIGTERM, 0},
	{"fifo", SYS_openat, enter_fifo, trigger_fifo, 0, 0},
};

static void *run(void *argument)
{
	struct call *c = argument;

	must(pipe(c->pipe));
	c->tid = get_tid();
	for (;;) {
		errno = 0;
		c->result = c->enter(c);
		c->error = errno;
		__atomic_add_fetch(&c->returns, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* In its own call, or in restart_syscall, which it becomes after a stop. */
static void await_call(const struct call *c)
{
	char path[64];

	while (!c->tid)
		msleep(1);
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", c->tid);
	for (int i = 0; i < 5000; i++) {
		char *text = read_file(path);
		long nr = text[0] >= '0' && text[0] <= '9' ? atol(text) : -1;

		free(text);
		/* A futex is also what two threads of libc wait for: the child of fork is not. */
		if (nr == c->nr || nr == SYS_restart_syscall)
			return;
		msleep(1);
	}
	victim_fail("%s is not in its call again", c->name);
}

static void finish(struct call *c)
{
	unsigned long returns = c->returns;
	uint64_t elapsed;

	c->trigger(c);
	for (int i = 0; c->returns == returns; i++) {
		if (i == 5000) {
			victim_fail("%s does not return", c->name);
			return;
		}
		msleep(1);
	}
	check_int(c->result, c->expected, "%s returns", c->name);
	check_int(c->error, c->expected_errno, "%s: errno", c->name);
	if (c->enter != enter_nanosleep || c->left.tv_sec == -1)
		return;
	elapsed = (now_ns(CLOCK_MONOTONIC) - c->entered) / 1000000000;
	check(c->left.tv_sec <= HOUR && c->left.tv_sec >= HOUR - 2 - (long)elapsed,
		"nanosleep: %ld s are left", c->left.tv_sec);
}

/* SIGSTOP and SIGCONT: the timed calls are restarted by the kernel (restart_syscall). */
static void be_stopped(void)
{
	pid_t pid = (pid_t)must(fork());

	if (pid == 0) {
		kill(getppid(), SIGSTOP);
		msleep(50);
		kill(getppid(), SIGCONT);
		_exit(0);
	}
	must(waitpid(pid, NULL, 0));
}

/* rt_sigtimedwait is never restarted, see signal(7): the stop of a checkpoint, like any other, makes it
 * return EINTR. It enters its call again by itself. */
static bool ends_early(const struct call *c)
{
	return c->enter == enter_sigwait && (c->returns == 0 || c->error == EINTR);
}

#ifndef AFTER_STOP
#define AFTER_STOP 0
#endif

static void settle(void)
{
	for (size_t i = 0; i < array_size(calls); i++)
		await_call(&calls[i]);
	if (AFTER_STOP)
		be_stopped();
	for (size_t i = 0; i < array_size(calls); i++)
		await_call(&calls[i]);
}

int main(int argc, char **argv)
{
	struct sigaction interrupt = {.sa_handler = handle};
	struct sigaction restart = {.sa_handler = handle, .sa_flags = SA_RESTART};
	unsigned long returns[array_size(calls)];
	sigset_t none;
	pthread_t thread;

	victim_begin(argc, argv);
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	must(mkfifo(victim_path("fifo"), 0600));
	must(sigaction(SIGUSR1, &interrupt, NULL));
	must(sigaction(SIGUSR2, &restart, NULL));
	for (size_t i = 0; i < array_size(calls); i++)
		if (pthread_create(&thread, NULL, run, &calls[i]))
			victim_die("pthread_create");
	settle();
	for (size_t i = 0; i < array_size(calls); i++)
		returns[i] = calls[i].returns;
	victim_ready();
	if (victim_spoiled())
		trigger_signal(&calls[4]);
	while (victim_next()) {
		for (size_t i = 0; i < array_size(calls); i++)
			if (!ends_early(&calls[i]))
				check_int((long long)calls[i].returns, (long long)returns[i],
					"returns of %s (last: %ld, errno %d)", calls[i].name,
					calls[i].result, calls[i].error);
		for (size_t i = 0; i < array_size(calls); i++)
			finish(&calls[i]);
		settle();
		for (size_t i = 0; i < array_size(calls); i++)
			returns[i] = calls[i].returns;
	}
	for (size_t i = 0; i < array_size(calls); i++)
		if (calls[i].child)
			kill(calls[i].child, SIGKILL);
	return 0;
}
