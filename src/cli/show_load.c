#include "cli/show_load.h"

#include <arpa/inet.h>

void shown_deinit(struct shown *shown)
{
	arena_deinit(&shown->arena);
}

int shown_entries(struct shown *shown, enum image_type type, uint64_t id,
	ProtobufCMessage ***ret_entries, size_t *ret_count, struct error *err)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	ProtobufCMessage **entries = NULL, *entry;
	size_t count = 0, capacity = 0;
	int rc = image_reader_open(shown->dir, type, id, &reader, err);

	if (rc < 0)
		return rc;
	while (rc > 0) {
		rc = image_read(reader, &shown->arena, &entry, err);
		if (rc < 0)
			return rc;
		if (rc == 0)
			break;
		entries =
			arena_grow(&shown->arena, entries, &capacity, count + 1, sizeof(*entries));
		entries[count++] = entry;
	}
	*ret_entries = entries;
	*ret_count = count;
	return 0;
}

static int load_optional(struct shown *shown, enum image_type type, uint64_t id,
	const void *ret_entry, struct error *err)
{
	ProtobufCMessage **entries;
	size_t count;
	int rc = shown_entries(shown, type, id, &entries, &count, err);

	if (rc == 0)
		*(const ProtobufCMessage **)ret_entry = count ? entries[0] : NULL;
	return rc;
}

static int compare_files(const void *a, const void *b)
{
	const FileEntry *x = *(const FileEntry *const *)a, *y = *(const FileEntry *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int load_task(struct shown *shown, struct shown_task *task, struct error *err)
{
	uint32_t pid = task->tree->pid;
	int rc = load_optional(shown, IMAGE_CORE, pid, &task->core, err);

	if (rc == 0)
		rc = load_optional(shown, IMAGE_IDS, pid, &task->ids, err);
	/* Ids are in the core or in an image of their own. */
	if (rc == 0 && !task->ids && task->core)
		task->ids = task->core->ids;
	return rc;
}

int shown_load(struct image_dir *dir, struct shown *ret_shown, struct error *err)
{
	struct shown shown = {.dir = dir};
	ProtobufCMessage **entries, **files;
	int rc = shown_entries(&shown, IMAGE_PSTREE, 0, &entries, &shown.task_count, err);

	if (rc == 0)
		rc = shown_entries(&shown, IMAGE_FILES, 0, &files, &shown.file_count, err);
	if (rc == 0) {
		shown.files = (const FileEntry **)files;
		if (shown.file_count)
			qsort(shown.files, shown.file_count, sizeof(*shown.files), compare_files);
		shown.tasks = arena_array(&shown.arena, struct shown_task, shown.task_count);
	}
	for (size_t i = 0; rc == 0 && i < shown.task_count; i++) {
		shown.tasks[i].tree = (const PstreeEntry *)entries[i];
		rc = load_task(&shown, &shown.tasks[i], err);
	}
	if (rc < 0)
		shown_deinit(&shown);
	else
		*ret_shown = shown;
	return rc;
}

const FileEntry *shown_file(const struct shown *shown, uint32_t id)
{
	FileEntry wanted = {.id = id};
	const FileEntry *key = &wanted, *const * found;

	if (!shown->file_count)
		return NULL;
	found = bsearch(&key, shown->files, shown->file_count, sizeof(key), compare_files);
	return found ? *found : NULL;
}

int shown_mm(struct shown *shown, const struct shown_task *task, const MmEntry **ret_mm,
	struct error *err)
{
	return load_optional(shown, IMAGE_MM, task->tree->pid, ret_mm, err);
}

int shown_pages(struct shown *shown, const struct shown_task *task, const PagemapEntry ***ret_pages,
	size_t *ret_count, struct error *err)
{
	ProtobufCMessage **entries;
	size_t count;
	int rc = shown_entries(shown, IMAGE_PAGEMAP, task->tree->pid, &entries, &count, err);

	if (rc < 0)
		return rc;
	/* The head comes first. */
	*ret_pages = (const PagemapEntry **)(count ? entries + 1 : entries);
	*ret_count = count ? count - 1 : 0;
	return 0;
}

uint64_t pagemap_pages(const PagemapEntry *entry)
{
	return entry->has_nr_pages ? entry->nr_pages : entry->compat_nr_pages;
}

static const char *inet_address(struct shown *shown, const uint32_t *words, size_t count)
{
	char text[INET6_ADDRSTRLEN] = "?";

	if (count == 1)
		inet_ntop(AF_INET, words, text, sizeof(text));
	else if (count == 4)
		inet_ntop(AF_INET6, words, text, sizeof(text));
	return arena_strdup(&shown->arena, text);
}

static const char *inet_name(struct shown *shown, const InetSkEntry *socket)
{
	const char *kind = socket->proto == 6 ? "tcp" : socket->proto == 17 ? "udp" : "inet";
	const char *source = inet_address(shown, socket->src_addr, socket->n_src_addr);

	if (!socket->dst_port)
		return arena_printf(&shown->arena, "%s[%s:%u]", kind, source, socket->src_port);
	return arena_printf(&shown->arena, "%s[%s:%u -> %s:%u]", kind, source, socket->src_port,
		inet_address(shown, socket->dst_addr, socket->n_dst_addr), socket->dst_port);
}

static const char *unix_name(struct shown *shown, const UnixSkEntry *socket)
{
	const char *name = (const char *)socket->name.data;
	size_t length = socket->name.len;

	/* Abstract names begin with a zero, others may end with one. */
	if (length && !name[0])
		return arena_printf(&shown->arena, "unix[%u (%u) @%.*s]", socket->ino, socket->peer,
			(int)MIN(length - 1, 108u), name + 1);
	return arena_printf(&shown->arena, "unix[%u (%u)%s%.*s]", socket->ino, socket->peer,
		length ? " " : "", (int)MIN(length, 108u), length ? name : "");
}

const char *shown_file_name(struct shown *shown, const FileEntry *file)
{
	const ProtobufCEnumValue *kind;

	if (file->reg)
		return file->reg->name;
	if (file->pipe)
		return arena_printf(&shown->arena, "pipe[%u]", file->pipe->pipe_id);
	if (file->usk)
		return unix_name(shown, file->usk);
	if (file->isk)
		return inet_name(shown, file->isk);
	kind = protobuf_c_enum_descriptor_get_value(&fd_types__descriptor, (int)file->type);
	return arena_printf(&shown->arena, "%s.%u", kind ? kind->name : "unknown", file->id);
}
