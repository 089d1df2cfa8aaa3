/* Dead children that nobody has waited for: exit codes, signals, and a group and session of their
 * own. */
#include "victim.h"

enum { ZOMBIES = 7 };

static const struct {
	int code, status;
	bool session;
} deaths[ZOMBIES] = {{CLD_EXITED, 0, false}, {CLD_EXITED, 7, false}, {CLD_EXITED, 255, true},
	{CLD_KILLED, SIGKILL, false}, {CLD_KILLED, SIGUSR1, false}, {CLD_KILLED, SIGTERM, true},
	{CLD_KILLED, 64, false}};

static pid_t make_zombie(int i)
{
	siginfo_t info;
	pid_t pid = (pid_t)must(fork());

	if (pid == 0) {
		if (deaths[i].session)
			must(setsid());
		if (deaths[i].code == CLD_KILLED)
			raise(deaths[i].status);
		_exit(deaths[i].status);
	}
	must(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
	return pid;
}

static void check_zombies(const pid_t *pids)
{
	for (int i = 0; i < ZOMBIES; i++) {
		siginfo_t info = {0};

		if (waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT | WNOHANG) == -1) {
			victim_fail("zombie %d: %s", i, strerror(errno));
			continue;
		}
		check_int(info.si_pid, pids[i], "pid of zombie %d", i);
		check_int(info.si_code, deaths[i].code, "code of zombie %d", i);
		check_int(info.si_status, deaths[i].status, "status of zombie %d", i);
		check_int(getsid(pids[i]), deaths[i].session ? pids[i] : getsid(0),
			"session of zombie %d", i);
	}
}

/* Zombies of a child are the child's. */
static void mother(void *unused)
{
	pid_t pids[ZOMBIES];

	(void)unused;
	for (int i = 0; i < ZOMBIES; i++)
		pids[i] = make_zombie(i);
	victim_ready();
	while (victim_next())
		check_zombies(pids);
}

int main(int argc, char **argv)
{
	pid_t pids[ZOMBIES];

	victim_begin(argc, argv);
	for (int i = 0; i < ZOMBIES; i++)
		pids[i] = make_zombie(i);
	start_task("mother", mother, NULL);
	victim_ready();
	if (victim_spoiled())
		waitpid(pids[3], NULL, 0);
	while (victim_next()) {
		check_zombies(pids);
		check_part("mother");
	}
	return 0;
}
