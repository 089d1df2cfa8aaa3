/* One open file under several numbers and in several tasks (dup, fork) moves together; two opens of the
 * same file do not. */
#include "victim.h"

#include <linux/kcmp.h>

static int inherited, duplicate, separate;

static void child(void *unused)
{
	(void)unused;
	must(close(duplicate));
	victim_ready();
	while (victim_next()) {
		await_file("moved");
		check_int(lseek(inherited, 0, SEEK_CUR), 111, "offset moved by the parent");
		check_int(lseek(separate, 0, SEEK_CUR), 7, "offset of the other open");
		check(fcntl(duplicate, F_GETFD) == -1, "descriptor %d is open", duplicate);
	}
}

int main(int argc, char **argv)
{
	pid_t pid;
	int own;

	victim_begin(argc, argv);
	write_file(victim_path("file"), "0123456789", 10);
	inherited = (int)must(open(victim_path("file"), O_RDWR));
	duplicate = (int)must(dup(inherited));
	separate = (int)must(open(victim_path("file"), O_RDWR));
	must(lseek(separate, 7, SEEK_SET));
	pid = start_task("child", child, NULL);
	own = (int)must(open(victim_path("file"), O_RDWR));
	must(fcntl(duplicate, F_SETFD, FD_CLOEXEC));
	victim_ready();
	if (victim_spoiled())
		must(dup2(own, duplicate));
	while (victim_next()) {
		must(lseek(duplicate, 111, SEEK_SET));
		check_int(lseek(inherited, 0, SEEK_CUR), 111, "offset moved through the duplicate");
		check_int(lseek(own, 0, SEEK_CUR), 0, "offset of an open of its own");
		check_int(fcntl(duplicate, F_GETFD), FD_CLOEXEC, "close-on-exec of the duplicate");
		check_int(fcntl(inherited, F_GETFD), 0, "close-on-exec of the original");
		write_file(victim_path("moved"), "", 0);
		check_int(syscall(SYS_kcmp, getpid(), pid, KCMP_FILE, inherited, inherited), 0,
			"kcmp with the child's");
		check(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, inherited, separate) != 0,
			"two opens have become one");
		check_part("child");
		must(lseek(inherited, 0, SEEK_SET));
		must(unlink(victim_path("moved")));
	}
	return 0;
}
