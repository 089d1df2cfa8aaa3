/*
 * Restore: address spaces and pagemaps are read. What they say is compared with the areas in
 * check.c; here only that is looked at which reading itself rests on.
 */
#include "memory/restore.h"

static struct pages_file *pages_file(
	struct restore_context *context, uint32_t id, struct error *err)
{
	struct restore_memory *memory = context->memory;
	struct pages_file *file = table_get(&memory->pages_files, (struct table_key){id});
	int rc;

	if (file)
		return file;
	file = arena_new(context->arena, struct pages_file);
	file->id = id;
	file->fd = file->inherited = -1;
	rc = image_open_raw(context->dir, IMAGE_PAGES, id, &file->fd, &file->size, err);
	if (rc < 0)
		return NULL;
	if (rc == 0)
		file->fd = -1;
	table_put(&memory->pages_files, context->arena, (struct table_key){id}, file);
	memory->files = arena_grow(context->arena, memory->files, &memory->file_capacity,
		memory->file_count + 1, sizeof(file));
	memory->files[memory->file_count++] = file;
	return file;
}

static const char *image_name(struct restore_context *context, enum image_type type, uint64_t id)
{
	return arena_printf(context->arena, "%s-%llu.img",
		type == IMAGE_PAGEMAP ? "pagemap" : "pagemap-shmem", (unsigned long long)id);
}

/* Adds what one entry says. False when it makes no sense; the offset in the pages file goes on. */
static bool add_entry(struct restore_context *context, struct stored_pages *pages,
	const PagemapEntry *entry, uint64_t *offset, const char *image)
{
	uint64_t count = entry->has_nr_pages ? entry->nr_pages : entry->compat_nr_pages;
	uint32_t flags = entry->has_flags ? entry->flags : PE_PRESENT;
	bool shared = entry->has_shared_by_fork && entry->shared_by_fork;
	struct stored_range *last = pages->count ? &pages->ranges[pages->count - 1] : NULL;
	struct stored_range *range;
	uint64_t size;

	if (!entry->has_flags && entry->has_in_parent && entry->in_parent)
		flags = PE_PARENT;
	if (!count || entry->vaddr % PAGE_SIZE || count > TASK_END / PAGE_SIZE ||
		entry->vaddr > INT64_MAX - count * PAGE_SIZE ||
		(last && entry->vaddr < last->end)) {
		bad_image(context, image, "%llu pages at %#llx: not a range behind the one before",
			(unsigned long long)count, (unsigned long long)entry->vaddr);
		return false;
	}
	if (!(flags & PE_PRESENT) && flags & PE_PARENT && !shared) {
		struct error *problem = problems_add(context->problems);

		error_refuse(problem, ERROR_BAD_IMAGE,
			"%s: pages at %#llx are in a parent image, which is not supported yet",
			image, (unsigned long long)entry->vaddr);
		error_hint(problem, "give the directory of a full dump");
		return false;
	}
	if (!(flags & PE_PRESENT) && !shared)
		return true; /* pages of zeros */
	size = count * PAGE_SIZE;
	if (flags & PE_PRESENT &&
		(!pages->file || size > pages->file->size || *offset > pages->file->size - size)) {
		bad_image(context, image, "%llu pages at %#llx are not in pages-%u.img",
			(unsigned long long)count, (unsigned long long)entry->vaddr,
			pages->file ? pages->file->id : 0);
		return false;
	}
	pages->ranges = arena_grow(
		context->arena, pages->ranges, &pages->capacity, pages->count + 1, sizeof(*range));
	range = &pages->ranges[pages->count++];
	*range = (struct stored_range){
		.start = entry->vaddr, .end = entry->vaddr + size, .shared = shared};
	if (flags & PE_PRESENT) {
		range->file = pages->file;
		range->offset = *offset;
		*offset += size;
	}
	return true;
}

int pages_load(struct restore_context *context, enum image_type type, uint64_t id,
	struct stored_pages *ret_pages, struct error *err)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	const char *image = image_name(context, type, id);
	struct stored_pages pages = {};
	ProtobufCMessage *entry;
	uint64_t offset = 0;
	int rc = image_reader_open(context->dir, type, id, &reader, err);

	if (rc <= 0)
		return rc;
	rc = image_read(reader, context->arena, &entry, err);
	if (rc <= 0) {
		if (rc == 0)
			bad_image(context, image, "it has no head");
		return rc;
	}
	pages.file = pages_file(context, ((PagemapHead *)entry)->pages_id, err);
	if (!pages.file)
		return err->errnum ? -err->errnum : -EINVAL;
	pages.file->needed |= type == IMAGE_PAGEMAP && pages.file->fd >= 0;
	while ((rc = image_read(reader, context->arena, &entry, err)) > 0)
		if (!add_entry(context, &pages, (PagemapEntry *)entry, &offset, image))
			break;
	if (rc < 0)
		return rc;
	*ret_pages = pages;
	return 0;
}

const struct stored_range *stored_pages_find(const struct stored_pages *pages, uint64_t address)
{
	size_t low = 0, high = pages->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct stored_range *range = &pages->ranges[middle];

		if (address < range->start)
			high = middle;
		else if (address >= range->end)
			low = middle + 1;
		else
			return range;
	}
	return NULL;
}

static int load_space(
	struct restore_context *context, struct address_space *space, struct error *err)
{
	struct restored_space *restored = arena_new(context->arena, struct restored_space);
	ProtobufCMessage *message;
	int rc;

	restored->space = space;
	restored->owner = space->owner;
	restored->vdso.fd = -1;
	space->memory = restored;
	rc = image_read_single(
		context->dir, IMAGE_MM, (uint64_t)space->owner->pid, context->arena, &message, err);
	if (rc < 0)
		return rc;
	space->mm = (MmEntry *)message;
	rc = pages_load(context, IMAGE_PAGEMAP, (uint64_t)space->owner->pid, &restored->pages, err);
	for (size_t i = 0; i < restored->pages.count; i++)
		restored->shares |= restored->pages.ranges[i].shared;
	return rc;
}

/* All entries of an image that has one for each object. */
static int load_table(struct restore_context *context, enum image_type type, struct table *table,
	uint64_t (*key)(const ProtobufCMessage *), struct error *err)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	ProtobufCMessage *entry;
	int rc = image_reader_open(context->dir, type, 0, &reader, err);

	if (rc <= 0)
		return rc;
	while ((rc = image_read(reader, context->arena, &entry, err)) > 0) {
		if (table_get(table, (struct table_key){key(entry)}))
			bad_image(context, image_info(type)->name, "two entries have the id %llu",
				(unsigned long long)key(entry));
		else
			table_put(table, context->arena, (struct table_key){key(entry)}, entry);
	}
	return rc;
}

static uint64_t memfd_key(const ProtobufCMessage *entry)
{
	return ((const MemfdInodeEntry *)entry)->inode_id;
}

static uint64_t segment_key(const ProtobufCMessage *entry)
{
	return ((const IpcShmEntry *)entry)->desc->id;
}

/* Pages that only the parent process's pagemap has (--share-pages). Parents come before children
 * in the checkpoint, so that theirs are resolved already. */
static void resolve_shared(struct restore_context *context, struct restored_space *space)
{
	const struct task *parent_task = space->owner->parent;
	struct restored_space *parent = parent_task ? restored_space(parent_task->space) : NULL;
	struct stored_pages *old = &space->pages, fresh = {.file = old->file};

	for (size_t i = 0; i < old->count; i++) {
		struct stored_range todo = old->ranges[i];

		while (todo.start < todo.end) {
			struct stored_range piece = todo;

			if (!piece.file) {
				const struct stored_range *source =
					parent && parent != space
						? stored_pages_find(&parent->pages, todo.start)
						: NULL;

				if (!source || !source->file) {
					bad_image(context, "pagemap",
						"task %d: the page at %#llx is said to be its "
						"parent's, which has none",
						space->owner->pid, (unsigned long long)todo.start);
					return;
				}
				piece.end = MIN(piece.end, source->end);
				piece.file = source->file;
				piece.offset = source->offset + (piece.start - source->start);
			}
			fresh.ranges = arena_grow(context->arena, fresh.ranges, &fresh.capacity,
				fresh.count + 1, sizeof(piece));
			fresh.ranges[fresh.count++] = piece;
			todo.start = piece.end;
		}
	}
	*old = fresh;
}

int memory_load(struct restore_context *context, struct error *err)
{
	struct restore_memory *memory = arena_new(context->arena, struct restore_memory);
	int rc;

	memory->last_object = &memory->first_object;
	context->memory = memory;
	for (size_t i = 0; i < context->checkpoint->space_count; i++) {
		rc = load_space(context, context->checkpoint->spaces[i], err);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < context->checkpoint->task_count; i++) {
		const struct task *task = context->checkpoint->tasks[i];
		struct restored_space *space = restored_space(task->space);

		if (space && space->owner == task && space->shares)
			resolve_shared(context, space);
	}
	rc = load_table(context, IMAGE_MEMFD_INODE, &memory->memfds, memfd_key, err);
	if (rc < 0)
		return rc;
	return load_table(context, IMAGE_IPCNS_SHM, &memory->segments, segment_key, err);
}
