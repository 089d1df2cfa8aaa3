/*
 * Dump, looking: the address space of a stopped task is described from outside.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "kinds/file/collect.h"
#include "memory/internal.h"

/* Of areas that cannot be dumped, this many are named for each task. */
#define REFUSALS_NAMED 20

/* A file that areas map, as files_look_mapped() has numbered it. */
struct mapped_file {
	struct mapped_file *next; /* same device, inode and flags by another name */
	const char *name;
	uint32_t id;
};

/* The device of shared anonymous memory is that of a piece of our own. */
static int find_shm_device(struct classify_facts *facts, struct error *err)
{
	_cleanup_(close_fd) int fd = memfd_create("stasis", MFD_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, errno, "finding the device of shared memory");
	facts->shm_major = major(st.st_dev);
	facts->shm_minor = minor(st.st_dev);
	return 0;
}

int dump_memory_get(
	struct dump_context *context, struct dump_memory **ret_memory, struct error *err)
{
	struct dump_memory *memory = context->memory;
	int rc;

	if (!memory) {
		memory = arena_new(context->arena, struct dump_memory);
		memory->facts.allow_uprobes = context->job->allow_uprobes;
		memory->last_object = &memory->first_object;
		memory->next_pages_id = 1;
		rc = find_shm_device(&memory->facts, err);
		if (rc < 0)
			return rc;
		context->memory = memory;
	}
	*ret_memory = memory;
	return 0;
}

struct dumped_space *dumped_space(const struct address_space *space)
{
	return space ? space->memory : NULL;
}

int map_files_open(int map_files, const struct smaps_area *smaps, int flags)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%llx-%llx", (unsigned long long)smaps->start,
		(unsigned long long)smaps->end);
	fd = openat(map_files, name, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void refuse_area(struct dump_context *context, struct dumped_space *space,
	const struct smaps_area *smaps, const struct refusal *refusal)
{
	struct error *problem = problems_add(context->problems);

	error_refuse(problem, ERROR_CANNOT_DUMP, "task %d: the area at %llx-%llx%s%s %s",
		space->pid, (unsigned long long)smaps->start, (unsigned long long)smaps->end,
		smaps->name[0] ? " " : "", smaps->name, refusal->what);
	if (refusal->hint)
		error_hint(problem, "%s", refusal->hint);
	error_about_object(problem, "%llx-%llx", (unsigned long long)smaps->start,
		(unsigned long long)smaps->end);
	error_about_task(problem, space->pid);
}

/* Opening a device may do things; a mapped one is refused, but /dev/zero, which is plain memory. */
static bool is_foreign_device(int map_files, const struct smaps_area *smaps)
{
	char name[64];
	struct stat st;

	snprintf(name, sizeof(name), "%llx-%llx", (unsigned long long)smaps->start,
		(unsigned long long)smaps->end);
	if (fstatat(map_files, name, &st, 0) < 0)
		return false;
	return !S_ISREG(st.st_mode) &&
	       !(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 5) && !smaps->shared);
}

static int look_file(struct dump_context *context, struct dumped_space *space, int map_files,
	const struct smaps_area *smaps, struct area *area, struct error *err)
{
	struct dump_memory *memory = context->memory;
	static const struct refusal device = {
		"maps a device", "let the program close the device before the dump"};
	uint32_t flags = smaps->flags & SMAPS_SHARED ? O_RDWR : O_RDONLY;
	struct table_key key = {(uint64_t)smaps->major << 32 | smaps->minor, smaps->inode, flags};
	struct mapped_file *first = table_get(&memory->files, key), *file;
	char name[64];
	_cleanup_(free_ptr) char *link = NULL;
	int fd, rc;

	area->vma->has_fdflags = true;
	area->vma->fdflags = flags;
	for (file = first; file; file = file->next) {
		if (streq(file->name, smaps->name)) {
			area->vma->shmid = file->id;
			return 0;
		}
	}
	if (is_foreign_device(map_files, smaps)) {
		refuse_area(context, space, smaps, &device);
		return 0;
	}
	snprintf(name, sizeof(name), "map_files/%llx-%llx", (unsigned long long)smaps->start,
		(unsigned long long)smaps->end);
	rc = procfs_read_link(space->pid, name, &link, err);
	if (rc < 0)
		return rc;
	fd = map_files_open(map_files, smaps, O_RDONLY);
	if (fd < 0)
		fd = map_files_open(map_files, smaps, O_PATH);
	if (fd < 0) {
		rc = error_set(err, -fd, "opening the file %s that task %d maps", link, space->pid);
		error_about_task(err, space->pid);
		return rc;
	}
	file = arena_new(context->arena, struct mapped_file);
	file->next = first;
	file->name = smaps->name;
	rc = files_look_mapped(context, space->pid, fd, flags, link, &file->id, err);
	if (rc < 0)
		return rc;
	table_put(&memory->files, context->arena, key, file);
	area->vma->shmid = file->id;
	return 0;
}

/* PR_SET_VMA_ANON_NAME: "[anon:NAME]" */
static void keep_anon_name(
	struct dump_context *context, const struct smaps_area *smaps, VmaEntry *vma)
{
	size_t length = strlen(smaps->name);

	if (!starts_with(smaps->name, "[anon:"))
		return;
	vma->anon_name = arena_strdup(context->arena, smaps->name + strlen("[anon:"));
	if (smaps->name[length - 1] == ']')
		vma->anon_name[strlen(vma->anon_name) - 1] = '\0';
}

/* The kernel has vvar in pieces of its own; CRIU's images have one area. */
static bool joins_last_vvar(const struct dumped_space *space, const struct smaps_area *smaps)
{
	const struct area *last = space->area_count ? &space->areas[space->area_count - 1] : NULL;

	return last && last->type == AREA_VVAR && last->vma->end == smaps->start;
}

static void look_aio(struct dump_context *context, MmEntry *mm, const struct smaps_area *smaps)
{
	AioRingEntry *ring = arena_new(context->arena, AioRingEntry);
	uint64_t length = smaps->end - smaps->start;
	size_t capacity = mm->n_aios;

	aio_ring_entry__init(ring);
	ring->id = smaps->start;
	ring->ring_len = (uint32_t)length;
	/* io_setup(n) makes room for at least 2 * (n + 1) events of 32 bytes behind a header of 32,
	 * in whole pages: the largest n that fits gives a ring of this length again. */
	ring->nr_req = (uint32_t)(((length - 32) / 32) / 2 - 1);
	mm->aios =
		arena_grow(context->arena, mm->aios, &capacity, mm->n_aios + 1, sizeof(*mm->aios));
	mm->aios[mm->n_aios++] = ring;
}

static int look_area(struct dump_context *context, struct dumped_space *space, int map_files,
	const struct smaps_area *smaps, VmaEntry *vma, size_t *refused, struct error *err)
{
	struct dump_memory *memory = context->memory;
	struct area *area = &space->areas[space->area_count];
	struct refusal refusal;

	vma_entry__init(vma);
	area->vma = vma;
	area->type = area_classify(smaps, &memory->facts, vma, &refusal);
	area->has_pages = smaps->resident || smaps->anonymous || smaps->swapped;
	area->guards = smaps->flags & SMAPS_GUARD;
	switch (area->type) {
	case AREA_REFUSED:
		if ((*refused)++ < REFUSALS_NAMED)
			refuse_area(context, space, smaps, &refusal);
		return 0;
	case AREA_VVAR:
		if (joins_last_vvar(space, smaps)) {
			area[-1].vma->end = smaps->end;
			return 0;
		}
		break;
	case AREA_FILE: {
		int rc = look_file(context, space, map_files, smaps, area, err);

		if (rc < 0)
			return rc;
		/* Of a file's area only copied pages are ours. */
		area->has_pages = !smaps->shared && (smaps->anonymous || smaps->swapped);
		break;
	}
	case AREA_MEMFD:
	case AREA_SHARED_ANON:
	case AREA_SYSV: {
		int rc = shared_object_look(context, space, map_files, smaps, area, err);

		if (rc < 0)
			return rc;
		area->has_pages = !smaps->shared && (smaps->anonymous || smaps->swapped);
		break;
	}
	case AREA_ANON:
		keep_anon_name(context, smaps, vma);
		break;
	case AREA_AIO:
		look_aio(context, space->space->mm, smaps);
		break;
	default:
		break;
	}
	space->area_count++;
	return 0;
}

/* shmat(2) attaches a segment as a whole: one that was unmapped in part has no way back. Areas of
 * one attachment follow each other, with different protections. */
static void check_attachments(struct dump_context *context, struct dumped_space *space)
{
	for (size_t i = 0, j; i < space->area_count; i = j) {
		const struct area *area = &space->areas[i];
		uint64_t end = area->vma->end, offset = area->vma->pgoff;
		struct error *problem;

		for (j = i + 1; area->type == AREA_SYSV && j < space->area_count; j++) {
			const struct area *next = &space->areas[j];

			if (next->object != area->object || next->vma->start != end ||
				next->vma->pgoff != offset + (end - area->vma->start))
				break;
			end = next->vma->end;
		}
		if (area->type != AREA_SYSV ||
			(!offset && end - area->vma->start == PAGE_UP(area->object->size)))
			continue;
		problem = problems_add(context->problems);
		error_refuse(problem, ERROR_CANNOT_DUMP,
			"task %d has only a part of the SysV shared memory segment %llu attached, "
			"at %llx",
			space->pid, (unsigned long long)area->object->inode,
			(unsigned long long)area->vma->start);
		error_hint(problem, "let the program detach it, or keep it whole");
		error_about_task(problem, space->pid);
	}
}

static int look_areas(struct dump_context *context, struct dumped_space *space, struct error *err)
{
	_cleanup_(close_fd) int map_files =
		procfs_open(space->pid, "map_files", O_RDONLY | O_DIRECTORY, err);
	struct smaps_area *smaps;
	size_t count, refused = 0;
	VmaEntry *vmas;
	int rc;

	if (map_files < 0)
		return map_files;
	rc = smaps_read(space->pid, context->arena, &smaps, &count, err);
	if (rc < 0)
		return rc;
	space->areas = arena_array(context->arena, struct area, count);
	vmas = arena_array(context->arena, VmaEntry, count);
	for (size_t i = 0; i < count; i++) {
		rc = look_area(context, space, map_files, &smaps[i], &vmas[i], &refused, err);
		if (rc < 0)
			return rc;
	}
	check_attachments(context, space);
	if (refused > REFUSALS_NAMED) {
		struct error *problem = problems_add(context->problems);

		error_refuse(problem, ERROR_CANNOT_DUMP, "task %d: %zu more areas cannot be dumped",
			space->pid, refused - REFUSALS_NAMED);
		error_about_task(problem, space->pid);
	}
	return 0;
}

static int look_numbers(struct dump_context *context, pid_t pid, MmEntry *mm, struct error *err)
{
	_cleanup_(free_ptr) char *auxv = NULL;
	struct proc_stat stat;
	size_t size;
	int rc = procfs_read_stat(pid, pid, &stat, err);

	if (rc < 0)
		return rc;
	mm->mm_start_code = stat.start_code;
	mm->mm_end_code = stat.end_code;
	mm->mm_start_data = stat.start_data;
	mm->mm_end_data = stat.end_data;
	mm->mm_start_stack = stat.start_stack;
	mm->mm_start_brk = stat.start_brk;
	mm->mm_arg_start = stat.arg_start;
	mm->mm_arg_end = stat.arg_end;
	mm->mm_env_start = stat.env_start;
	mm->mm_env_end = stat.env_end;
	rc = procfs_read_file(pid, "auxv", &auxv, &size, err);
	if (rc < 0)
		return rc;
	mm->n_mm_saved_auxv = size / sizeof(uint64_t);
	mm->mm_saved_auxv = arena_memdup(context->arena, auxv, size);
	/* AT_NULL at the end is implied. */
	while (mm->n_mm_saved_auxv >= 2 && !mm->mm_saved_auxv[mm->n_mm_saved_auxv - 2])
		mm->n_mm_saved_auxv -= 2;
	return files_look_exe(context, pid, &mm->exe_file_id, err);
}

int memory_look(struct dump_context *context, pid_t pid, struct task *task, struct error *err)
{
	struct dump_memory *memory;
	struct dumped_space *space;
	MmEntry *mm;
	int rc;

	if (task->space->mm)
		return 0; /* shared with a task that was looked at */
	rc = dump_memory_get(context, &memory, err);
	if (rc < 0)
		return rc;
	mm = arena_new(context->arena, MmEntry);
	mm_entry__init(mm);
	space = arena_new(context->arena, struct dumped_space);
	space->space = task->space;
	space->pid = pid;
	task->space->mm = mm;
	task->space->memory = space;
	memory->spaces = arena_grow(context->arena, memory->spaces, &memory->space_capacity,
		memory->space_count + 1, sizeof(space));
	memory->spaces[memory->space_count++] = space;
	rc = look_numbers(context, pid, mm, err);
	if (rc < 0)
		return rc;
	return look_areas(context, space, err);
}

void memory_look_end(struct dump_context *context)
{
	struct dump_memory *memory = context->memory;

	if (!memory)
		return;
	for (size_t i = 0; i < memory->space_count; i++) {
		page_ranges_deinit(&memory->spaces[i]->ranges);
		page_ranges_deinit(&memory->spaces[i]->guards);
		memory->spaces[i]->space->memory = NULL;
	}
	memory->space_count = 0;
}

const struct memory_stats *memory_dump_stats(const struct dump_context *context)
{
	static const struct memory_stats none;
	const struct dump_memory *memory = context->memory;

	return memory ? &memory->stats : &none;
}
