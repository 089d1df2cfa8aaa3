#pragma once
/*
 * What every victim shares: a small program that sets up some state, is checkpointed, and verifies
 *itself.
 *
 * The contract with the harness, all of it through files in one directory (argv[1]), because files
 *are the kind of object that is restored before all others:
 *
 *	ready		the state is set up (ready-NAME: that of the part NAME)
 *	verify-N	the harness asks for the N-th verification, N = 1, 2, 3, ...
 *	result-N	the answer: "pass", or "fail: " and what differs, a line each
 *	stop		the harness asks to leave; the victim exits 0
 *
 * result-0 exists where setting up failed ("fail: ...") or is impossible here ("skip: reason").
 *Files appear atomically. Waiting is a loop of nanosleep and access, which any checkpoint must
 *survive.
 *
 * With a second argument, "spoil", the victim changes its state right after it is ready, as a
 *careless restore would; every verification must then fail. This is how the victims themselves are
 *tested.
 *
 * A victim of several tasks or threads consists of parts. Each part calls victim_ready() and loops
 *over victim_next() by itself; the main one collects with check_part().
 *
 *	int main(int argc, char **argv)
 *	{
 *		victim_begin(argc, argv);
 *		... set up, with must() around calls that must work
 *		victim_ready();
 *		if (victim_spoiled())
 *			... change the state
 *		while (victim_next())
 *			check(value == expected, "value is %d", value);
 *		return 0;
 *	}
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE           4096UL
#define array_size(a)  (sizeof(a) / sizeof((a)[0]))
#define _printf_(f, a) __attribute__((format(printf, f, a)))

void victim_begin(int argc, char **argv);
/* The state is set up: the harness may dump from here on. */
void victim_ready(void);
/* True where the state is to be changed so that verification fails. */
bool victim_spoiled(void);
/* Reports on the verification before, then waits for the next one; false when it is time to leave.
 */
bool victim_next(void);
/* Ends the victim: what it needs cannot be had here. */
_Noreturn void victim_skip(const char *format, ...) _printf_(1, 2);
_Noreturn void victim_die(const char *format, ...) _printf_(1, 2);

/* "DIR/name", in one of 16 buffers that take turns. */
const char *victim_path(const char *name);
/* After chroot: the directory's new path. */
void victim_set_dir(const char *path);

/* One fact of a verification: what differs goes into the result. */
#define check(condition, ...)                     \
	do {                                      \
		if (!(condition))                 \
			victim_fail(__VA_ARGS__); \
	} while (0)
void victim_fail(const char *format, ...) _printf_(1, 2);
void check_int(long long actual, long long expected, const char *format, ...) _printf_(3, 4);
void check_str(const char *actual, const char *expected, const char *format, ...) _printf_(3, 4);
void check_bytes(const void *actual, const void *expected, size_t size, const char *format, ...)
	_printf_(4, 5);

/* Parts. start_task() forks, start_thread() makes a thread; both run body(argument) as the part
 * `name` and return when it has called victim_ready(). A task exits 0 when its body returns. */
pid_t start_task(const char *name, void (*body)(void *), void *argument);
pthread_t start_thread(const char *name, void (*body)(void *), void *argument);
/* Makes the calling task or thread the part `name`, for those started in special ways. */
void victim_become(const char *name);
/* Waits until the part is ready (or has written any other file). */
void await_file(const char *name);
void await_part(const char *name);
/* The part's result of this verification becomes part of ours. */
void check_part(const char *name);
void check_partf(const char *format, ...) _printf_(1, 2);
/* A part that has nothing of its own to say: answers every verification with "pass". */
void idle_part(void *unused);
/* Waits until thread tid of task pid sits in the system call nr. */
void await_syscall(pid_t pid, pid_t tid, long nr);

/* For calls of the set-up that must not fail (-1). */
#define must(call)                                                    \
	({                                                            \
		long result_ = (long)(call);                          \
		if (result_ == -1)                                    \
			victim_die("%s: %s", #call, strerror(errno)); \
		result_;                                              \
	})
/* The same for pointers of mmap and for those that return NULL. */
#define must_ptr(call)                                                \
	({                                                            \
		void *result_ = (void *)(call);                       \
		if (!result_ || result_ == MAP_FAILED)                \
			victim_die("%s: %s", #call, strerror(errno)); \
		result_;                                              \
	})

/* Facts as the kernel tells them. All return malloc'ed text ("" if there is none). */
char *read_file(const char *path);
/* The value of "Key:\tvalue" in such text, in a buffer of its own; NULL if absent. */
char *field_of(const char *text, const char *key);
/* The same from /proc/self/status (or the thread's own). */
char *status_field(const char *key);
/* A part whose state is what these fields of its thread's status say: remembers, gets ready,
 * spoils, compares at each verification. */
void watch_status(const char *const fields[], size_t count, void (*spoil)(void));
/* The paragraph of /proc/self/smaps whose area begins at address; NULL if there is none. */
char *smaps_of(const void *address);
/* True if the area that begins at address has this flag ("rd", "lo", ...) in VmFlags. */
bool vm_flag(const void *address, const char *flag);

void fill_pattern(void *memory, size_t size, uint64_t seed);
/* Returns the offset of the first word that is not the pattern, -1 if all is well. */
long find_mismatch(const void *memory, size_t size, uint64_t seed);
void check_pattern(const void *memory, size_t size, uint64_t seed, const char *what);
void write_file(const char *path, const void *content, size_t size);
void msleep(unsigned milliseconds);
static inline pid_t get_tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}
static inline uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}
