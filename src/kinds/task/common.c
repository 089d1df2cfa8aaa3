#include "kinds/task/common.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/io.h"

static struct error *complain(struct problems *problems, enum error_class class, pid_t pid,
	pid_t tid, const char *format, va_list ap)
{
	struct error *err = problems_add(problems);
	char text[700];

	vsnprintf(text, sizeof(text), format, ap);
	if (pid == tid)
		error_refuse(err, class, "task %d %s", pid, text);
	else
		error_refuse(err, class, "task %d, thread %d %s", pid, tid, text);
	error_about_task(err, pid);
	return err;
}

struct error *task_obstacle(
	struct dump_context *context, const struct thread_source *source, const char *format, ...)
{
	struct error *err;
	va_list ap;

	va_start(ap, format);
	err = complain(context->problems, ERROR_CANNOT_DUMP, source->pid, source->tid, format, ap);
	va_end(ap);
	return err;
}

void task_bad_image(
	struct restore_context *context, const struct thread *thread, const char *format, ...)
{
	struct error *err = problems_add(context->problems);
	char text[700];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	error_refuse(err, ERROR_BAD_IMAGE, "core-%d.img is damaged: %s", thread->tid, text);
	error_about_task(err, thread->tid);
	error_about_object(err, "core-%d.img", thread->tid);
}

struct error *task_conflict(
	struct restore_context *context, const struct thread *thread, const char *format, ...)
{
	struct error *err;
	va_list ap;

	va_start(ap, format);
	err = complain(context->problems, ERROR_CONFLICT, thread->tid, thread->tid, format, ap);
	va_end(ap);
	return err;
}

int task_read_memory(pid_t pid, uint64_t address, void *buffer, size_t size)
{
	struct iovec local = {.iov_base = buffer, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
	ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EFAULT;
}

int task_read_proc_number(pid_t pid, pid_t tid, const char *name, int base, long long *ret_value)
{
	_cleanup_(free_ptr) char *text = NULL;
	char path[128], *end;
	long long value;
	int rc;

	if (tid)
		snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, name);
	else
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	rc = read_text_file(AT_FDCWD, path, &text, NULL);
	if (rc < 0)
		return rc;
	errno = 0;
	value = strtoll(text, &end, base);
	if (end == text || errno)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

static void read_own_caps(struct own_state *own)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	(void)syscall(SYS_capget, &header, data);
	own->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	own->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	own->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	own->last_cap = -1;
	for (int cap = 0; cap < 64; cap++) {
		int has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (has < 0)
			break;
		own->last_cap = cap;
		if (has)
			own->bounding |= (uint64_t)1 << cap;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			own->ambient |= (uint64_t)1 << cap;
	}
	own->securebits = (uint32_t)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
	own->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static void read_own_ids(struct own_state *own)
{
	(void)getresuid(&own->uid[0], &own->uid[1], &own->uid[2]);
	(void)getresgid(&own->gid[0], &own->gid[1], &own->gid[2]);
	/* An id that cannot be is not set, and the current one returned. */
	own->fsuid = (uint32_t)setfsuid((uid_t)-1);
	own->fsgid = (uint32_t)setfsgid((gid_t)-1);
	own->group_count = getgroups(OWN_GROUPS_MAX, own->groups);
}

static void read_own_signals(struct own_state *own)
{
	for (int sig = 1; sig <= 64; sig++) {
		/* As the kernel has it: handler, flags, restorer, mask. */
		uint64_t action[4];

		if (syscall(SYS_rt_sigaction, sig, NULL, action, 8) == 0 && action[0] == 1)
			own->ignored_signals |= (uint64_t)1 << (sig - 1);
	}
}

bool cpus_are_all(const unsigned char *mask, size_t size)
{
	/* A fact of the machine; once, because it reads a file and there may be hundreds of threads. */
	static long configured;

	if (!configured)
		configured = sysconf(_SC_NPROCESSORS_CONF);
	for (long cpu = 0; cpu < configured; cpu++)
		if ((size_t)cpu / 8 >= size || !(mask[cpu / 8] >> (cpu % 8) & 1))
			return false;
	return true;
}

static bool is_scheduled_plainly(void)
{
	struct deadline_attr attr = {.size = sizeof(attr)};
	unsigned char mask[AFFINITY_MAX];
	long size = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);

	return size > 0 && cpus_are_all(mask, (size_t)size) &&
	       syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) == 0 && !attr.policy &&
	       !attr.nice && !attr.flags;
}

struct own_state *task_own_state(struct restore_context *context)
{
	struct own_state *own = context->tasks;
	long long number;

	if (own)
		return own;
	own = arena_new(context->arena, struct own_state);
	context->tasks = own;
	own->proc_fd = -1;
	read_own_ids(own);
	read_own_caps(own);
	read_own_signals(own);
	for (int i = 0; i < RLIM_NLIMITS; i++)
		(void)prlimit64(0, (enum __rlimit_resource)i, NULL, &own->limits[i]);
	own->nr_open = 1024 * 1024;
	{
		_cleanup_(free_ptr) char *text = NULL;

		if (read_text_file(AT_FDCWD, "/proc/sys/fs/nr_open", &text, NULL) == 0)
			own->nr_open = strtoull(text, NULL, 10);
	}
	own->loginuid = INT64_MIN;
	own->coredump_filter = -1;
	if (task_read_proc_number(getpid(), 0, "loginuid", 10, &number) == 0)
		own->loginuid = number;
	if (task_read_proc_number(getpid(), 0, "oom_score_adj", 10, &number) == 0)
		own->oom_score_adj = number;
	if (task_read_proc_number(getpid(), 0, "coredump_filter", 16, &number) == 0)
		own->coredump_filter = number;
	own->personality = (uint32_t)personality(0xffffffff);
	own->scheduled_plainly = is_scheduled_plainly();
	return own;
}

int task_proc_fd(struct restore_context *context, struct error *err)
{
	struct own_state *own = task_own_state(context);
	int fd;

	if (own->proc_fd >= 0)
		return own->proc_fd;
	fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "opening /proc");
	fd = restore_inherit(context, fd, "/proc", err);
	if (fd >= 0)
		own->proc_fd = fd;
	return fd;
}

bool own_capability(const struct own_state *own, int capability)
{
	return own->effective >> capability & 1;
}
