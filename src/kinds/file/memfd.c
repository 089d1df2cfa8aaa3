/*
 * Memfds: here only those that areas map. Their content and inodes are the memory room's
 * (memory/objects.c), which makes them itself; descriptors of memfds come with the next version.
 */
#include "kinds/file/state.h"

static int memfd_check(struct restore_context *context, const struct file *file, struct error *err)
{
	const struct checkpoint *checkpoint = context->checkpoint;

	(void)err;
	if (!file->entry->memfd) {
		files_damage(context, file, "it says nothing about the memfd");
		return 0;
	}
	for (size_t i = 0; i < checkpoint->fd_table_count; i++) {
		const struct fd_table *table = checkpoint->fd_tables[i];

		for (size_t e = 0; e < table->count; e++)
			if (table->entries[e]->id == file->id) {
				files_conflict(context, file,
					"descriptor %u is a memfd, which this version cannot "
					"restore",
					table->entries[e]->fd);
				return 0;
			}
	}
	return 0;
}

static int memfd_open(
	struct restore_context *context, const struct file *file, int *ret_fd, struct error *err)
{
	(void)context;
	(void)file;
	(void)err;
	*ret_fd = -1;
	return 0;
}

const struct file_kind memfd_kind = {
	.name = "memfd",
	.type = FD_TYPES__MEMFD,
	.limits = "mapped ones; descriptors of memfds are refused",
	.check = memfd_check,
	.open = memfd_open,
};
