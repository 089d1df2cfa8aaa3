#include "model/checkpoint.h"

struct task *checkpoint_task(const struct checkpoint *checkpoint, pid_t pid)
{
	for (size_t i = 0; i < checkpoint->task_count; i++)
		if (checkpoint->tasks[i]->pid == pid)
			return checkpoint->tasks[i];
	return NULL;
}

struct file *checkpoint_file(const struct checkpoint *checkpoint, uint32_t id)
{
	size_t low = 0, high = checkpoint->file_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct file *file = &checkpoint->files[middle];

		if (file->id == id)
			return file;
		if (file->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

struct task *checkpoint_add_task(struct checkpoint *checkpoint, struct task *parent, pid_t pid)
{
	struct arena *arena = checkpoint->arena;
	struct task *task = arena_new(arena, struct task);

	task->pid = pid;
	task->parent = parent;
	checkpoint->tasks = arena_grow(arena, checkpoint->tasks, &checkpoint->task_capacity,
		checkpoint->task_count + 1, sizeof(struct task *));
	checkpoint->tasks[checkpoint->task_count++] = task;
	if (parent) {
		task->ppid = parent->pid;
		parent->children = arena_grow(arena, parent->children, &parent->child_capacity,
			parent->child_count + 1, sizeof(struct task *));
		parent->children[parent->child_count++] = task;
	}
	return task;
}

struct file *checkpoint_add_file(struct checkpoint *checkpoint)
{
	uint32_t id = 1;

	if (checkpoint->file_count)
		id = checkpoint->files[checkpoint->file_count - 1].id + 1;
	checkpoint->files = arena_grow(checkpoint->arena, checkpoint->files,
		&checkpoint->file_capacity, checkpoint->file_count + 1, sizeof(struct file));
	checkpoint->files[checkpoint->file_count] = (struct file){.id = id};
	return &checkpoint->files[checkpoint->file_count++];
}

struct fd_table *checkpoint_fd_table(struct checkpoint *checkpoint, uint32_t id, bool *ret_new)
{
	struct fd_table *table;

	*ret_new = false;
	for (size_t i = 0; i < checkpoint->fd_table_count; i++)
		if (checkpoint->fd_tables[i]->id == id)
			return checkpoint->fd_tables[i];
	table = arena_new(checkpoint->arena, struct fd_table);
	table->id = id;
	checkpoint->fd_tables = arena_grow(checkpoint->arena, checkpoint->fd_tables,
		&checkpoint->fd_table_capacity, checkpoint->fd_table_count + 1, sizeof(table));
	checkpoint->fd_tables[checkpoint->fd_table_count++] = table;
	*ret_new = true;
	return table;
}

struct address_space *checkpoint_space(struct checkpoint *checkpoint, uint32_t id, bool *ret_new)
{
	struct address_space *space;

	*ret_new = false;
	for (size_t i = 0; i < checkpoint->space_count; i++)
		if (checkpoint->spaces[i]->id == id)
			return checkpoint->spaces[i];
	space = arena_new(checkpoint->arena, struct address_space);
	space->id = id;
	checkpoint->spaces = arena_grow(checkpoint->arena, checkpoint->spaces,
		&checkpoint->space_capacity, checkpoint->space_count + 1, sizeof(space));
	checkpoint->spaces[checkpoint->space_count++] = space;
	*ret_new = true;
	return space;
}
