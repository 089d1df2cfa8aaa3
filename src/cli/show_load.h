#pragma once
/* The parts of a checkpoint that the views need, in memory. */
#include "file.pb-c.h"
#include "image/dir.h"
#include "memory.pb-c.h"
#include "task.pb-c.h"

/* What is known of one task; messages are NULL where it has no such image. */
struct shown_task {
	const PstreeEntry *tree;
	const CoreEntry *core;
	const TaskKobjIdsEntry *ids;
};

struct shown {
	struct image_dir *dir;
	struct arena arena;
	struct shown_task *tasks;
	size_t task_count;
	const FileEntry **files; /* sorted by id */
	size_t file_count;
};

int shown_load(struct image_dir *dir, struct shown *ret_shown, struct error *err);
void shown_deinit(struct shown *shown);
/* NULL when there is no file of that number. */
const FileEntry *shown_file(const struct shown *shown, uint32_t id);
/* An address space and its pages; *ret_mm is NULL for a task without one (a zombie). */
int shown_mm(struct shown *shown, const struct shown_task *task, const MmEntry **ret_mm,
	struct error *err);
int shown_pages(struct shown *shown, const struct shown_task *task, const PagemapEntry ***ret_pages,
	size_t *ret_count, struct error *err);
uint64_t pagemap_pages(const PagemapEntry *entry);
/* A short name of a file: its path, or kind and number. */
const char *shown_file_name(struct shown *shown, const FileEntry *file);
/* All entries of an image, or none when there is no such image. */
int shown_entries(struct shown *shown, enum image_type type, uint64_t id,
	ProtobufCMessage ***ret_entries, size_t *ret_count, struct error *err);
