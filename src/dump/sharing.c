/*
 * Who shares what: address spaces (CLONE_VM), descriptor tables, fs, signal handlers. kcmp(2) orders
 * any two tasks by the kernel's object, so a sorted list finds a task's equal in log n calls.
 */
#include <linux/kcmp.h>
#include <sys/syscall.h>

#include "dump/internal.h"

struct sharers {
	int type;
	struct {
		pid_t pid;
		uint32_t id;
	} * sorted;
	size_t count;
};

static int compare(pid_t a, pid_t b, int type, struct error *err)
{
	long order = syscall(SYS_kcmp, a, b, type, 0, 0);

	if (order < 0) {
		int rc = error_set(err, errno, "comparing tasks %d and %d", a, b);

		error_hint(err, "kcmp(2) needs CONFIG_KCMP");
		return rc;
	}
	/* 0 equal, 1 less, 2 greater */
	return (int)order;
}

/* The id of pid's object; a new one where no earlier task has it. */
static int sharer_id(struct sharers *sharers, pid_t pid, uint32_t *ret_id, struct error *err)
{
	size_t low = 0, high = sharers->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(pid, sharers->sorted[middle].pid, sharers->type, err);

		if (order < 0)
			return order;
		if (order == 0) {
			*ret_id = sharers->sorted[middle].id;
			return 0;
		}
		if (order == 1)
			high = middle;
		else
			low = middle + 1;
	}
	memmove(&sharers->sorted[low + 1], &sharers->sorted[low],
		(sharers->count - low) * sizeof(sharers->sorted[0]));
	sharers->sorted[low].pid = pid;
	sharers->sorted[low].id = (uint32_t)++sharers->count;
	*ret_id = (uint32_t)sharers->count;
	return 0;
}

int dump_find_sharing(struct dump *dump, struct error *err)
{
	struct sharers kinds[] = {{KCMP_VM}, {KCMP_FILES}, {KCMP_FS}, {KCMP_SIGHAND}};

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		kinds[k].sorted = arena_alloc(&dump->arena,
			arena_array_size(dump->task_count + 1, sizeof(*kinds[k].sorted)));
	for (size_t i = 0; i < dump->task_count; i++) {
		struct looked_task *looked = &dump->tasks[i];
		TaskKobjIdsEntry *ids = looked->task->ids;
		uint32_t *fields[] = {&ids->vm_id, &ids->files_id, &ids->fs_id, &ids->sighand_id};

		if (looked->frozen->zombie)
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
			int rc = sharer_id(&kinds[k], looked->frozen->pid, fields[k], err);

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}
