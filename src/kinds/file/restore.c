/*
 * Restore: every open file is opened once, by the conductor, at a number above all that the images
 * use. The tree inherits it there, and ops give it the numbers that it had.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "base/testpoint.h"
#include "kinds/file/state.h"

/* The first inherited number is at least this far up: below, there has to be room for what the
 * conductor itself opens in the meantime. */
#define INHERITED_LOWEST 512
/* Room above the reserved numbers, for what others let the tree inherit. */
#define INHERITED_SLACK 64

struct files_restore *files_restore_state(struct restore_context *context)
{
	struct files_restore *state = context->files;

	if (state)
		return state;
	state = context->files = arena_new(context->arena, struct files_restore);
	state->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return state;
}

static const char *type_of(const struct file *file)
{
	const ProtobufCEnumValue *value =
		protobuf_c_enum_descriptor_get_value(&fd_types__descriptor, file->entry->type);

	return value ? value->name : "unknown";
}

static struct error *problem(struct restore_context *context, const struct file *file,
	enum error_class class, const char *text)
{
	struct error *err = problems_add(context->problems);

	if (class == ERROR_BAD_IMAGE)
		error_refuse(
			err, class, "files.img: file %u (%s): %s", file->id, type_of(file), text);
	else
		error_refuse(err, class, "%s", text);
	error_about_object(err, "file %u", file->id);
	return err;
}

struct error *files_damage(
	struct restore_context *context, const struct file *file, const char *format, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return problem(context, file, ERROR_BAD_IMAGE, text);
}

struct error *files_conflict(
	struct restore_context *context, const struct file *file, const char *format, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return problem(context, file, ERROR_CONFLICT, text);
}

int files_inherited_resource(const struct restore_context *context, const char *resource)
{
	const struct string_list *list = &context->job->inherit_fd;

	for (size_t i = 0; i < list->count; i++) {
		int fd, at = -1;

		if (sscanf(list->items[i], "fd[%d]:%n", &fd, &at) == 1 && at > 0 && fd >= 0 &&
			streq(list->items[i] + at, resource))
			return fd;
	}
	return -1;
}

/*
 * Reading.
 */

static int compare_files(const void *a, const void *b)
{
	const struct file *left = a, *right = b;

	return left->id < right->id ? -1 : left->id > right->id;
}

static int load_files(struct restore_context *context, struct error *err)
{
	struct checkpoint *checkpoint = context->checkpoint;
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	ProtobufCMessage *message;
	int rc = image_reader_open(context->dir, IMAGE_FILES, 0, &reader, err);

	if (rc <= 0)
		return rc;
	while ((rc = image_read(reader, context->arena, &message, err)) > 0) {
		FileEntry *entry = (FileEntry *)message;

		checkpoint->files =
			arena_grow(checkpoint->arena, checkpoint->files, &checkpoint->file_capacity,
				checkpoint->file_count + 1, sizeof(*checkpoint->files));
		checkpoint->files[checkpoint->file_count++] = (struct file){
			.id = entry->id,
			.kind = file_kind_of_type(entry->type),
			.entry = entry,
		};
	}
	/* CRIU's need not be in order. */
	if (checkpoint->file_count)
		qsort(checkpoint->files, checkpoint->file_count, sizeof(*checkpoint->files),
			compare_files);
	for (size_t i = 1; i < checkpoint->file_count && rc == 0; i++)
		if (checkpoint->files[i].id == checkpoint->files[i - 1].id)
			rc = error_refuse(err, ERROR_BAD_IMAGE, "files.img: file %u is there twice",
				checkpoint->files[i].id);
	return rc;
}

static int compare_entries(const void *a, const void *b)
{
	const FdinfoEntry *left = *(FdinfoEntry *const *)a, *right = *(FdinfoEntry *const *)b;

	return left->fd < right->fd ? -1 : left->fd > right->fd;
}

static int load_table(struct restore_context *context, struct fd_table *table, struct error *err)
{
	struct files_restore *state = files_restore_state(context);
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	ProtobufCMessage *message;
	int rc = image_reader_open(context->dir, IMAGE_FDINFO, table->id, &reader, err);

	if (rc <= 0)
		return rc;
	while ((rc = image_read(reader, context->arena, &message, err)) > 0) {
		table->entries = arena_grow(context->arena, table->entries, &table->capacity,
			table->count + 1, sizeof(*table->entries));
		table->entries[table->count++] = (FdinfoEntry *)message;
	}
	if (table->count)
		qsort(table->entries, table->count, sizeof(*table->entries), compare_entries);
	for (size_t i = 0; i < table->count && rc == 0; i++) {
		const FdinfoEntry *entry = table->entries[i];

		if (entry->fd > INT32_MAX / 2 || (i && table->entries[i - 1]->fd == entry->fd) ||
			(entry->flags & ~(uint32_t)FD_CLOEXEC))
			return error_refuse(err, ERROR_BAD_IMAGE,
				"fdinfo-%u.img: descriptor %u is there twice, or is impossible",
				table->id, entry->fd);
		state->highest_fd = MAX(state->highest_fd, (int)entry->fd);
	}
	return rc;
}

static int load_fs(struct restore_context *context, struct task *task, struct error *err)
{
	ProtobufCMessage *message;
	int rc;

	if (task->state != TASK_ALIVE && task->state != TASK_STOPPED)
		return 0;
	rc = image_read_single(
		context->dir, IMAGE_FS, (uint64_t)task->pid, context->arena, &message, err);
	if (rc >= 0)
		task->fs = (FsEntry *)message;
	return rc;
}

int files_load(struct restore_context *context, struct error *err)
{
	const struct checkpoint *checkpoint = context->checkpoint;
	int rc = load_files(context, err);

	for (size_t i = 0; i < checkpoint->fd_table_count && rc >= 0; i++)
		rc = load_table(context, checkpoint->fd_tables[i], err);
	for (size_t i = 0; i < checkpoint->task_count && rc >= 0; i++)
		rc = load_fs(context, checkpoint->tasks[i], err);
	for (size_t i = 0; file_kinds[i] && rc >= 0; i++)
		if (file_kinds[i]->load)
			rc = file_kinds[i]->load(context, err);
	return rc < 0 ? rc : 0;
}

/*
 * Checking.
 */

static void check_reference(struct restore_context *context, uint32_t id, const char *image,
	uint32_t image_id, const char *what)
{
	struct error *err;

	if (checkpoint_file(context->checkpoint, id))
		return;
	err = problems_add(context->problems);
	error_refuse(err, ERROR_BAD_IMAGE, "%s-%u.img: %s is file %u, which is not in files.img",
		image, image_id, what, id);
	error_about_object(err, "%s-%u.img", image, image_id);
}

static void check_table(struct restore_context *context, const struct fd_table *table)
{
	char what[32];

	for (size_t i = 0; i < table->count; i++) {
		const FdinfoEntry *entry = table->entries[i];
		const struct file *file = checkpoint_file(context->checkpoint, entry->id);

		snprintf(what, sizeof(what), "descriptor %u", entry->fd);
		if (!file)
			check_reference(context, entry->id, "fdinfo", table->id, what);
		else if (file->entry->type != entry->type)
			files_damage(context, file, "fdinfo-%u.img says that %s is of type %d",
				table->id, what, (int)entry->type);
	}
}

static void check_fs(struct restore_context *context, const struct task *task)
{
	const uint32_t ids[] = {task->fs->cwd_id, task->fs->root_id};
	static const char *const what[] = {"the working directory", "the root directory"};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		const struct file *file = checkpoint_file(context->checkpoint, ids[i]);

		check_reference(context, ids[i], "fs", (uint32_t)task->pid, what[i]);
		if (file && (!file->entry->reg || (file->entry->reg->has_mode &&
							  !S_ISDIR(file->entry->reg->mode))))
			files_damage(context, file, "fs-%d.img says that it is %s of task %d",
				task->pid, what[i], task->pid);
	}
}

static int check_file(struct restore_context *context, const struct file *file, struct error *err)
{
	if (file->kind)
		return file->kind->check ? file->kind->check(context, file, err) : 0;
	if (protobuf_c_enum_descriptor_get_value(&fd_types__descriptor, file->entry->type))
		error_hint(problem(context, file, ERROR_CANNOT_DUMP,
				   arena_printf(context->arena,
					   "file %u is of kind %s, which this version cannot "
					   "restore",
					   file->id, type_of(file))),
			"restore these images with CRIU");
	else
		files_damage(context, file, "its type %d is unknown", (int)file->entry->type);
	return 0;
}

static void check_limits(struct restore_context *context)
{
	struct files_restore *state = files_restore_state(context);
	uint64_t wanted = (uint64_t)MAX(state->highest_fd + 1, INHERITED_LOWEST) +
			  context->checkpoint->file_count + INHERITED_SLACK;
	struct rlimit limit;
	struct error *err;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	err = problems_add(context->problems);
	error_refuse(err, ERROR_KERNEL_LACKS,
		"restoring needs descriptors up to %llu, more than this process may open",
		(unsigned long long)wanted);
	error_hint(err, "raise the hard limit of open files (ulimit -Hn, fs.nr_open) to %llu",
		(unsigned long long)wanted);
}

int files_check(struct restore_context *context, struct error *err)
{
	const struct checkpoint *checkpoint = context->checkpoint;
	int rc = 0;

	for (size_t i = 0; i < checkpoint->fd_table_count; i++)
		check_table(context, checkpoint->fd_tables[i]);
	for (size_t i = 0; i < checkpoint->task_count; i++)
		if (checkpoint->tasks[i]->fs)
			check_fs(context, checkpoint->tasks[i]);
	check_limits(context);
	for (size_t i = 0; i < checkpoint->file_count && rc >= 0; i++)
		rc = check_file(context, &checkpoint->files[i], err);
	return rc;
}

/*
 * Numbers.
 */

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int own_highest_fd(void)
{
	_cleanup_(close_dir) DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int highest = 0;

	while (dir && (entry = readdir(dir)))
		highest = MAX(highest, atoi(entry->d_name));
	return highest;
}

int files_reserve_number(struct restore_context *context, const char *what)
{
	if (!context->inherited_base) {
		int highest = files_restore_state(context)->highest_fd;

		highest = MAX(highest, own_highest_fd());
		context->inherited_base = MAX(highest + 1, INHERITED_LOWEST);
	}
	context->inherited =
		arena_grow(context->arena, context->inherited, &context->inherited_capacity,
			context->inherited_count + 1, sizeof(*context->inherited));
	context->inherited[context->inherited_count] =
		(struct inherited_fd){.fd = -1, .what = what};
	return context->inherited_base + (int)context->inherited_count++;
}

int files_place(int number, int fd, const char *what, struct error *err)
{
	_cleanup_(close_fd) int owned = fd;
	int rc;

	if (fcntl(number, F_GETFD) >= 0)
		return error_set(err, EEXIST, "descriptor %d, meant for %s", number, what);
	if (dup2(owned, number) >= 0)
		return 0;
	rc = error_set(err, errno, "opening %s as descriptor %d", what, number);
	/* What the limit forbids is EBADF for dup2(2). */
	if (rc == -EBADF)
		error_hint(err, "raise the hard limit of open files (ulimit -Hn, fs.nr_open)");
	return rc;
}

void files_reserve(struct restore_context *context)
{
	struct files_restore *state = files_restore_state(context);
	const struct checkpoint *checkpoint = context->checkpoint;

	context->file_fds = arena_array(context->arena, int, checkpoint->file_count + 1);
	state->late_numbers = arena_array(context->arena, int, checkpoint->file_count + 1);
	for (size_t i = 0; i < checkpoint->file_count; i++) {
		const struct file *file = &checkpoint->files[i];
		const char *what = file->entry->reg ? file->entry->reg->name
						    : (file->kind ? file->kind->name : "a file");

		context->file_fds[i] = files_reserve_number(context, what);
	}
}

/*
 * The plan. The restore room closes what a puppet was born with before, and the inherited numbers
 * after it.
 */

/* Is `entry` the first descriptor of its file in the whole checkpoint? Then it sets the owner. */
static bool sets_owner(struct restore_context *context, const struct file *file)
{
	struct files_restore *state = files_restore_state(context);
	size_t index = (size_t)(file - context->checkpoint->files);

	if (!state->owner_planned)
		state->owner_planned =
			arena_array(context->arena, bool, context->checkpoint->file_count);
	if (state->owner_planned[index])
		return false;
	return state->owner_planned[index] = true;
}

static int plan_entry(struct restore_context *context, const FdinfoEntry *entry,
	struct thread_plan *plan, struct error *err)
{
	const struct file *file = checkpoint_file(context->checkpoint, entry->id);
	int from = restore_file_fd(context, entry->id), rc = 0;

	if (!files_is_late(context, file))
		batch_op(plan->phases[PHASE_FILES], "give an open file its number", SYS_dup3,
			VAL(from), VAL(entry->fd), VAL(entry->flags & FD_CLOEXEC ? O_CLOEXEC : 0));
	if (file->kind->attach)
		rc = file->kind->attach(context, file, entry, plan, err);
	if (rc >= 0 && sets_owner(context, file))
		rc = files_plan_owner(context, file, entry, plan);
	return rc;
}

int files_plan_table(struct restore_context *context, struct thread_plan *plan, struct error *err)
{
	const struct fd_table *table = plan->task->fds;
	int rc = 0;

	for (size_t i = 0; i < table->count && rc >= 0; i++)
		rc = plan_entry(context, table->entries[i], plan, err);
	return rc;
}

int files_plan_fs(struct restore_context *context, struct thread_plan *plan, struct error *err)
{
	const FsEntry *fs = plan->task->fs;
	/* Before PHASE_FILES, at whose end a task that shares our descriptors closes the inherited
	 * ones. */
	struct batch *batch = plan->phases[PHASE_MAP_LATE];
	const struct file *root;
	int root_fd, cwd_fd;

	if (!fs)
		return 0;
	root = checkpoint_file(context->checkpoint, fs->root_id);
	root_fd = restore_file_fd(context, fs->root_id);
	cwd_fd = restore_file_fd(context, fs->cwd_id);
	if (!root || root_fd < 0 || cwd_fd < 0)
		return error_refuse(err, ERROR_BAD_IMAGE,
			"task %d has no working directory or root in files.img", plan->task->pid);
	if (!streq(root->entry->reg->name, "/")) {
		batch_op(batch, "enter the root directory", SYS_fchdir, VAL(root_fd));
		batch_op(batch, "make it the root", SYS_chroot, IN(".", 2));
	}
	batch_op(batch, "enter the working directory", SYS_fchdir, VAL(cwd_fd));
	if (fs->has_umask)
		batch_op(batch, "set the umask", SYS_umask, VAL(fs->umask & 0777));
	return 0;
}

/*
 * Opening.
 */

static int open_file(struct restore_context *context, size_t index, struct error *err)
{
	const struct file *file = &context->checkpoint->files[index];
	int number = context->file_fds[index], fd = -1, rc;

	rc = file->kind->open(context, file, &fd, err);
	if (rc < 0 || fd < 0)
		return rc;
	rc = files_place(
		number, fd, context->inherited[number - context->inherited_base].what, err);
	if (rc >= 0)
		context->inherited[number - context->inherited_base].fd = number;
	return rc;
}

int files_open(struct restore_context *context, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < context->checkpoint->file_count && rc >= 0; i++)
		rc = open_file(context, i, err);
	for (size_t i = 0; file_kinds[i] && rc >= 0; i++)
		if (file_kinds[i]->opened)
			rc = file_kinds[i]->opened(context, err);
	if (rc >= 0) {
		rc = test_point("files-opened");
		if (rc < 0)
			return error_set(err, -rc, "opening files");
	}
	return rc;
}

void files_close(struct restore_context *context)
{
	struct files_restore *state = context->files;

	if (!state)
		return;
	ghost_close(state);
	pipe_content_close(state, false);
	pipe_content_close(state, true);
	for (size_t i = 0; i < context->inherited_count; i++)
		close_fd(&context->inherited[i].fd);
	close_fd(&state->root_fd);
	context->files = NULL;
}
