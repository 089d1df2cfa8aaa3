/*
 * Open files of a real process: looked at and written while it is stopped, then opened again as a
 * restore does, in a process of its own that compares them with what /proc had said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "kinds/file/collect.h"

#define FDS_MAX 64

/* What can be seen of a descriptor. */
struct view {
	int fd;
	char link[256];
	uint32_t flags;
	int64_t pos, size;
	mode_t mode;
	nlink_t links;
	int waiting; /* bytes in a pipe */
};

struct fixture {
	char dir[64];
	char images[96];
	struct job job;
	struct arena arena;
	struct checkpoint checkpoint;
	struct problems problems;
	struct dump_context dump;
	struct view views[FDS_MAX];
	size_t view_count;
	struct task *task;
	pid_t child;
};

static const char *path_in(const struct fixture *f, const char *name)
{
	static char path[8][160];
	static unsigned next;

	next = (next + 1) % 8;
	snprintf(path[next], sizeof(path[next]), "%s/%s", f->dir, name);
	return path[next];
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/stasis-unit-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->images, sizeof(f->images), "%s/images", f->dir);
	assert_int_equal(mkdir(f->images, 0700), 0);
	job_init(&f->job);
	f->checkpoint.arena = &f->arena;
	f->dump = (struct dump_context){
		.job = &f->job,
		.arena = &f->arena,
		.checkpoint = &f->checkpoint,
		.problems = &f->problems,
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	if (f->child > 0) {
		kill(f->child, SIGKILL);
		waitpid(f->child, NULL, 0);
	}
	files_look_end(&f->dump);
	problems_deinit(&f->problems);
	job_deinit(&f->job);
	arena_deinit(&f->arena);
	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void view(pid_t pid, int fd, struct view *view)
{
	struct proc_fdinfo info;
	struct error err = ERROR_INIT;
	char path[64];
	struct stat st;
	ssize_t length;

	memset(view, 0, sizeof(*view));
	view->fd = fd;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	length = readlink(path, view->link, sizeof(view->link) - 1);
	assert_true(length > 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(procfs_read_fdinfo(pid, fd, &info, &err), 0);
	view->flags = info.flags & ~(uint32_t)O_CLOEXEC;
	view->pos = info.pos;
	view->mode = st.st_mode;
	view->size = st.st_size;
	view->links = st.st_nlink;
	proc_fdinfo_deinit(&info);
}

/* A child that has just the descriptors that `open_files` opens, from 3 on. */
static void start_child(struct fixture *f, void (*open_files)(const struct fixture *f))
{
	int ready[2];
	char byte;
	int *fds;
	size_t count;
	struct error err = ERROR_INIT;

	assert_int_equal(pipe(ready), 0);
	f->child = fork();
	if (f->child == 0) {
		int null = open("/dev/null", O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(null, 0);
		dup2(null, 1);
		dup2(ready[1], 900);
		close_range(2, 899, 0);
		open_files(f);
		close_range(901, ~0U, 0);
		if (write(900, "x", 1) != 1)
			_exit(1);
		close(900);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	assert_int_equal(procfs_read_fds(f->child, &fds, &count, &err), 0);
	for (size_t i = 0; i < count; i++)
		view(f->child, fds[i], &f->views[f->view_count++]);
	free(fds);
}

static void look(struct fixture *f)
{
	struct error err = ERROR_INIT;
	bool new;

	f->task = checkpoint_add_task(&f->checkpoint, NULL, f->child);
	f->task->state = TASK_ALIVE;
	f->task->fds = checkpoint_fd_table(&f->checkpoint, 2, &new);
	assert_int_equal(files_look_table(&f->dump, f->child, f->task->fds, &err), 0);
	assert_int_equal(files_look_fs(&f->dump, f->child, f->task, &err), 0);
	assert_int_equal(files_look_finish(&f->dump, &err), 0);
}

static void expect_no_problems(const struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		print_error("%s (%s)\n", problems->items[i].message, problems->items[i].hint);
	assert_int_equal(problems->count, 0);
}

static void save(struct fixture *f)
{
	struct error err = ERROR_INIT;

	assert_int_equal(image_dir_create(f->images, &f->dump.dir, &err), 0);
	if (files_save(&f->dump, &err) < 0 || dump_writers_close(&f->dump, &err) < 0 ||
		image_dir_commit(f->dump.dir, &err) < 0)
		fail_msg("%s", err.message);
	image_dir_destroy(f->dump.dir);
	assert_int_equal(undo_commit(f->dump.undo, &err), 0);
	undo_destroy(f->dump.undo);
	files_look_end(&f->dump);
	kill(f->child, SIGKILL);
	waitpid(f->child, NULL, 0);
	f->child = 0;
}

struct reopened {
	struct job job;
	struct arena arena;
	struct checkpoint checkpoint;
	struct problems problems;
	struct restore_context context;
};

static void load(const struct fixture *f, struct reopened *r)
{
	struct error err = ERROR_INIT;
	struct task *task;
	bool new;

	job_init(&r->job);
	r->checkpoint.arena = &r->arena;
	r->context = (struct restore_context){
		.job = &r->job,
		.arena = &r->arena,
		.checkpoint = &r->checkpoint,
		.problems = &r->problems,
	};
	if (image_dir_open(f->images, &r->context.dir, &err) < 0)
		fail_msg("%s", err.message);
	task = checkpoint_add_task(&r->checkpoint, NULL, f->task->pid);
	task->state = TASK_ALIVE;
	task->fds = checkpoint_fd_table(&r->checkpoint, 2, &new);
	if (files_load(&r->context, &err) < 0 || files_check(&r->context, &err) < 0)
		fail_msg("%s", err.message);
}

static void compare(const struct view *before, const struct view *now)
{
	/* Names with the number of an inode in them. */
	bool numbered = starts_with(before->link, "pipe:[") || strstr(before->link, "/#");

	if ((!numbered && strcmp(before->link, now->link) != 0) || before->flags != now->flags ||
		before->pos != now->pos || before->mode != now->mode || before->size != now->size ||
		before->links != now->links)
		fail_msg("descriptor %d: was %s flags %o pos %ld mode %o size %ld links %lu, is %s "
			 "flags %o pos %ld mode %o size %ld links %lu",
			before->fd, before->link, before->flags, before->pos, before->mode,
			before->size, before->links, now->link, now->flags, now->pos, now->mode,
			now->size, now->links);
}

/* Opens everything and compares. */
static void reopen(struct fixture *f, void (*more)(const struct fixture *f, const int *fds))
{
	struct reopened r = {};
	struct error err = ERROR_INIT;
	int fds[FDS_MAX] = {};
	const struct fd_table *table;

	load(f, &r);
	expect_no_problems(&r.problems);
	files_reserve(&r.context);
	if (files_open(&r.context, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(undo_commit(r.context.undo, &err), 0);
	undo_destroy(r.context.undo);
	table = r.checkpoint.tasks[0]->fds;
	assert_int_equal(table->count, f->view_count);
	for (size_t i = 0; i < table->count; i++) {
		struct view now;
		int fd = restore_file_fd(&r.context, table->entries[i]->id);

		assert_int_equal(table->entries[i]->fd, f->views[i].fd);
		view(getpid(), fd, &now);
		compare(&f->views[i], &now);
		fds[f->views[i].fd] = fd;
	}
	if (more)
		more(f, fds);
	files_close(&r.context);
	image_dir_destroy(r.context.dir);
	arena_deinit(&r.arena);
	job_deinit(&r.job);
}

/* Nothing but the images directory and `left` is in the fixture's directory. */
static void expect_entries(const struct fixture *f, int expected)
{
	char command[160];
	int count = 0;
	FILE *pipe;

	snprintf(command, sizeof(command), "ls -A %s | grep -cv '^images$'", f->dir);
	pipe = popen(command, "r");
	assert_int_equal(fscanf(pipe, "%d", &count), 1);
	pclose(pipe);
	assert_int_equal(count, expected);
}

static void open_plain(const struct fixture *f)
{
	int fd = open(path_in(f, "plain"), O_RDWR | O_CREAT, 0640); /* 2 */

	if (pwrite(fd, "0123456789", 10, 0) != 10 || lseek(fd, 5, SEEK_SET) != 5)
		_exit(1);
	dup2(fd, 3);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	(void)!open(path_in(f, "plain"), O_WRONLY | O_APPEND);
	(void)!open(path_in(f, "plain"), O_PATH);
	(void)!open(f->dir, O_RDONLY | O_DIRECTORY);
	(void)!open("/dev/urandom", O_RDONLY | O_NONBLOCK);
	(void)!open("/proc/meminfo", O_RDONLY);
	(void)!open(path_in(f, "plain"), O_RDONLY | O_NOATIME | O_NOFOLLOW);
	(void)!open(path_in(f, "odd\n (deleted)"), O_RDWR | O_CREAT | O_DSYNC, 0600);
	if (symlink("nowhere", path_in(f, "link")) < 0)
		_exit(1);
	(void)!open(path_in(f, "link"), O_PATH | O_NOFOLLOW);
}

static void plain(void **state)
{
	struct fixture *f = *state;

	start_child(f, open_plain);
	look(f);
	expect_no_problems(&f->problems);
	assert_int_equal(f->task->fds->entries[2]->id, f->task->fds->entries[3]->id);
	assert_int_equal(f->task->fds->entries[3]->flags, FD_CLOEXEC);
	assert_int_not_equal(f->task->fds->entries[4]->id, f->task->fds->entries[5]->id);
	save(f);
	reopen(f, NULL);
	reopen(f, NULL);
	expect_entries(f, 4); /* a name has two lines */
}

static void open_deleted(const struct fixture *f)
{
	const char *path = path_in(f, "gone");
	int fd = open(path, O_RDWR | O_CREAT, 0604); /* 2 */

	if (write(fd, "deleted content", 15) != 15)
		_exit(1);
	(void)!open(path, O_RDONLY); /* 3, another description */
	unlink(path);
	path = path_in(f, "sparse"); /* 4 */
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	if (pwrite(fd, "a", 1, 1 << 20) != 1 || ftruncate(fd, 1 << 22) < 0)
		_exit(1);
	unlink(path);
	(void)!open(f->dir, O_RDWR | O_TMPFILE, 0600); /* 5 */
	if (write(5, "nameless", 8) != 8)
		_exit(1);
	if (mkdir(path_in(f, "d"), 0711) < 0 || mkdir(path_in(f, "d/e"), 0700) < 0)
		_exit(1);
	(void)!open(path_in(f, "d/e"), O_RDONLY); /* 6 */
	(void)!open(path_in(f, "d/e/f"), O_RDWR | O_CREAT, 0600); /* 7 */
	unlink(path_in(f, "d/e/f"));
	if (chdir(path_in(f, "d")) < 0)
		_exit(1);
	rmdir(path_in(f, "d/e"));
	rmdir(path_in(f, "d"));
	/* 8: its name belongs to another file now, which stays as it is. */
	(void)!open(path_in(f, "taken"), O_RDWR | O_CREAT, 0600);
	unlink(path_in(f, "taken"));
}

static void check_deleted(const struct fixture *f, const int *fds)
{
	char text[32] = {};
	struct stat a, b;

	(void)f;
	assert_int_equal(pread(fds[2], text, sizeof(text), 0), 15);
	assert_string_equal(text, "deleted content");
	fstat(fds[2], &a);
	fstat(fds[3], &b);
	assert_int_equal(a.st_ino, b.st_ino);
	fstat(fds[4], &a);
	assert_true(a.st_blocks < 64);
	assert_int_equal(pread(fds[5], text, sizeof(text), 0), 8);
}

static void deleted(void **state)
{
	struct fixture *f = *state;
	const struct fd_table *table;

	start_child(f, open_deleted);
	look(f);
	expect_no_problems(&f->problems);
	table = f->task->fds;
	assert_int_not_equal(table->entries[2]->id, table->entries[3]->id);
	save(f);
	reopen(f, check_deleted);
	reopen(f, check_deleted);
	expect_entries(f, 0);
}

static void deleted_and_taken(void **state)
{
	struct fixture *f = *state;
	struct reopened r = {};
	struct error err = ERROR_INIT;
	struct stat st;
	int fd;

	start_child(f, open_deleted);
	look(f);
	save(f);
	fd = open(path_in(f, "taken"), O_RDWR | O_CREAT, 0600);
	assert_int_equal(write(fd, "other", 5), 5);
	close(fd);
	load(f, &r);
	expect_no_problems(&r.problems);
	files_reserve(&r.context);
	assert_int_equal(files_open(&r.context, &err), 0);
	assert_int_equal(undo_commit(r.context.undo, &err), 0);
	undo_destroy(r.context.undo);
	assert_int_equal(stat(path_in(f, "taken"), &st), 0);
	assert_int_equal(st.st_size, 5);
	expect_entries(f, 1);
	files_close(&r.context);
	image_dir_destroy(r.context.dir);
	arena_deinit(&r.arena);
	job_deinit(&r.job);
}

static void open_linked(const struct fixture *f)
{
	int fd = open(path_in(f, "first"), O_RDWR | O_CREAT, 0600);

	if (write(fd, "linked", 6) != 6 || link(path_in(f, "first"), path_in(f, "second")) < 0)
		_exit(1);
	unlink(path_in(f, "first"));
}

static void linked(void **state)
{
	struct fixture *f = *state;

	start_child(f, open_linked);
	look(f);
	assert_int_equal(f->problems.count, 1);
	assert_non_null(strstr(f->problems.items[0].hint, "--link-remap"));
	problems_deinit(&f->problems);
}

static void linked_remapped(void **state)
{
	struct fixture *f = *state;

	f->job.link_remap = true;
	start_child(f, open_linked);
	look(f);
	expect_no_problems(&f->problems);
	save(f);
	expect_entries(f, 2);
	reopen(f, NULL);
	expect_entries(f, 1);
}

static void open_pipes(const struct fixture *f)
{
	int ends[2];
	char path[32];

	(void)f;
	(void)!pipe2(ends, O_NONBLOCK); /* 2, 3 */
	(void)!write(3, "in the pipe", 11);
	(void)!pipe2(ends, O_DIRECT | O_NONBLOCK); /* 4, 5 */
	(void)!write(5, "four", 4);
	(void)!write(5, "sixsix", 6);
	(void)!pipe2(ends, 0); /* 6, 7 */
	close(7);
	(void)!pipe2(ends, 0); /* 7, 8 */
	close(7);
	(void)!open("/dev/null", O_RDONLY); /* 7 */
	snprintf(path, sizeof(path), "/proc/self/fd/2");
	(void)!open(path, O_RDWR); /* 9 */
	(void)!pipe2(ends, O_DIRECT | O_NONBLOCK); /* 10, 11 */
	(void)!write(11, "single packet", 13);
	fcntl(11, F_SETPIPE_SZ, 4096 * 4);
	if (mkfifo(path_in(f, "fifo"), 0600) < 0 || mkfifo(path_in(f, "deleted fifo"), 0600) < 0)
		_exit(1);
	(void)!open(path_in(f, "fifo"), O_RDWR); /* 12 */
	(void)!open(path_in(f, "fifo"), O_WRONLY); /* 13 */
	(void)!write(12, "in the fifo", 11);
	(void)!open(path_in(f, "deleted fifo"), O_RDONLY | O_NONBLOCK); /* 14 */
	(void)!open(path_in(f, "deleted fifo"), O_WRONLY); /* 15 */
	(void)!write(15, "gone", 4);
	unlink(path_in(f, "deleted fifo"));
}

static void check_pipes(const struct fixture *f, const int *fds)
{
	char text[64];
	int size;

	(void)f;
	assert_int_equal(ioctl(fds[9], FIONREAD, &size), 0);
	assert_int_equal(size, 11);
	assert_int_equal(read(fds[2], text, sizeof(text)), 11);
	assert_memory_equal(text, "in the pipe", 11);
	assert_int_equal(read(fds[4], text, sizeof(text)), 4);
	assert_int_equal(read(fds[4], text, 2), 2);
	assert_int_equal(read(fds[4], text, 2), -1);
	/* Nobody writes, nobody reads. */
	assert_int_equal(read(fds[6], text, 1), 0);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(write(fds[8], text, 1), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(fcntl(fds[10], F_GETPIPE_SZ), 4096 * 4);
	assert_int_equal(read(fds[10], text, 3), 3);
	assert_int_equal(read(fds[10], text, 3), -1);
	assert_int_equal(read(fds[12], text, sizeof(text)), 11);
	assert_int_equal(read(fds[14], text, sizeof(text)), 4);
}

static void pipes(void **state)
{
	struct fixture *f = *state;

	start_child(f, open_pipes);
	look(f);
	expect_no_problems(&f->problems);
	save(f);
	reopen(f, check_pipes);
	reopen(f, check_pipes);
	expect_entries(f, 1);
}

static int outside[2];

static void open_outside(const struct fixture *f)
{
	(void)f;
	dup2(outside[1], 2);
}

/* The write end of a pipe that the test holds the other end of: the restore is given another, or
 * it leads nowhere. */
static void outside_pipe(void **state)
{
	struct fixture *f = *state;
	struct reopened r = {};
	struct error err = ERROR_INIT;
	char resource[64], byte;
	struct stat st;
	int fd, other[2];

	assert_int_equal(pipe2(outside, O_CLOEXEC), 0);
	fd = outside[1];
	outside[1] = fcntl(fd, F_DUPFD_CLOEXEC, 901); /* out of reach of close_range */
	close(fd);
	start_child(f, open_outside);
	fstat(outside[0], &st);
	look(f);
	expect_no_problems(&f->problems);
	assert_true(checkpoint_file(&f->checkpoint, f->task->fds->entries[2]->id)
			    ->entry->pipe->peer_outside);
	save(f);
	assert_int_equal(pipe2(other, O_CLOEXEC), 0);
	load(f, &r);
	snprintf(resource, sizeof(resource), "fd[%d]:pipe:[%lu]", other[1], st.st_ino);
	job_list_add(&r.job, &r.job.inherit_fd, resource);
	expect_no_problems(&r.problems);
	files_reserve(&r.context);
	assert_int_equal(files_open(&r.context, &err), 0);
	fd = restore_file_fd(&r.context, r.checkpoint.tasks[0]->fds->entries[2]->id);
	assert_int_equal(write(fd, "y", 1), 1);
	assert_int_equal(read(other[0], &byte, 1), 1);
	for (size_t i = 0; i < 2; i++) {
		close(outside[i]);
		close(other[i]);
	}
	files_close(&r.context);
	image_dir_destroy(r.context.dir);
	arena_deinit(&r.arena);
	job_deinit(&r.job);
}

static void open_many(const struct fixture *f)
{
	(void)f;
	for (int i = 2; i < 60; i++)
		(void)!open(i % 3 ? "/dev/null" : "/dev/zero", O_RDONLY);
	for (int i = 10; i < 20; i++)
		dup2(i + 10, i);
}

/* Descriptions of one inode are told apart, and found again. */
static void many(void **state)
{
	struct fixture *f = *state;
	const struct fd_table *table;

	start_child(f, open_many);
	look(f);
	expect_no_problems(&f->problems);
	table = f->task->fds;
	assert_int_equal(table->count, 60);
	for (uint32_t i = 10; i < 20; i++)
		assert_int_equal(table->entries[i]->id, table->entries[i + 10]->id);
	/* 0 and 1 are one, ten are shared; and there are the working directory and the root. */
	assert_int_equal(f->checkpoint.file_count, 60 - 1 - 10 + 2);
	save(f);
	reopen(f, NULL);
}

static void open_dead(const struct fixture *f)
{
	pid_t child = fork();
	char path[64];

	(void)f;
	if (child == 0)
		for (;;)
			pause();
	snprintf(path, sizeof(path), "/proc/%d/status", child);
	(void)!open(path, O_RDONLY);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void check_dead(const struct fixture *f, const int *fds)
{
	char byte;

	(void)f;
	assert_int_equal(read(fds[2], &byte, 1), -1);
	assert_int_equal(errno, ESRCH);
}

static void dead_process(void **state)
{
	struct fixture *f = *state;

	start_child(f, open_dead);
	look(f);
	expect_no_problems(&f->problems);
	save(f);
	reopen(f, check_dead);
}

/* Everything that is wrong is found at once, and named. */
static void changed(void **state)
{
	struct fixture *f = *state;
	struct reopened r = {};
	static const char *const wanted[] = {
		"its size is 3", "permissions are 0666", "cannot be found"};

	start_child(f, open_plain);
	look(f);
	save(f);
	assert_int_equal(truncate(path_in(f, "plain"), 3), 0);
	assert_int_equal(chmod(path_in(f, "odd\n (deleted)"), 0666), 0);
	assert_int_equal(unlink(path_in(f, "link")), 0);
	load(f, &r);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		bool found = false;

		for (size_t p = 0; p < r.problems.count; p++)
			found = found || strstr(r.problems.items[p].message, wanted[i]);
		if (!found)
			fail_msg("nothing says \"%s\"", wanted[i]);
	}
	for (size_t p = 0; p < r.problems.count; p++)
		assert_int_equal(r.problems.items[p].class, ERROR_CONFLICT);
	files_close(&r.context);
	image_dir_destroy(r.context.dir);
	problems_deinit(&r.problems);
	arena_deinit(&r.arena);
	job_deinit(&r.job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(plain),
		T(deleted),
		T(deleted_and_taken),
		T(linked),
		T(linked_remapped),
		T(pipes),
		T(outside_pipe),
		T(many),
		T(dead_process),
		T(changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
