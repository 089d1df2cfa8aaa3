/* Tasks that share working directory, root and umask (CLONE_FS). */
#include "victim.h"

#include <linux/kcmp.h>

static const char *umask_of(pid_t pid)
{
	char path[64], *text, *value;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	text = read_file(path);
	value = field_of(text, "Umask");
	free(text);
	return value;
}

int main(int argc, char **argv)
{
	pid_t pid;

	victim_begin(argc, argv);
	pid = (pid_t)must(syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0));
	if (pid == 0) {
		victim_become("sharer");
		idle_part(NULL);
		exit(0);
	}
	await_part("sharer");
	victim_ready();
	if (victim_spoiled())
		must(unshare(CLONE_FS));
	while (victim_next()) {
		char path[64], target[512] = "";

		umask(0123);
		must(chdir("/usr"));
		snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
		must(readlink(path, target, sizeof(target) - 1));
		check_str(target, "/usr", "working directory of the sharer");
		check_int(syscall(SYS_kcmp, getpid(), pid, KCMP_FS, 0, 0), 0, "kcmp(FS)");
		check_str(umask_of(pid), "0123", "umask of the sharer");
		check_part("sharer");
		must(chdir("/"));
		umask(0022);
	}
	return 0;
}
