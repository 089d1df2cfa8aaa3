#include "model/job.h"

#include "base/log.h"

void job_init(struct job *job)
{
	*job = (struct job){
		.images_dir_fd = -1,
		.work_dir_fd = -1,
		.status_fd = -1,
		.pidfd_store_sk = -1,
		.ps_socket = -1,
		.timeout = JOB_TIMEOUT_DEFAULT,
		.ghost_limit = JOB_GHOST_LIMIT_DEFAULT,
		.file_validation = FILE_VALIDATION_BUILDID,
		.cpu_cap = CPU_CAP_DEFAULT,
		.network_lock = NETWORK_LOCK_IPTABLES,
		.manage_cgroups_mode = CGROUP_MODE_DEFAULT,
		.pre_dump_mode = PRE_DUMP_SPLICE,
		.port = JOB_PORT_DEFAULT,
		.log_level = LOG_WARN,
	};
}

void job_deinit(struct job *job)
{
	arena_deinit(&job->arena);
	*job = (struct job){};
}

const char *job_strdup(struct job *job, const char *s)
{
	return arena_strdup(&job->arena, s);
}

void job_list_add(struct job *job, struct string_list *list, const char *s)
{
	list->items = arena_grow(
		&job->arena, list->items, &list->capacity, list->count + 1, sizeof(*list->items));
	list->items[list->count++] = arena_strdup(&job->arena, s);
}

bool string_list_has(const struct string_list *list, const char *s)
{
	for (size_t i = 0; i < list->count; i++)
		if (streq(list->items[i], s))
			return true;
	return false;
}
