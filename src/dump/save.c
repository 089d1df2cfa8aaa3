/* Writing the tree: everything but pages and files. */
#include <time.h>

#include "dump/internal.h"

static int save_thread(struct dump *dump, const struct thread *thread, struct error *err)
{
	return image_write_single(
		dump->context.dir, IMAGE_CORE, (uint64_t)thread->tid, &thread->core->base, err);
}

static int save_task(struct dump *dump, const struct task *task, struct error *err)
{
	int rc = 0;

	for (size_t t = 0; rc == 0 && t < task->thread_count; t++)
		rc = save_thread(dump, &task->threads[t], err);
	if (rc == 0 && task->state != TASK_ZOMBIE)
		rc = image_write_single(
			dump->context.dir, IMAGE_IDS, (uint64_t)task->pid, &task->ids->base, err);
	return rc;
}

static int save_pstree(struct dump *dump, struct error *err)
{
	_cleanup_(image_writer_cleanup) struct image_writer *writer = NULL;
	int rc = image_writer_open(dump->context.dir, IMAGE_PSTREE, 0, &writer, err);

	for (size_t i = 0; rc == 0 && i < dump->checkpoint.task_count; i++) {
		const struct task *task = dump->checkpoint.tasks[i];
		PstreeEntry entry = PSTREE_ENTRY__INIT;

		entry.pid = (uint32_t)task->pid;
		entry.ppid = (uint32_t)(task->parent ? task->parent->pid : 0);
		entry.pgid = (uint32_t)task->pgid;
		entry.sid = (uint32_t)task->sid;
		entry.n_threads = task->thread_count;
		entry.threads = arena_array(&dump->arena, uint32_t, task->thread_count);
		for (size_t t = 0; t < task->thread_count; t++)
			entry.threads[t] = (uint32_t)task->threads[t].tid;
		rc = image_write(writer, &entry.base, err);
	}
	return rc < 0 ? rc : image_writer_close(take_ptr(writer), err);
}

static int save_inventory(struct dump *dump, struct error *err)
{
	InventoryEntry inventory = INVENTORY_ENTRY__INIT;
	struct timespec uptime;

	clock_gettime(CLOCK_MONOTONIC, &uptime);
	inventory.img_version = 2;
	inventory.has_fdinfo_per_id = inventory.fdinfo_per_id = true;
	inventory.has_ns_per_id = inventory.ns_per_id = true;
	inventory.root_ids = dump->checkpoint.tasks[0]->ids;
	inventory.has_root_cg_set = true;
	inventory.root_cg_set = 1;
	inventory.has_lsmtype = true;
	inventory.lsmtype = LSMTYPE__NO_LSM;
	inventory.has_dump_uptime = true;
	inventory.dump_uptime = (uint64_t)uptime.tv_sec * 1000000 + (uint64_t)uptime.tv_nsec / 1000;
	inventory.has_network_lock_method = true;
	return image_write_single(dump->context.dir, IMAGE_INVENTORY, 0, &inventory.base, err);
}

static int save_clocks(struct dump *dump, struct error *err)
{
	TimensEntry entry = TIMENS_ENTRY__INIT;
	Timespec monotonic = TIMESPEC__INIT, boottime = TIMESPEC__INIT;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	monotonic.tv_sec = (uint64_t)now.tv_sec;
	monotonic.tv_nsec = (uint64_t)now.tv_nsec;
	clock_gettime(CLOCK_BOOTTIME, &now);
	boottime.tv_sec = (uint64_t)now.tv_sec;
	boottime.tv_nsec = (uint64_t)now.tv_nsec;
	entry.monotonic = &monotonic;
	entry.boottime = &boottime;
	return image_write_single(dump->context.dir, IMAGE_TIMENS, 0, &entry.base, err);
}

static int save_stats(struct dump *dump, const struct dump_result *result, struct error *err)
{
	DumpStatsEntry stats = DUMP_STATS_ENTRY__INIT;
	StatsEntry entry = STATS_ENTRY__INIT;

	stats.freezing_time = (uint32_t)result->freezing_us;
	stats.frozen_time = (uint32_t)result->frozen_us;
	stats.memdump_time = (uint32_t)result->memory_us;
	stats.memwrite_time = (uint32_t)result->memory_us;
	stats.pages_scanned = result->pages_scanned;
	stats.pages_written = result->pages_written;
	stats.has_shpages_written = true;
	stats.shpages_written = result->shared_pages_written;
	entry.dump = &stats;
	return image_write_single(dump->context.dir, IMAGE_STATS_DUMP, 0, &entry.base, err);
}

int dump_save_tree(struct dump *dump, const struct dump_result *result, struct error *err)
{
	SeccompEntry empty = SECCOMP_ENTRY__INIT;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < dump->checkpoint.task_count; i++)
		rc = save_task(dump, dump->checkpoint.tasks[i], err);
	if (rc == 0)
		rc = save_pstree(dump, err);
	if (rc == 0)
		rc = image_write_single(dump->context.dir, IMAGE_SECCOMP, 0,
			dump->checkpoint.seccomp ? &dump->checkpoint.seccomp->base : &empty.base,
			err);
	if (rc == 0)
		rc = save_clocks(dump, err);
	if (rc == 0)
		rc = save_stats(dump, result, err);
	/* Last: CRIU, too, takes a directory without inventory for no checkpoint. */
	if (rc == 0)
		rc = save_inventory(dump, err);
	return rc;
}
