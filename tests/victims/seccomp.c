/*
 * Seccomp: a strict thread, a thread with one filter, one with two chained ones, one without any,
 * and a task whose threads all got their filter at once (TSYNC). A filter shows by the errno that
 * it gives.
 */
#include "victim.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

static int to_strict[2], from_strict[2];
static volatile pid_t strict_tid;

/* System call nr fails with errnum, everything else is allowed. */
static void add_filter(long nr, int errnum, unsigned flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)errnum),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {array_size(code), code};

	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

static void check_answer(long nr, int errnum)
{
	long result;

	errno = 0;
	result = syscall(nr, 0, 0, 0);
	if (errnum)
		check(result == -1 && errno == errnum, "call %ld gives %ld %s, not %s", nr, result,
			strerror(errno), strerror(errnum));
	else
		check(result >= 0, "call %ld fails: %s", nr, strerror(errno));
}

static void *strict(void *unused)
{
	char byte;

	(void)unused;
	strict_tid = get_tid();
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	while (read(to_strict[0], &byte, 1) == 1) {
		byte++;
		if (write(from_strict[1], &byte, 1) != 1)
			break;
	}
	syscall(SYS_exit, 0);
	return NULL;
}

static void check_strict(void)
{
	char path[64], *text, byte = 41;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", strict_tid);
	text = read_file(path);
	check_str(field_of(text, "Seccomp"), "1", "mode of the strict thread");
	free(text);
	must(write(to_strict[1], &byte, 1));
	must(read(from_strict[0], &byte, 1));
	check_int(byte, 42, "what the strict thread answers");
}

static void unfiltered(void *unused)
{
	(void)unused;
	victim_ready();
	while (victim_next()) {
		check_answer(SYS_getppid, 0);
		check_answer(SYS_getpgrp, 0);
		check_str(status_field("Seccomp"), "0", "mode");
	}
}

static void one_filter(void *unused)
{
	(void)unused;
	add_filter(SYS_getppid, EXDEV, 0);
	victim_ready();
	if (victim_spoiled())
		add_filter(SYS_getppid, EDOM, 0);
	while (victim_next()) {
		check_answer(SYS_getppid, EXDEV);
		check_answer(SYS_getpgrp, 0);
		check_str(status_field("Seccomp"), "2", "mode");
		check_str(status_field("Seccomp_filters"), "1", "number of filters");
	}
}

static void two_filters(void *unused)
{
	(void)unused;
	add_filter(SYS_getppid, EXDEV, 0);
	add_filter(SYS_getpgrp, ELOOP, 0);
	victim_ready();
	while (victim_next()) {
		check_answer(SYS_getppid, EXDEV);
		check_answer(SYS_getpgrp, ELOOP);
		check_str(status_field("Seccomp_filters"), "2", "number of filters");
	}
}

static void synced(void *unused)
{
	(void)unused;
	victim_ready();
	while (victim_next()) {
		check_answer(SYS_getppid, ERANGE);
		check_str(status_field("Seccomp_filters"), "1", "number of filters");
	}
}

static void tsync(void *unused)
{
	(void)unused;
	start_thread("tsync-other", synced, NULL);
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	add_filter(SYS_getppid, ERANGE, SECCOMP_FILTER_FLAG_TSYNC);
	victim_ready();
	while (victim_next()) {
		check_answer(SYS_getppid, ERANGE);
		check_part("tsync-other");
	}
}

int main(int argc, char **argv)
{
	static const char *const parts[] = {"unfiltered", "one-filter", "two-filters", "tsync"};
	pthread_t thread;

	victim_begin(argc, argv);
	must(pipe(to_strict));
	must(pipe(from_strict));
	if (pthread_create(&thread, NULL, strict, NULL))
		victim_die("pthread_create");
	start_thread("unfiltered", unfiltered, NULL);
	start_thread("one-filter", one_filter, NULL);
	start_thread("two-filters", two_filters, NULL);
	start_task("tsync", tsync, NULL);
	victim_ready();
	while (victim_next()) {
		check_strict();
		for (size_t i = 0; i < array_size(parts); i++)
			check_part(parts[i]);
	}
	return 0;
}
