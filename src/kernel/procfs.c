#include "kernel/procfs.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>

#include "base/io.h"

static int fail(struct error *err, pid_t pid, int rc, const char *name)
{
	int errnum = -rc;

	if (errnum == ENOENT || errnum == ESRCH) {
		error_set(err, ESRCH, "reading /proc/%d/%s", pid, name);
		error_class(err, ERROR_GONE);
		rc = -ESRCH;
	} else {
		error_set(err, errnum, "reading /proc/%d/%s", pid, name);
	}
	error_about_task(err, pid);
	return rc;
}

int procfs_open(pid_t pid, const char *name, int flags, struct error *err)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? fail(err, pid, -errno, name) : fd;
}

int procfs_read_file(
	pid_t pid, const char *name, char **ret_text, size_t *ret_size, struct error *err)
{
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	rc = read_text_file(AT_FDCWD, path, ret_text, ret_size);
	return rc < 0 ? fail(err, pid, rc, name) : 0;
}

int procfs_read_link(pid_t pid, const char *name, char **ret_link, struct error *err)
{
	char path[PATH_MAX], link[PATH_MAX];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	length = readlink(path, link, sizeof(link) - 1);
	if (length < 0)
		return fail(err, pid, -errno, name);
	link[length] = '\0';
	*ret_link = xstrdup(link);
	return 0;
}

/* The state letter and everything after the name in parentheses, which may itself hold any byte. */
static bool parse_stat(char *text, struct proc_stat *stat)
{
	char *open_paren = strchr(text, '('), *close_paren = strrchr(text, ')');
	uint64_t fields[52] = {};
	char *p;
	size_t length, count = 0;

	if (!open_paren || !close_paren || close_paren < open_paren || !close_paren[1])
		return false;
	stat->pid = atoi(text);
	length = MIN((size_t)(close_paren - open_paren - 1), sizeof(stat->comm) - 1);
	memcpy(stat->comm, open_paren + 1, length);
	stat->comm[length] = '\0';
	p = close_paren + 2;
	stat->state = *p++;
	/* fields[4] is the parent's pid: numbered as in proc(5). Negative ones wrap, and back. */
	for (count = 4; count < ARRAY_SIZE(fields) + 1 && *p; count++) {
		char *end;
		uint64_t value;

		while (*p == ' ')
			p++;
		value = *p == '-' ? (uint64_t)strtoll(p, &end, 10) : strtoull(p, &end, 10);
		if (end == p)
			break;
		if (count < ARRAY_SIZE(fields))
			fields[count] = value;
		else
			stat->exit_code = (uint32_t)value;
		p = end;
	}
	if (count < 52)
		return false;
	stat->ppid = (pid_t)fields[4];
	stat->pgrp = (pid_t)fields[5];
	stat->sid = (pid_t)fields[6];
	stat->tty_nr = (uint32_t)fields[7];
	stat->tty_pgrp = (int64_t)fields[8];
	stat->nice = (int64_t)fields[19];
	stat->start_time = fields[22];
	stat->vsize = fields[23];
	stat->start_code = fields[26];
	stat->end_code = fields[27];
	stat->start_stack = fields[28];
	stat->exit_signal = (int)fields[38];
	stat->processor = (int)fields[39];
	stat->rt_priority = (uint32_t)fields[40];
	stat->policy = (uint32_t)fields[41];
	stat->start_data = fields[45];
	stat->end_data = fields[46];
	stat->start_brk = fields[47];
	stat->arg_start = fields[48];
	stat->arg_end = fields[49];
	stat->env_start = fields[50];
	stat->env_end = fields[51];
	return true;
}

int procfs_read_stat(pid_t pid, pid_t tid, struct proc_stat *ret_stat, struct error *err)
{
	_cleanup_(free_ptr) char *text = NULL;
	char name[64];
	struct proc_stat stat = {};
	int rc;

	snprintf(name, sizeof(name), "task/%d/stat", tid);
	rc = procfs_read_file(pid, name, &text, NULL, err);
	if (rc < 0)
		return rc;
	if (!parse_stat(text, &stat))
		return error_set(err, EPROTO, "understanding /proc/%d/%s", pid, name);
	*ret_stat = stat;
	return 0;
}

static void parse_groups(struct proc_status *status, const char *p)
{
	size_t capacity = 0;

	for (;;) {
		char *end;
		unsigned long value = strtoul(p, &end, 10);

		if (end == p)
			return;
		if (status->group_count == capacity) {
			capacity = capacity ? capacity * 2 : 16;
			status->groups =
				xreallocarray(status->groups, capacity, sizeof(*status->groups));
		}
		status->groups[status->group_count++] = (uint32_t)value;
		/* The list ends with its line. */
		for (p = end; *p == ' '; p++)
			;
		if (*p == '\n' || !*p)
			return;
	}
}

static void parse_pid_levels(struct proc_status *status, const char *p)
{
	char *end;

	while (*p && *p != '\n') {
		long value = strtol(p, &end, 10);

		if (end == p)
			return;
		status->pid_levels++;
		status->pid_inside = (pid_t)value;
		for (p = end; *p == '\t' || *p == ' '; p++)
			;
	}
}

static void parse_status_line(
	struct proc_status *s, const char *key, size_t length, const char *value)
{
#define KEY(text) (length == sizeof(text) - 1 && memcmp(key, text, length) == 0)
#define HEX(text, field)                             \
	if (KEY(text)) {                             \
		(field) = strtoull(value, NULL, 16); \
		return;                              \
	}
#define DECIMAL(text, field)                                       \
	if (KEY(text)) {                                           \
		(field) = (typeof(field))strtoul(value, NULL, 10); \
		return;                                            \
	}
	if (KEY("State"))
		s->state = *value;
	else if (KEY("Umask"))
		s->umask = (uint32_t)strtoul(value, NULL, 8);
	else if (KEY("Uid"))
		sscanf(value, "%u %u %u %u", &s->uid[0], &s->uid[1], &s->uid[2], &s->uid[3]);
	else if (KEY("Gid"))
		sscanf(value, "%u %u %u %u", &s->gid[0], &s->gid[1], &s->gid[2], &s->gid[3]);
	else if (KEY("Groups"))
		parse_groups(s, value);
	else if (KEY("NSpid"))
		parse_pid_levels(s, value);
	DECIMAL("Tgid", s->tgid);
	DECIMAL("Pid", s->pid);
	DECIMAL("PPid", s->ppid);
	DECIMAL("TracerPid", s->tracer);
	DECIMAL("Threads", s->threads);
	DECIMAL("Seccomp", s->seccomp);
	DECIMAL("Seccomp_filters", s->seccomp_filters);
	DECIMAL("NoNewPrivs", s->no_new_privs);
	HEX("SigPnd", s->signals_pending);
	HEX("ShdPnd", s->shared_pending);
	HEX("SigBlk", s->blocked);
	HEX("SigIgn", s->ignored);
	HEX("SigCgt", s->caught);
	HEX("CapInh", s->caps[PROC_CAP_INH]);
	HEX("CapPrm", s->caps[PROC_CAP_PRM]);
	HEX("CapEff", s->caps[PROC_CAP_EFF]);
	HEX("CapBnd", s->caps[PROC_CAP_BND]);
	HEX("CapAmb", s->caps[PROC_CAP_AMB]);
#undef KEY
#undef HEX
#undef DECIMAL
}

int procfs_read_status(pid_t pid, pid_t tid, struct proc_status *ret_status, struct error *err)
{
	_cleanup_(free_ptr) char *text = NULL;
	char name[64];
	struct proc_status status = {};
	int rc;

	snprintf(name, sizeof(name), "task/%d/status", tid);
	rc = procfs_read_file(pid, name, &text, NULL, err);
	if (rc < 0)
		return rc;
	for (char *line = text; line && *line;) {
		char *colon = strchr(line, ':'), *end = strchr(line, '\n');
		char *value;

		if (!end || (colon && colon > end))
			colon = NULL;
		/* The name may not pretend to be another line: it is first, and newlines in it are
		 * escaped by the kernel. */
		if (colon) {
			for (value = colon + 1; *value == '\t' || *value == ' '; value++)
				;
			parse_status_line(&status, line, (size_t)(colon - line), value);
		}
		line = end ? end + 1 : NULL;
	}
	*ret_status = status;
	return 0;
}

void proc_status_deinit(struct proc_status *status)
{
	free(status->groups);
	status->groups = NULL;
	status->group_count = 0;
}

int procfs_read_fdinfo(pid_t pid, int fd, struct proc_fdinfo *ret_info, struct error *err)
{
	struct proc_fdinfo info = {};
	char name[64];
	int rc;

	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	rc = procfs_read_file(pid, name, &info.text, NULL, err);
	if (rc < 0)
		return rc;
	for (char *line = info.text; line && *line;) {
		char *end = strchr(line, '\n');

		if (starts_with(line, "pos:"))
			info.pos = strtoll(line + 4, NULL, 10);
		else if (starts_with(line, "flags:"))
			info.flags = (uint32_t)strtoul(line + 6, NULL, 8);
		else if (starts_with(line, "mnt_id:"))
			info.mnt_id = atoi(line + 7);
		else if (starts_with(line, "ino:"))
			info.ino = strtoull(line + 4, NULL, 10);
		line = end ? end + 1 : NULL;
	}
	*ret_info = info;
	return 0;
}

void proc_fdinfo_deinit(struct proc_fdinfo *info)
{
	free(info->text);
	info->text = NULL;
}

static int compare_numbers(const void *a, const void *b)
{
	int left = *(const int *)a, right = *(const int *)b;

	return (left > right) - (left < right);
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int read_numbers(
	pid_t pid, const char *name, int **ret_numbers, size_t *ret_count, struct error *err)
{
	_cleanup_(close_dir) DIR *dir = NULL;
	_cleanup_(free_ptr) int *numbers = NULL;
	size_t count = 0, capacity = 0;
	struct dirent *entry;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	dir = opendir(path);
	if (!dir)
		return fail(err, pid, -errno, name);
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (count == capacity) {
			capacity = capacity ? capacity * 2 : 32;
			numbers = xreallocarray(numbers, capacity, sizeof(*numbers));
		}
		numbers[count++] = atoi(entry->d_name);
	}
	if (errno)
		return fail(err, pid, -errno, name);
	if (count)
		qsort(numbers, count, sizeof(*numbers), compare_numbers);
	*ret_numbers = take_ptr(numbers);
	*ret_count = count;
	return 0;
}

int procfs_read_threads(pid_t pid, pid_t **ret_tids, size_t *ret_count, struct error *err)
{
	return read_numbers(pid, "task", ret_tids, ret_count, err);
}

int procfs_read_fds(pid_t pid, int **ret_fds, size_t *ret_count, struct error *err)
{
	return read_numbers(pid, "fd", ret_fds, ret_count, err);
}

int procfs_read_children(pid_t pid, pid_t **pids, size_t *count, struct error *err)
{
	_cleanup_(free_ptr) pid_t *tids = NULL;
	size_t tid_count;
	int rc = procfs_read_threads(pid, &tids, &tid_count, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < tid_count; i++) {
		_cleanup_(free_ptr) char *text = NULL;
		struct error ignored = ERROR_INIT;
		char name[64];

		snprintf(name, sizeof(name), "task/%d/children", tids[i]);
		rc = procfs_read_file(pid, name, &text, NULL, &ignored);
		if (rc == -ESRCH)
			continue; /* the thread has ended meanwhile */
		if (rc < 0) {
			*err = ignored;
			return rc;
		}
		for (char *p = text, *end; *p; p = end) {
			long child = strtol(p, &end, 10);

			if (end == p)
				break;
			*pids = xreallocarray(*pids, *count + 1, sizeof(pid_t));
			(*pids)[(*count)++] = (pid_t)child;
		}
	}
	return 0;
}
