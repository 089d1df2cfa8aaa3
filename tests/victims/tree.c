/*
 * Kinship: parents, process groups and sessions, also such whose leader is dead, and orphans that a
 * child subreaper has adopted. Every task remembers who it was and who its parent was.
 */
#include "victim.h"

/* Waits until the parent is the one given (orphans are adopted a moment later), then remembers. */
static void remember_kin(void *parent)
{
	pid_t pid = getpid(), pgid = getpgrp(), sid = getsid(0);
	int subreaper;

	while (getppid() != (pid_t)(intptr_t)parent)
		msleep(1);
	victim_ready();
	while (victim_next()) {
		check_int(getpid(), pid, "pid");
		check_int(getppid(), (intptr_t)parent, "parent");
		check_int(getpgrp(), pgid, "process group");
		check_int(getsid(0), sid, "session");
		check_int(get_tid(), pid, "tid");
		must(prctl(PR_GET_CHILD_SUBREAPER, &subreaper));
		check_int(subreaper, 0, "child subreaper");
	}
}

static void *self(void)
{
	return (void *)(intptr_t)getpid();
}

static void group_leader(void *parent)
{
	must(setpgid(0, 0));
	remember_kin(parent);
}

static void member(void *leader)
{
	must(setpgid(0, (pid_t)(intptr_t)leader));
	remember_kin((void *)(intptr_t)getppid());
}

static void session_leader(void *parent)
{
	must(setsid());
	remember_kin(parent);
}

/* Forks a task that leads, has it start the part `name`, and lets it die: the part lives on. */
static void with_dead_leader(const char *name, bool session, void *adopter)
{
	pid_t leader = (pid_t)must(fork());

	if (leader == 0) {
		must(session ? setsid() : setpgid(0, 0));
		if (fork() == 0) {
			victim_become(name);
			remember_kin(adopter);
		}
		exit(0);
	}
	must(waitpid(leader, NULL, 0));
	await_part(name);
}

static void inner_subreaper(void *unused)
{
	int subreaper;

	(void)unused;
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	with_dead_leader("adopted-inside", false, self());
	victim_ready();
	while (victim_next()) {
		must(prctl(PR_GET_CHILD_SUBREAPER, &subreaper));
		check_int(subreaper, 1, "child subreaper");
		check_part("adopted-inside");
	}
}

static void chain(void *depth)
{
	char name[16];

	if (depth) {
		snprintf(name, sizeof(name), "chain-%d", (int)(intptr_t)depth - 1);
		start_task(name, chain, (void *)((intptr_t)depth - 1));
	}
	remember_kin((void *)(intptr_t)getppid());
}

int main(int argc, char **argv)
{
	static const char *const parts[] = {"leader", "member", "session", "of-dead-session",
		"of-dead-group", "subreaper", "chain-3", "chain-2", "chain-1", "chain-0"};
	pid_t leader;

	victim_begin(argc, argv);
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	leader = start_task("leader", group_leader, self());
	start_task("member", member, (void *)(intptr_t)leader);
	start_task("session", session_leader, self());
	with_dead_leader("of-dead-session", true, self());
	with_dead_leader("of-dead-group", false, self());
	start_task("subreaper", inner_subreaper, NULL);
	start_task("chain-3", chain, (void *)3);
	victim_ready();
	if (victim_spoiled())
		setpgid(leader, getpgrp());
	while (victim_next())
		for (size_t i = 0; i < array_size(parts); i++)
			check_part(parts[i]);
	return 0;
}
