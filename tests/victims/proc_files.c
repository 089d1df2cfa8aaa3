/* Open files of /proc: one's own, another task's, a dead task's, and one that belongs to nobody. */
#include "victim.h"

static int open_of(pid_t pid, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return (int)must(open(path, flags));
}

/* "Pid:" of a status file. */
static long pid_in(int fd)
{
	char text[4096] = "";
	char *value;

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return -errno;
	value = field_of(text, "Pid");
	return value ? atol(value) : 0;
}

/* A file of a thread that is not its task's first: /proc/PID/task/TID/comm. */
static int open_of_thread(pid_t pid, const char *tid_file)
{
	char path[64], *tid = read_file(victim_path(tid_file));

	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", pid, atoi(tid));
	free(tid);
	return (int)must(open(path, O_RDONLY));
}

static void named_thread(void *unused)
{
	char text[16];

	(void)unused;
	pthread_setname_np(pthread_self(), "second");
	snprintf(text, sizeof(text), "%d", get_tid());
	write_file(victim_path("tid"), text, strlen(text));
	idle_part(NULL);
}

static void child_with_thread(void *unused)
{
	(void)unused;
	start_thread("second", named_thread, NULL);
	idle_part(NULL);
}

int main(int argc, char **argv)
{
	int own, childs, threads, dead, dead_directory, nobodys, directory, map;
	char text[256] = "", now[256] = "";
	pid_t child, gone;

	victim_begin(argc, argv);
	child = start_task("child", child_with_thread, NULL);
	gone = (pid_t)must(fork());
	if (gone == 0) {
		pause();
		_exit(0);
	}
	own = (int)must(open("/proc/self/status", O_RDONLY));
	must(read(own, text, 10));
	childs = open_of(child, "status", O_RDONLY | O_CLOEXEC);
	threads = open_of_thread(child, "tid");
	dead = open_of(gone, "status", O_RDONLY);
	dead_directory = open_of(gone, "", O_RDONLY | O_DIRECTORY);
	map = open_of(child, "maps", O_RDONLY);
	directory = (int)must(open("/proc/self/fd", O_RDONLY | O_DIRECTORY));
	nobodys = (int)must(open("/proc/sys/kernel/osrelease", O_RDONLY));
	memset(text, 0, sizeof(text));
	must(pread(nobodys, text, sizeof(text) - 1, 0));
	must(kill(gone, SIGKILL));
	must(waitpid(gone, NULL, 0));
	victim_ready();
	if (victim_spoiled())
		must(dup2(own, childs));
	while (victim_next()) {
		check_int(pid_in(own), getpid(), "Pid in our own status");
		check_int(lseek(own, 0, SEEK_CUR), 10, "its offset");
		check_int(pid_in(childs), child, "Pid in the child's status");
		check_int(pid_in(dead), -ESRCH, "Pid in a dead task's status");
		check(faccessat(dead_directory, "status", F_OK, 0) == -1,
			"the directory of a dead task has files");
		memset(now, 0, sizeof(now));
		check(pread(threads, now, 6, 0) == 6, "the thread's name cannot be read");
		check_str(now, "second", "name of the child's thread");
		check(pread(map, now, 10, 0) == 10, "the child's maps cannot be read");
		memset(now, 0, sizeof(now));
		must(pread(nobodys, now, sizeof(now) - 1, 0));
		check_str(now, text, "/proc/sys/kernel/osrelease");
		check(faccessat(directory, "0", F_OK, 0) == 0,
			"descriptor 0 is not in /proc/self/fd");
		check_part("child");
	}
	return 0;
}
