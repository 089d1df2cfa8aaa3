/* Tasks that share one table of descriptors (CLONE_FILES): what one opens the other has. */
#include "victim.h"

#include <linux/kcmp.h>

static pid_t clone_task(const char *name, unsigned long flags, void (*body)(void *))
{
	pid_t pid = (pid_t)must(syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));

	if (pid == 0) {
		victim_become(name);
		body(NULL);
		exit(0);
	}
	await_part(name);
	return pid;
}

int main(int argc, char **argv)
{
	pid_t sharer, other;

	victim_begin(argc, argv);
	sharer = clone_task("sharer", CLONE_FILES, idle_part);
	other = clone_task("other", 0, idle_part);
	victim_ready();
	if (victim_spoiled())
		must(unshare(CLONE_FILES));
	while (victim_next()) {
		char path[64];
		int null = (int)must(open("/dev/null", O_RDONLY));
		int fd = (int)must(fcntl(null, F_DUPFD, 77));

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", sharer, fd);
		check(access(path, F_OK) == 0, "descriptor %d is not in the sharer's table", fd);
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", other, fd);
		check(access(path, F_OK) == -1, "descriptor %d is in another's table", fd);
		check_int(syscall(SYS_kcmp, getpid(), sharer, KCMP_FILES, 0, 0), 0, "kcmp(FILES)");
		check(syscall(SYS_kcmp, getpid(), other, KCMP_FILES, 0, 0) != 0,
			"a table is shared that was not");
		close(fd);
		close(null);
		check_part("sharer");
		check_part("other");
	}
	return 0;
}
