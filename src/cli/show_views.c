/*
 * Each view is printed through an emitter as JSON, or as a table whose columns are those of `crit
 * x`, since people read them with awk.
 */
#include "cli/show_views.h"

#include <inttypes.h>

#include "cli/show_load.h"
#include "image/emit.h"

static void emit_text(struct emitter *emitter, const char *key, const char *text)
{
	emit_key(emitter, key);
	emit_string(emitter, text, strlen(text));
}

static void emit_u64(struct emitter *emitter, const char *key, uint64_t value)
{
	emit_key(emitter, key);
	emit_number(emitter, "%" PRIu64, value);
}

static struct emitter json_emitter(void)
{
	return (struct emitter){.out = stdout, .json = true, .fresh = true};
}

static const char *task_comm(const struct shown_task *task)
{
	return task->core && task->core->tc ? task->core->tc->comm : "?";
}

/* ps */

static void print_process(const struct shown *shown, size_t index, unsigned depth)
{
	const struct shown_task *task = &shown->tasks[index];

	printf("%7u%7u%7u   %*s%s\n", task->tree->pid, task->tree->pgid, task->tree->sid,
		(int)depth * 4, "", task_comm(task));
}

/* The tasks in the order of their parents' pids, to find children without a search of all. */
struct family {
	const struct shown *shown;
	size_t *by_parent;
	bool *printed;
};

static int compare_parents(const void *a, const void *b, void *context)
{
	const struct shown_task *tasks = context;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	if (tasks[x].tree->ppid != tasks[y].tree->ppid)
		return tasks[x].tree->ppid < tasks[y].tree->ppid ? -1 : 1;
	return x < y ? -1 : x > y;
}

static size_t first_child(const struct family *family, uint32_t parent)
{
	size_t low = 0, high = family->shown->task_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (family->shown->tasks[family->by_parent[middle]].tree->ppid < parent)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A task and its children below it. Hostile images may hold circles: each task is printed once, and
 * not deeper than the stack allows. */
static void print_family(struct family *family, size_t index, unsigned depth)
{
	const struct shown_task *tasks = family->shown->tasks;
	uint32_t pid = tasks[index].tree->pid;

	if (family->printed[index])
		return;
	family->printed[index] = true;
	print_process(family->shown, index, depth);
	if (depth >= 200)
		return;
	for (size_t i = first_child(family, pid); i < family->shown->task_count; i++) {
		if (tasks[family->by_parent[i]].tree->ppid != pid)
			break;
		print_family(family, family->by_parent[i], depth + 1);
	}
}

static void print_tree(const struct shown *shown)
{
	_cleanup_(free_ptr) bool *printed = xcalloc(shown->task_count, sizeof(*printed));
	_cleanup_(free_ptr) size_t *by_parent = xcalloc(shown->task_count, sizeof(*by_parent));
	struct family family = {shown, by_parent, printed};

	printf("    PID   PGID    SID   COMM\n");
	for (size_t i = 0; i < shown->task_count; i++)
		by_parent[i] = i;
	qsort_r(by_parent, shown->task_count, sizeof(*by_parent), compare_parents, shown->tasks);
	/* The root comes first; whoever has no parent here follows. */
	for (size_t i = 0; i < shown->task_count; i++)
		print_family(&family, i, 0);
}

static void emit_task_head(struct emitter *json, const struct shown_task *task)
{
	emit_u64(json, "pid", task->tree->pid);
	emit_text(json, "comm", task_comm(task));
}

static void emit_tree(struct emitter *json, const struct shown *shown)
{
	emit_array_begin(json, false);
	for (size_t i = 0; i < shown->task_count; i++) {
		const PstreeEntry *tree = shown->tasks[i].tree;

		emit_object_begin(json);
		emit_task_head(json, &shown->tasks[i]);
		emit_u64(json, "ppid", tree->ppid);
		emit_u64(json, "pgid", tree->pgid);
		emit_u64(json, "sid", tree->sid);
		emit_key(json, "threads");
		emit_array_begin(json, true);
		for (size_t t = 0; t < tree->n_threads; t++)
			emit_number(json, "%u", tree->threads[t]);
		emit_array_end(json, true);
		emit_object_end(json);
	}
	emit_array_end(json, false);
}

static int view_ps(struct image_dir *dir, bool json, struct error *err)
{
	_cleanup_(shown_deinit) struct shown shown = {};
	struct emitter emitter = json_emitter();
	int rc = shown_load(dir, &shown, err);

	if (rc < 0)
		return rc;
	if (json) {
		emit_tree(&emitter, &shown);
		putchar('\n');
	} else {
		print_tree(&shown);
	}
	return 0;
}

/* The views that print something for every task. */

typedef int (*task_printer)(struct shown *shown, const struct shown_task *task,
	struct emitter *json, struct error *err);

/* `json` is NULL for text. Each task is an object with pid, comm and the list `key`. */
static int view_tasks(
	struct image_dir *dir, bool json, const char *key, task_printer print, struct error *err)
{
	_cleanup_(shown_deinit) struct shown shown = {};
	struct emitter emitter = json_emitter();
	int rc = shown_load(dir, &shown, err);

	if (rc < 0)
		return rc;
	if (json)
		emit_array_begin(&emitter, false);
	for (size_t i = 0; i < shown.task_count; i++) {
		if (json) {
			emit_object_begin(&emitter);
			emit_task_head(&emitter, &shown.tasks[i]);
			emit_key(&emitter, key);
			emit_array_begin(&emitter, false);
		} else {
			printf("%u\n", shown.tasks[i].tree->pid);
		}
		rc = print(&shown, &shown.tasks[i], json ? &emitter : NULL, err);
		if (rc < 0)
			return rc;
		if (json) {
			emit_array_end(&emitter, false);
			emit_object_end(&emitter);
		}
	}
	if (json) {
		emit_array_end(&emitter, false);
		putchar('\n');
	}
	return 0;
}

/* fds */

static void print_file(struct shown *shown, struct emitter *json, const char *number, uint32_t id)
{
	const FileEntry *file = shown_file(shown, id);
	const char *name = file ? shown_file_name(shown, file) : "unknown file";

	if (!json) {
		printf("\t%7s: %s\n", number, name);
		return;
	}
	emit_object_begin(json);
	emit_text(json, "fd", number);
	emit_u64(json, "id", id);
	emit_text(json, "file", name);
	emit_object_end(json);
}

static int print_fds(
	struct shown *shown, const struct shown_task *task, struct emitter *json, struct error *err)
{
	ProtobufCMessage **entries;
	char number[16];
	size_t count = 0;
	int rc = 0;

	if (task->ids)
		rc = shown_entries(shown, IMAGE_FDINFO, task->ids->files_id, &entries, &count, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < count; i++) {
		const FdinfoEntry *entry = (const FdinfoEntry *)entries[i];

		snprintf(number, sizeof(number), "%u", entry->fd);
		print_file(shown, json, number, entry->id);
	}
	rc = shown_entries(shown, IMAGE_FS, task->tree->pid, &entries, &count, err);
	if (rc < 0)
		return rc;
	if (count) {
		const FsEntry *fs = (const FsEntry *)entries[0];

		print_file(shown, json, "cwd", fs->cwd_id);
		print_file(shown, json, "root", fs->root_id);
	}
	return 0;
}

static int view_fds(struct image_dir *dir, bool json, struct error *err)
{
	return view_tasks(dir, json, "fds", print_fds, err);
}

/* mems */

static const char *area_name(struct shown *shown, const VmaEntry *vma)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} kinds[] = {{1 << 1, "[stack]"}, {1 << 2, "[vsyscall]"}, {1 << 3, "[vdso]"},
		{1 << 5, "[heap]"}, {1 << 12, "[vvar]"}, {1 << 13, "[aio]"}, {1 << 16, "[guard]"}};
	const FileEntry *file;

	if (vma->status & (1 << 6 | 1 << 7 | 1 << 14)) {
		file = vma->shmid <= UINT32_MAX ? shown_file(shown, (uint32_t)vma->shmid) : NULL;
		return file ? shown_file_name(shown, file) : "unknown path";
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (vma->status & kinds[i].bit)
			return kinds[i].name;
	if (vma->status & (1 << 8 | 1 << 10))
		return arena_printf(&shown->arena, "[%s %" PRIu64 "]",
			vma->status & 1 << 8 ? "shared" : "sysv", vma->shmid);
	return vma->flags & 0x100 ? "[stack?]" : "";
}

static void print_area(struct shown *shown, const VmaEntry *vma, struct emitter *json)
{
	char prot[] = {vma->prot & 1 ? 'r' : '-', vma->prot & 2 ? 'w' : '-',
		vma->prot & 4 ? 'x' : '-', '\0'};
	const char *name = area_name(shown, vma);
	bool shared = vma->flags & 1;
	char range[64], offset[32] = "";

	if (json) {
		emit_object_begin(json);
		emit_u64(json, "start", vma->start);
		emit_u64(json, "end", vma->end);
		emit_text(json, "prot", prot);
		emit_text(json, "name", name);
		emit_u64(json, "offset", vma->pgoff);
		emit_key(json, "shared");
		emit_bool(json, shared);
		emit_object_end(json);
		return;
	}
	if (vma->pgoff && vma->status & (1 << 6 | 1 << 7 | 1 << 14))
		snprintf(offset, sizeof(offset), " + 0x%" PRIx64, vma->pgoff);
	snprintf(range, sizeof(range), "%08" PRIx64 "-%08" PRIx64, vma->start, vma->end);
	printf("\t%-36s%s%s%s%s%s\n", range, prot, name[0] ? " " : "", name, offset,
		shared ? " (s)" : "");
}

static int print_mems(
	struct shown *shown, const struct shown_task *task, struct emitter *json, struct error *err)
{
	const FileEntry *exe;
	const MmEntry *mm;
	int rc = shown_mm(shown, task, &mm, err);

	if (rc < 0 || !mm)
		return rc;
	exe = shown_file(shown, mm->exe_file_id);
	if (!json)
		printf("\t%-36s    %s\n", "exe",
			exe ? shown_file_name(shown, exe) : "unknown path");
	for (size_t i = 0; i < mm->n_vmas; i++)
		print_area(shown, mm->vmas[i], json);
	return 0;
}

static int view_mems(struct image_dir *dir, bool json, struct error *err)
{
	return view_tasks(dir, json, "areas", print_mems, err);
}

/* rss */

/* Pages of the checkpoint that lie in an area. Both lists are sorted in honest images, so that
 * *cursor only moves forward; of others the view is wrong, but as quick. */
static uint64_t pages_within(
	const PagemapEntry *const *pages, size_t count, const VmaEntry *vma, size_t *cursor)
{
	uint64_t sum = 0;

	for (; *cursor < count; (*cursor)++) {
		uint64_t first = pages[*cursor]->vaddr;
		uint64_t number =
			MIN(pagemap_pages(pages[*cursor]), (UINT64_MAX - first) / PAGE_SIZE);
		uint64_t last = first + number * PAGE_SIZE;

		if (MAX(first, vma->start) < MIN(last, vma->end))
			sum += (MIN(last, vma->end) - MAX(first, vma->start)) / PAGE_SIZE;
		/* One entry may reach into the next area. */
		if (last > vma->end)
			break;
	}
	return sum;
}

static int print_rss(
	struct shown *shown, const struct shown_task *task, struct emitter *json, struct error *err)
{
	const PagemapEntry **pages;
	const MmEntry *mm;
	size_t count, cursor = 0;
	int rc = shown_mm(shown, task, &mm, err);

	if (rc == 0)
		rc = shown_pages(shown, task, &pages, &count, err);
	if (rc < 0 || !mm)
		return rc;
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *vma = mm->vmas[i];
		uint64_t inside = pages_within(pages, count, vma, &cursor);

		if (!inside)
			continue;
		if (json) {
			emit_object_begin(json);
			emit_u64(json, "start", vma->start);
			emit_u64(json, "pages", inside);
			emit_u64(json, "size", (vma->end - vma->start) / PAGE_SIZE);
			emit_text(json, "name", area_name(shown, vma));
			emit_object_end(json);
		} else {
			printf("\t%016" PRIx64 "  %8" PRIu64 " of %8" PRIu64 "  %s\n", vma->start,
				inside, (vma->end - vma->start) / PAGE_SIZE, area_name(shown, vma));
		}
	}
	return 0;
}

static int view_rss(struct image_dir *dir, bool json, struct error *err)
{
	return view_tasks(dir, json, "areas", print_rss, err);
}

const struct show_view show_views[] = {
	{"ps", view_ps},
	{"fds", view_fds},
	{"mems", view_mems},
	{"rss", view_rss},
	{},
};

/* The summary */

static int emit_summary(struct shown *shown, const struct image_file *files, size_t count)
{
	struct emitter json = json_emitter();

	emit_object_begin(&json);
	emit_text(&json, "directory", image_dir_path(shown->dir));
	emit_key(&json, "tasks");
	emit_tree(&json, shown);
	emit_u64(&json, "open_files", shown->file_count);
	emit_key(&json, "images");
	emit_array_begin(&json, false);
	for (size_t i = 0; i < count; i++) {
		emit_object_begin(&json);
		emit_text(&json, "name", files[i].name);
		emit_u64(&json, "size", files[i].size);
		emit_object_end(&json);
	}
	emit_array_end(&json, false);
	emit_object_end(&json);
	putchar('\n');
	return 0;
}

/* Images of one type in one line: "core-*.img  5 files  12345 bytes". */
static void print_images(const struct image_file *files, size_t count)
{
	for (size_t i = 0; i < count;) {
		uint64_t bytes = 0;
		size_t first = i;

		while (i < count && files[i].type == files[first].type)
			bytes += files[i++].size;
		printf("  %-28s %6zu %14" PRIu64 "\n",
			i - first == 1 ? files[first].name : image_info(files[first].type)->name,
			i - first, bytes);
	}
}

int show_summary(struct image_dir *dir, bool json, struct error *err)
{
	_cleanup_(shown_deinit) struct shown shown = {};
	uint64_t pages = 0, total = 0, threads = 0;
	struct image_file *files;
	size_t count;
	int rc = shown_load(dir, &shown, err);

	if (rc == 0)
		rc = image_dir_list(dir, &shown.arena, &files, &count, err);
	if (rc < 0)
		return rc;
	if (json)
		return emit_summary(&shown, files, count);
	for (size_t i = 0; i < count; i++) {
		total += files[i].size;
		if (files[i].type == IMAGE_PAGES)
			pages += files[i].size / PAGE_SIZE;
	}
	for (size_t i = 0; i < shown.task_count; i++)
		threads += shown.tasks[i].tree->n_threads;
	print_tree(&shown);
	printf("\n%zu tasks, %" PRIu64 " threads, %zu open files, %" PRIu64 " pages (%.1f MiB)\n\n",
		shown.task_count, threads, shown.file_count, pages, (double)pages / 256);
	printf("  %-28s %6s %14s\n", "IMAGE", "FILES", "BYTES");
	print_images(files, count);
	printf("  %-28s %6zu %14" PRIu64 "\n", "all", count, total);
	return 0;
}
