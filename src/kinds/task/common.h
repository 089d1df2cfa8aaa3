#pragma once
/* What the rows of task state share: how they complain, and what they know of ourselves. */
#include <sys/resource.h>

#include "kinds/task_kind.h"

/* A problem with the task that is being dumped: something that cannot be kept. Returns it for
 * error_hint(). */
struct error *task_obstacle(struct dump_context *context, const struct thread_source *source,
	const char *format, ...) _printf_(3, 4);

/* The image of this thread says something that cannot be. */
void task_bad_image(struct restore_context *context, const struct thread *thread,
	const char *format, ...) _printf_(3, 4);

/* What the image says is fine, but cannot be had here. Returns it for error_hint(). */
struct error *task_conflict(struct restore_context *context, const struct thread *thread,
	const char *format, ...) _printf_(3, 4);

/* Reads memory of a stopped task. 0 or -errno. */
int task_read_memory(pid_t pid, uint64_t address, void *buffer, size_t size);

/* Reads one number from /proc/PID/NAME (or /proc/PID/task/TID/NAME when tid is not 0), in the given
 * base. 0 or -errno (-ENOENT where the kernel was built without it). */
int task_read_proc_number(pid_t pid, pid_t tid, const char *name, int base, long long *ret_value);

static inline bool task_is_leader(const struct thread_plan *plan)
{
	return plan->thread == 0;
}

static inline const CoreEntry *plan_core(const struct thread_plan *plan)
{
	return plan->task->threads[plan->thread].core;
}

static inline pid_t plan_tid(const struct thread_plan *plan)
{
	return plan->task->threads[plan->thread].tid;
}

/* struct sched_attr of Linux 3.14, 48 bytes (linux/sched/types.h clashes with glibc's sched.h). */
struct deadline_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};
_Static_assert(sizeof(struct deadline_attr) == 48, "sched_attr");

#define AFFINITY_MAX 1024 /* bytes: 8192 CPUs, CONFIG_NR_CPUS at most */

#define OWN_GROUPS_MAX 256

/* The state of this process, which every puppet begins with: what equals it needs no op. */
struct own_state {
	uint32_t uid[3], gid[3], fsuid, fsgid;
	uint32_t groups[OWN_GROUPS_MAX];
	int group_count; /* -1: too many to compare */
	uint64_t permitted, effective, inheritable, bounding, ambient;
	int last_cap; /* the highest capability this kernel knows */
	uint32_t securebits;
	bool no_new_privs;
	struct rlimit64 limits[RLIM_NLIMITS];
	uint64_t nr_open; /* fs.nr_open: no RLIMIT_NOFILE above it */
	long long loginuid, oom_score_adj, coredump_filter; /* -1 (loginuid: INT64_MIN) unknown */
	uint32_t personality;
	bool scheduled_plainly; /* SCHED_OTHER, nice 0, any CPU, no flags */
	uint64_t ignored_signals; /* an exec keeps SIG_IGN; bit 0 is signal 1 */
	int proc_fd; /* inherited number of /proc, -1 until task_proc_fd() */
};

/* Read once for a restore. */
struct own_state *task_own_state(struct restore_context *context);
/* The inherited number of /proc, for ops of PHASE_FILES (a task's root may be another one): "self"
 * below it is the puppet. */
int task_proc_fd(struct restore_context *context, struct error *err);

/* Whether a mask of CPUs (of sched_getaffinity(2)) leaves none out. */
bool cpus_are_all(const unsigned char *mask, size_t size);

/* Whether the thread's credentials are ours, so that nothing is done about them (creds.c). */
bool creds_are_own(struct restore_context *context, const CoreEntry *core);

bool own_capability(const struct own_state *own, int capability);
