#include "undo/journal.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/shm.h>
#include <inttypes.h>
#include <limits.h>

#include "base/io.h"
#include "base/log.h"
#include "base/testpoint.h"
#include "kernel/procfs.h"

/*
 * The file is text, a record a line, each written with one write(2):
 *
 *	do ID f|s ACTION DEV INO PATH	an effect, undone on failure or done on success
 *	forget ID			it needs no undoing any more
 *	commit				the operation has succeeded
 *
 * Bytes of the path that are not graphic are written as %XX. A line without its newline was cut
 * short by a kill before the effect could happen, and counts for nothing.
 *
 * The owner's lock is a POSIX record lock, not flock(2): it must not live on in a child that was
 * forked from the owner.
 */

#define DEFAULT_DIRECTORY "/run/stasis"

struct record {
	uint32_t id;
	enum undo_when when;
	enum undo_action action;
	uint64_t dev, ino; /* 0, 0: any */
	char *path;
	bool forgotten;
};

struct undo_journal {
	char *directory;
	char *path; /* NULL while there is no file */
	int fd;
	struct record *records;
	size_t count;
	uint32_t next_id;
	bool committed; /* when it was read from disk */
};

static const char *const action_names[UNDO_ACTION_COUNT] = {
	[UNDO_UNLINK] = "unlink",
	[UNDO_RMDIR] = "rmdir",
	[UNDO_SHM_REMOVE] = "shm-remove",
};

struct undo_journal *undo_create(const char *directory)
{
	struct undo_journal *journal = xcalloc(1, sizeof(*journal));

	journal->directory = xstrdup(directory ?: DEFAULT_DIRECTORY);
	journal->fd = -1;
	journal->next_id = 1;
	return journal;
}

static void forget_records(struct undo_journal *journal)
{
	for (size_t i = 0; i < journal->count; i++)
		free(journal->records[i].path);
	free(journal->records);
	journal->records = NULL;
	journal->count = 0;
}

void undo_destroy(struct undo_journal *journal)
{
	if (!journal)
		return;
	forget_records(journal);
	close_fd(&journal->fd);
	free(journal->path);
	free(journal->directory);
	free(journal);
}

static void destroy_journal(struct undo_journal **journal)
{
	undo_destroy(*journal);
}

static int lock_file(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_SETLK, &lock) < 0 ? -errno : 0;
}

/* Opens and locks a file that is ours alone. Returns 1, 0 if the name was lost to somebody else, or
 * a negative errno. */
static int try_file(struct undo_journal *journal, const char *path)
{
	_cleanup_(close_fd) int fd =
		open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;
	int rc;

	if (fd < 0)
		return -errno;
	rc = lock_file(fd);
	if (rc == -EAGAIN || rc == -EACCES)
		return 0;
	/* Between open and lock, a cleanup may have taken it for a dead run's and removed it. */
	if (rc == 0 && fstat(fd, &st) < 0)
		rc = -errno;
	if (rc < 0)
		return rc;
	if (!st.st_nlink || st.st_size)
		return 0;
	journal->fd = take_fd(&fd);
	journal->path = xstrdup(path);
	return 1;
}

static int open_file(struct undo_journal *journal, struct error *err)
{
	struct proc_stat self;
	int rc;

	if (journal->fd >= 0)
		return 0;
	if (mkdir(journal->directory, 0700) < 0 && errno != EEXIST) {
		rc = error_set(err, errno, "creating %s for the undo journal", journal->directory);
		error_hint(err, "make %s writable", journal->directory);
		return rc;
	}
	rc = procfs_read_stat(getpid(), getpid(), &self, err);
	if (rc < 0)
		return rc;
	/* Pid and start time are unique in one pid namespace; the directory may be of several. */
	for (unsigned n = 0; n < 1000; n++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/journal-%d-%" PRIu64 "-%u", journal->directory,
			getpid(), self.start_time, n);
		rc = try_file(journal, path);
		if (rc != 0)
			break;
	}
	if (rc == 1)
		return 0;
	return error_set(
		err, rc < 0 ? -rc : EEXIST, "creating an undo journal in %s", journal->directory);
}

static void remove_file(struct undo_journal *journal)
{
	/* Removed while still locked, so that nobody takes it for a dead run's. */
	if (journal->path)
		unlink(journal->path);
	close_fd(&journal->fd);
	free_ptr(&journal->path);
}

static char *escape(const char *path)
{
	char *text = xcalloc(strlen(path) * 3 + 1, 1), *out = text;

	for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
		if (isgraph(*p) && *p != '%')
			*out++ = (char)*p;
		else
			out += sprintf(out, "%%%02X", *p);
	}
	return text;
}

static char *unescape(const char *text)
{
	char *path = xcalloc(strlen(text) + 1, 1), *out = path;

	while (*text) {
		unsigned byte;

		if (*text == '%' && sscanf(text + 1, "%2x", &byte) == 1 && byte) {
			*out++ = (char)byte;
			text += 3;
		} else {
			*out++ = *text++;
		}
	}
	return path;
}

static struct record *add_record(struct undo_journal *journal)
{
	journal->records =
		xreallocarray(journal->records, journal->count + 1, sizeof(*journal->records));
	journal->records[journal->count] = (struct record){};
	return &journal->records[journal->count++];
}

int undo_record(struct undo_journal *journal, enum undo_when when, enum undo_action action,
	const char *path, const struct stat *identity, uint32_t *ret_id, struct error *err)
{
	_cleanup_(free_ptr) char *escaped = escape(path), *line = NULL;
	struct record record = {.id = journal->next_id, .when = when, .action = action};
	int rc = open_file(journal, err);
	int length;

	if (rc < 0)
		return rc;
	if (identity) {
		record.dev = identity->st_dev;
		record.ino = identity->st_ino;
	}
	length = asprintf(&line, "do %u %c %s %" PRIu64 " %" PRIu64 " %s\n", record.id,
		when == UNDO_ON_SUCCESS ? 's' : 'f', action_names[action], record.dev, record.ino,
		escaped);
	if (length < 0)
		out_of_memory(strlen(escaped));
	rc = write_full(journal->fd, line, (size_t)length);
	if (rc < 0)
		return error_set(err, -rc, "writing the undo journal %s", journal->path);
	record.path = xstrdup(path);
	*add_record(journal) = record;
	journal->next_id++;
	if (ret_id)
		*ret_id = record.id;
	rc = test_point("undo-recorded");
	if (rc < 0)
		return error_set(err, -rc, "writing the undo journal %s", journal->path);
	return 0;
}

static struct record *find_record(struct undo_journal *journal, uint32_t id)
{
	for (size_t i = journal->count; i-- > 0;)
		if (journal->records[i].id == id)
			return &journal->records[i];
	return NULL;
}

void undo_forget(struct undo_journal *journal, uint32_t id)
{
	struct record *record = find_record(journal, id);
	char line[32];
	int length;

	if (!record || record->forgotten)
		return;
	record->forgotten = true;
	length = snprintf(line, sizeof(line), "forget %u\n", id);
	/* If this fails, a replay finds nothing to undo, which it accepts. */
	(void)write_full(journal->fd, line, (size_t)length);
}

static int remove_segment(const char *id)
{
	if (shmctl(atoi(id), IPC_RMID, NULL) < 0 && errno != EINVAL && errno != EIDRM)
		return -errno;
	log_debug("Undone: SysV shared memory segment %s", id);
	return 0;
}

/* Removes the very inode that was meant. That it is not there (any more) is fine. */
static int replay_record(const struct record *record)
{
	bool directory = record->action == UNDO_RMDIR;
	struct stat st;

	if (record->action == UNDO_SHM_REMOVE)
		return remove_segment(record->path);
	if (lstat(record->path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if ((record->dev || record->ino) && (st.st_dev != record->dev || st.st_ino != record->ino))
		return 0;
	if (S_ISDIR(st.st_mode) != directory)
		return 0;
	if ((directory ? rmdir(record->path) : unlink(record->path)) < 0 && errno != ENOENT)
		return -errno;
	log_debug("Undone: %s %s", action_names[record->action], record->path);
	return 0;
}

static int replay(struct undo_journal *journal, enum undo_when when, struct error *err)
{
	int rc = 0;

	for (size_t i = journal->count; i-- > 0;) {
		struct record *record = &journal->records[i];
		int result;

		if (record->forgotten || record->when != when)
			continue;
		result = replay_record(record);
		if (result == 0) {
			record->forgotten = true;
			continue;
		}
		if (rc == 0)
			rc = error_set(err, -result, "undoing: %s of %s",
				action_names[record->action], record->path);
	}
	if (rc < 0)
		error_hint(err, "run `stasis cleanup` when the cause is gone");
	return rc;
}

/* Ends a replay. What could not be done stays on disk for another time. */
static int finish(struct undo_journal *journal, int rc)
{
	if (rc < 0)
		return rc;
	remove_file(journal);
	forget_records(journal);
	return 0;
}

int undo_commit(struct undo_journal *journal, struct error *err)
{
	int rc;

	if (!journal || journal->fd < 0)
		return 0;
	/* From here on a replay by somebody else does the same as we do now. */
	rc = write_full(journal->fd, "commit\n", 7);
	if (rc < 0)
		return error_set(err, -rc, "writing the undo journal %s", journal->path);
	(void)test_point("undo-committed");
	return finish(journal, replay(journal, UNDO_ON_SUCCESS, err));
}

int undo_rollback(struct undo_journal *journal, struct error *err)
{
	if (!journal || journal->fd < 0)
		return 0;
	return finish(journal, replay(journal, UNDO_ON_FAILURE, err));
}

static void parse_line(struct undo_journal *journal, const char *line)
{
	char when, action[16], *path;
	uint64_t dev, ino;
	uint32_t id;
	int at = -1;

	if (streq(line, "commit")) {
		journal->committed = true;
	} else if (sscanf(line, "forget %u", &id) == 1) {
		struct record *record = find_record(journal, id);

		if (record)
			record->forgotten = true;
	} else if (sscanf(line, "do %u %c %15s %" SCNu64 " %" SCNu64 " %n", &id, &when, action,
			   &dev, &ino, &at) == 5 &&
		   at > 0) {
		for (size_t i = 0; i < UNDO_ACTION_COUNT; i++) {
			if (!streq(action, action_names[i]))
				continue;
			path = unescape(line + at);
			*add_record(journal) = (struct record){
				.id = id,
				.when = when == 's' ? UNDO_ON_SUCCESS : UNDO_ON_FAILURE,
				.action = (enum undo_action)i,
				.dev = dev,
				.ino = ino,
				.path = path,
			};
		}
	}
}

/* Takes over a journal whose owner is dead. Returns 1 when it was one, 0 when the owner lives. */
static int cleanup_one(const char *directory, const char *name, struct error *err)
{
	_cleanup_(destroy_journal) struct undo_journal *journal = undo_create(directory);
	_cleanup_(free_ptr) char *text = NULL;
	char path[PATH_MAX];
	struct stat st;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	journal->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (journal->fd < 0)
		return errno == ENOENT ? 0 : error_set(err, errno, "opening %s", path);
	rc = lock_file(journal->fd);
	if (rc == -EAGAIN || rc == -EACCES)
		return 0;
	if (rc < 0)
		return error_set(err, -rc, "locking the undo journal %s", path);
	/* Others who were faster have removed it. */
	if (fstat(journal->fd, &st) < 0 || st.st_nlink == 0)
		return 0;
	/* Not by path: closing another descriptor of the file would drop the lock. */
	text = xcalloc((size_t)st.st_size + 1, 1);
	if (pread_full(journal->fd, text, (size_t)st.st_size, 0) < 0)
		return error_set(err, errno, "reading the undo journal %s", path);
	journal->path = xstrdup(path);
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		parse_line(journal, line);
	}
	log_warn("Cleaning up after a run that was killed (%s)", path);
	rc = finish(journal,
		replay(journal, journal->committed ? UNDO_ON_SUCCESS : UNDO_ON_FAILURE, err));
	return rc < 0 ? rc : 1;
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

int undo_cleanup_stale(const char *directory, unsigned *ret_count, struct error *err)
{
	_cleanup_(close_dir) DIR *dir = NULL;
	struct dirent *entry;
	unsigned count = 0;
	int rc = 0;

	directory = directory ?: DEFAULT_DIRECTORY;
	dir = opendir(directory);
	while (dir && (entry = readdir(dir))) {
		struct error failure = ERROR_INIT;
		int result;

		if (!starts_with(entry->d_name, "journal-"))
			continue;
		/* Opening and closing our own would drop our lock on it. */
		if (atoi(entry->d_name + strlen("journal-")) == getpid())
			continue;
		result = cleanup_one(directory, entry->d_name, &failure);
		if (result < 0 && rc == 0) {
			*err = failure;
			rc = result;
		} else if (result > 0) {
			count++;
		}
	}
	*ret_count = count;
	return rc;
}

void undo_cleanup_quietly(void)
{
	struct error err = ERROR_INIT;
	unsigned count;

	if (undo_cleanup_stale(NULL, &count, &err) < 0)
		log_warn("%s (%s)", err.message, err.hint);
}
