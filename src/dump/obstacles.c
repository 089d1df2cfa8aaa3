/* What a tree as a whole may not have. Objects inside a task are for its kinds to refuse. */
#include <linux/kcmp.h>
#include <signal.h>
#include <sys/syscall.h>

#include "dump/internal.h"

/* In the order of task_kobj_ids_entry; the numbers are those that CRIU gives a tree that lives in the
 * host's namespaces. */
static const struct {
	const char *name;
	const char *what;
} namespaces[] = {
	{"pid", "pid"},
	{"net", "network"},
	{"ipc", "IPC"},
	{"uts", "UTS"},
	{"mnt", "mount"},
	{"user", "user"},
	{"cgroup", "cgroup"},
	{"time", "time"},
};

static int find_namespaces(struct dump *dump, struct error *err)
{
	char own[ARRAY_SIZE(namespaces)][64] = {};
	char path[64];

	for (size_t k = 0; k < ARRAY_SIZE(namespaces); k++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", namespaces[k].name);
		if (readlink(path, own[k], sizeof(own[k]) - 1) < 0)
			own[k][0] = '\0'; /* this kernel does not have it, then no task has */
	}
	for (size_t i = 0; i < dump->task_count; i++) {
		pid_t pid = dump->tasks[i].frozen->pid;

		for (size_t k = 0; k < ARRAY_SIZE(namespaces); k++) {
			char link[64] = {};
			struct error *problem;

			snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, namespaces[k].name);
			/* A zombie has left all but its pid namespace. */
			if (!own[k][0] || dump->tasks[i].frozen->zombie)
				continue;
			if (readlink(path, link, sizeof(link) - 1) < 0)
				return error_set(err, errno, "reading %s", path);
			if (streq(link, own[k]))
				continue;
			problem = problems_add(dump->context.problems);
			error_refuse(problem, ERROR_CANNOT_DUMP,
				"task %d lives in another %s namespace (%s), which this version "
				"cannot "
				"dump yet",
				pid, namespaces[k].what, link);
			error_about_task(problem, pid);
			error_about_object(problem, "%s", link);
			error_hint(problem, "run stasis inside that namespace (nsenter)");
		}
	}
	return 0;
}

static void find_session(struct dump *dump)
{
	const struct task *root = dump->checkpoint.tasks[0];
	struct error *problem;

	if (root->sid == root->pid || dump->context.job->shell_job)
		return;
	/* The number of a dead leader is still in use by its session; a living one is outside. */
	if (root->sid && kill(root->sid, 0) < 0 && errno == ESRCH && root->pgid == root->pid)
		return;
	problem = problems_add(dump->context.problems);
	error_refuse(problem, ERROR_CANNOT_DUMP,
		"task %d belongs to session %d, whose leader is outside of the tree", root->pid,
		root->sid);
	error_about_task(problem, root->pid);
	error_hint(problem, "--shell-job restores it into the session of the restoring shell; or "
			    "start it with setsid");
}

static int find_split_threads(struct dump *dump, struct error *err)
{
	static const struct {
		int type;
		const char *what;
	} shared[] = {{KCMP_FILES, "its descriptor table"}, {KCMP_FS, "its working directory"}};

	for (size_t i = 0; i < dump->task_count; i++) {
		const struct looked_task *looked = &dump->tasks[i];
		pid_t pid = looked->frozen->pid;

		for (size_t t = 1; t < looked->thread_count; t++)
			for (size_t k = 0; k < ARRAY_SIZE(shared); k++) {
				pid_t tid = looked->threads[t].source.tid;
				long order = syscall(SYS_kcmp, pid, tid, shared[k].type, 0, 0);
				struct error *problem;

				if (order < 0)
					return error_set(err, errno, "comparing threads %d and %d",
						pid, tid);
				if (order == 0)
					continue;
				problem = problems_add(dump->context.problems);
				error_refuse(problem, ERROR_CANNOT_DUMP,
					"task %d: thread %d does not share %s with the others "
					"(unshare(2) in a thread)",
					pid, tid, shared[k].what);
				error_about_task(problem, pid);
				error_hint(problem,
					"the image format has one of these for each process");
			}
	}
	return 0;
}

int dump_find_obstacles(struct dump *dump, struct error *err)
{
	int rc = find_namespaces(dump, err);

	if (rc == 0)
		rc = find_split_threads(dump, err);
	find_session(dump);
	return rc;
}
