/*
 * Regular files, directories, O_PATH descriptors, and the few devices that are the same on every
 * machine: everything that a restore opens by its path. Files without a path any more are in
 * ghost.c, those of /proc/PID in procpid.c.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "kinds/file/state.h"

#define DELETED " (deleted)"
/* What F_GETFL can show of a file opened by path. open(2) itself keeps no O_CREAT, O_EXCL, O_NOCTTY
 * and O_TRUNC. */
#define KNOWN_FLAGS                                                                              \
	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_ASYNC | O_DIRECT |             \
		KERNEL_O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | \
		KERNEL_O_TMPFILE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC)

/* Devices without a state of their own. */
static bool device_is_plain(dev_t device)
{
	static const unsigned char minors[] = {3, 5, 7, 8, 9}; /* null zero full random urandom */

	if (major(device) != 1)
		return false;
	for (size_t i = 0; i < sizeof(minors); i++)
		if (minor(device) == minors[i])
			return true;
	return false;
}

/* Shared anonymous memory and the like look like deleted files at the root. */
static bool is_kernel_object(const struct file_source *source)
{
	return source->st.st_nlink == 0 && starts_with(source->link, "/memfd:");
}

static bool regular_recognise(const struct file_source *source)
{
	mode_t mode = source->st.st_mode;

	if (source->link[0] != '/' || is_kernel_object(source))
		return false;
	if (source->number < 0 || (source->info.flags & O_PATH))
		return true;
	return S_ISREG(mode) || S_ISDIR(mode) ||
	       (S_ISCHR(mode) && device_is_plain(source->st.st_rdev));
}

static bool same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static void describe_build_id(
	struct dump_context *context, const struct file_source *source, RegFileEntry *reg)
{
	_cleanup_(close_fd) int reopened = -1;
	int access = source->info.flags & O_ACCMODE, fd = source->fd;
	uint32_t words[BUILD_ID_WORDS];

	if (context->job->file_validation != FILE_VALIDATION_BUILDID || access == O_WRONLY ||
		source->st.st_size < 64)
		return;
	if (source->number < 0 || (source->info.flags & O_PATH))
		fd = reopened = files_reopen(fd, O_RDONLY | O_NONBLOCK);
	reg->n_build_id = fd < 0 ? 0 : elf_build_id(fd, words);
	if (reg->n_build_id)
		reg->build_id =
			arena_memdup(context->arena, words, reg->n_build_id * sizeof(uint32_t));
}

/* Where is the file, and is it still there? */
static int find_path(struct dump_context *context, const struct file_source *source,
	const struct file *file, RegFileEntry *reg, struct error *err)
{
	struct files_look *look = files_look_state(context);
	size_t length = strlen(source->link), suffix = strlen(DELETED);
	struct stat now = {};
	bool deleted = length > suffix && streq(source->link + length - suffix, DELETED);
	int rc = files_statat(look->root_fd, -1, source->link, &now);

	reg->name = arena_strdup(context->arena, source->link);
	if (rc == 0 && same_inode(&now, &source->st))
		return 0;
	if (procpid_look_dead(source, rc == 0 ? &now : NULL)) {
		if (deleted)
			reg->name[length - suffix] = '\0';
		return ghost_look_process(context, file->id, procpid_of_path(reg->name));
	}
	if (!deleted) {
		struct error *problem =
			files_obstacle(context, source, "is %s, but at that path there is %s",
				source->link, rc == 0 ? "another file" : "nothing");

		error_hint(problem, "unmount what hides it, or let the task close it");
		return 0;
	}
	reg->name[length - suffix] = '\0';
	rc = files_statat(look->root_fd, -1, reg->name, &now);
	if (rc == 0 && same_inode(&now, &source->st))
		return 0;
	if (source->st.st_nlink == 0 || S_ISDIR(source->st.st_mode))
		return ghost_look(context, source, file->id, reg->name, err);
	return ghost_look_linked(context, source, file->id, reg->name, err);
}

int regular_describe_path(struct dump_context *context, const struct file_source *source,
	const struct file *file, RegFileEntry **ret_entry, struct error *err)
{
	RegFileEntry *reg = arena_new(context->arena, RegFileEntry);

	reg_file_entry__init(reg);
	reg->id = file->id;
	reg->flags = source->info.flags & ~(uint32_t)O_CLOEXEC;
	reg->pos = (uint64_t)source->info.pos;
	reg->fown = files_look_owner(context, source);
	reg->has_mode = true;
	reg->mode = source->st.st_mode;
	if (S_ISREG(source->st.st_mode)) {
		reg->has_size = true;
		reg->size = (uint64_t)source->st.st_size;
		describe_build_id(context, source, reg);
	}
	*ret_entry = reg;
	return find_path(context, source, file, reg, err);
}

static int regular_describe(struct dump_context *context, const struct file_source *source,
	struct file *file, struct error *err)
{
	return regular_describe_path(context, source, file, &file->entry->reg, err);
}

static int regular_save(struct dump_context *context, struct error *err)
{
	return ghost_save(context, err);
}

/*
 * Restore.
 */

uint64_t files_open_flags(uint32_t flags)
{
	if (flags & O_PATH)
		return flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW);
	if (flags & KERNEL_O_TMPFILE)
		flags &= ~(uint32_t)O_TMPFILE;
	return (flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC | O_ASYNC)) | O_NOCTTY |
	       KERNEL_O_LARGEFILE;
}

static void check_build_id(struct restore_context *context, const struct file *file,
	const RegFileEntry *reg, int path_fd)
{
	_cleanup_(close_fd) int fd = -1;
	uint32_t words[BUILD_ID_WORDS];
	size_t count;

	if (!reg->n_build_id || context->job->file_validation != FILE_VALIDATION_BUILDID)
		return;
	fd = files_reopen(path_fd, O_RDONLY | O_NONBLOCK);
	count = fd < 0 ? 0 : elf_build_id(fd, words);
	if (count == reg->n_build_id && memcmp(words, reg->build_id, count * sizeof(*words)) == 0)
		return;
	error_hint(files_conflict(context, file,
			   "%s is another program than the one that was dumped (its build id "
			   "differs)",
			   reg->name),
		"bring back the old file, or dump with --file-validation filesize");
}

static void check_type_and_size(struct restore_context *context, const struct file *file,
	const RegFileEntry *reg, const struct stat *st)
{
	const char *name = reg->name;

	if (reg->has_size && S_ISREG(st->st_mode) && (uint64_t)st->st_size != reg->size)
		error_hint(files_conflict(context, file,
				   "%s has changed: its size is %lld, and was %llu when it was "
				   "dumped",
				   name, (long long)st->st_size, (unsigned long long)reg->size),
			"bring the file back as it was");
	if (reg->has_mode && ((reg->mode ^ st->st_mode) & 07777) &&
		!context->job->skip_file_rwx_check)
		error_hint(files_conflict(context, file,
				   "%s has changed: its permissions are %04o, and were %04o when "
				   "it was dumped",
				   name, st->st_mode & 07777, reg->mode & 07777),
			"chmod it back, or use --skip-file-rwx-check");
}

static const char *type_name(mode_t mode)
{
	return S_ISREG(mode)    ? "a regular file"
	       : S_ISDIR(mode)  ? "a directory"
	       : S_ISCHR(mode)  ? "a character device"
	       : S_ISBLK(mode)  ? "a block device"
	       : S_ISFIFO(mode) ? "a fifo"
	       : S_ISSOCK(mode) ? "a socket"
				: "a symbolic link";
}

static int check_openable(struct restore_context *context, const struct file *file,
	const RegFileEntry *reg, const struct stat *st)
{
	struct files_restore *state = files_restore_state(context);
	_cleanup_(close_fd) int fd = -1;

	if ((reg->flags & O_PATH) || S_ISFIFO(st->st_mode))
		return 0;
	if (S_ISCHR(st->st_mode) && !device_is_plain(st->st_rdev)) {
		files_conflict(context, file,
			"%s is device %u:%u, which this version cannot restore", reg->name,
			major(st->st_rdev), minor(st->st_rdev));
		return 0;
	}
	if (!S_ISCHR(st->st_mode) && !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)) {
		files_damage(context, file, "%s is %s, which is not opened as a file", reg->name,
			type_name(st->st_mode));
		return 0;
	}
	fd = files_openat(state->root_fd, reg->mnt_id, reg->name, files_open_flags(reg->flags));
	if (fd < 0)
		files_conflict(context, file, "%s cannot be opened as it was (flags %#o): %s",
			reg->name, reg->flags, strerrordesc_np(-fd));
	return 0;
}

/* --inherit-fd names files as CRIU does, without the first slash. */
static int inherited(const struct restore_context *context, const RegFileEntry *reg)
{
	int fd = files_inherited_resource(context, reg->name + 1);

	return fd >= 0 ? fd : files_inherited_resource(context, reg->name);
}

int regular_check_entry(struct restore_context *context, const struct file *file,
	const RegFileEntry *reg, struct error *err)
{
	struct files_restore *state = files_restore_state(context);
	_cleanup_(close_fd) int fd = -1;
	struct stat st;
	bool is_procpid = false;
	int rc;

	if (reg->name[0] != '/' || (reg->flags & ~(uint32_t)KNOWN_FLAGS) || reg->pos > INT64_MAX) {
		files_damage(context, file, "its path, flags (%#o) or position are impossible",
			reg->flags);
		return 0;
	}
	files_check_owner(context, file, reg->fown);
	if (inherited(context, reg) >= 0)
		return 0;
	if (ghost_has(context, file->id))
		return ghost_check(context, file, reg, err);
	rc = procpid_check(context, file, reg, &is_procpid, err);
	if (rc < 0 || is_procpid)
		return rc;
	fd = files_openat(state->root_fd, reg->mnt_id, reg->name,
		O_PATH | (reg->flags & O_PATH ? reg->flags & O_NOFOLLOW : 0));
	if (fd < 0 || fstat(fd, &st) < 0) {
		error_hint(files_conflict(context, file, "%s cannot be found: %s", reg->name,
				   strerrordesc_np(fd < 0 ? -fd : errno)),
			"bring the file back as it was when the tree was dumped");
		return 0;
	}
	if (reg->has_mode && ((reg->mode ^ st.st_mode) & S_IFMT)) {
		files_conflict(context, file, "%s is %s now, and was %s when it was dumped",
			reg->name, type_name(st.st_mode), type_name(reg->mode));
		return 0;
	}
	check_type_and_size(context, file, reg, &st);
	check_build_id(context, file, reg, fd);
	return check_openable(context, file, reg, &st);
}

static int regular_check(
	struct restore_context *context, const struct file *file, struct error *err)
{
	if (!file->entry->reg) {
		files_damage(context, file, "it says nothing about the file");
		return 0;
	}
	return regular_check_entry(context, file, file->entry->reg, err);
}

static int open_anywhere(struct restore_context *context, const struct file *file,
	const RegFileEntry *reg, int *ret_fd, struct error *err)
{
	struct files_restore *state = files_restore_state(context);
	bool is_procpid = false;
	int given = inherited(context, reg), rc;

	if (given >= 0) {
		/* As given, with its own flags: somebody else has opened it for this. */
		*ret_fd = fcntl(given, F_DUPFD_CLOEXEC, 0);
		return *ret_fd < 0 ? error_set(err, errno, "duplicating descriptor %d", given) : 0;
	}
	if (ghost_has(context, file->id))
		return ghost_open(context, file, reg, ret_fd, err);
	rc = procpid_open(context, file, reg, ret_fd, &is_procpid, err);
	if (rc < 0 || is_procpid)
		return rc;
	*ret_fd =
		files_openat(state->root_fd, reg->mnt_id, reg->name, files_open_flags(reg->flags));
	if (*ret_fd >= 0)
		return 0;
	rc = error_set(err, -*ret_fd, "opening %s (flags %#o)", reg->name, reg->flags);
	error_class(err, ERROR_CONFLICT);
	error_about_object(err, "%s", reg->name);
	return rc;
}

int regular_open_entry(struct restore_context *context, const struct file *file,
	const RegFileEntry *reg, int *ret_fd, struct error *err)
{
	_cleanup_(close_fd) int fd = -1;
	int rc = open_anywhere(context, file, reg, &fd, err);

	*ret_fd = -1;
	if (rc < 0 || fd < 0)
		return rc;
	if (!(reg->flags & O_PATH)) {
		if (reg->pos && lseek(fd, (off_t)reg->pos, SEEK_SET) < 0)
			return error_set(err, errno, "setting the position of %s to %llu",
				reg->name, (unsigned long long)reg->pos);
		rc = files_open_owner(reg->fown, fd, err);
		if (rc < 0)
			return rc;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

static int regular_open(
	struct restore_context *context, const struct file *file, int *ret_fd, struct error *err)
{
	const RegFileEntry *reg = file->entry->reg;
	mode_t mode = reg->mode;
	struct stat st;

	*ret_fd = -1;
	if (!reg->has_mode && files_statat(files_restore_state(context)->root_fd, reg->mnt_id,
				      reg->name, &st) == 0)
		mode = st.st_mode;
	/* The path of a fifo, whose own entry refers to this one: opening it here might wait. */
	if (S_ISFIFO(mode) && !(reg->flags & O_PATH))
		return 0;
	return regular_open_entry(context, file, file->entry->reg, ret_fd, err);
}

static int regular_attach(struct restore_context *context, const struct file *file,
	const FdinfoEntry *entry, struct thread_plan *plan, struct error *err)
{
	return procpid_attach(context, file, file->entry->reg, entry, plan, err);
}

const struct file_kind regular_kind = {
	.name = "file",
	.type = FD_TYPES__REG,
	.limits = "regular files, directories, O_PATH, and the devices null, zero, full, random, "
		  "urandom; extended attributes of deleted files are not kept",
	.recognise = regular_recognise,
	.describe = regular_describe,
	.save = regular_save,
	.load = ghost_load,
	.check = regular_check,
	.open = regular_open,
	.opened = ghost_opened,
	.attach = regular_attach,
};
