/*
 * The commit survives a kill at any instant.
 *
 * A child replaces checkpoint A with checkpoint B and is killed: at each of its system calls in
 * turn (it is traced), and at random instants. Whatever is left must be A or B, whole, to us; to a
 * program that knows only the images' names (CRIU) it must be A, B, or no checkpoint at all.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"
#include "image/dir.h"
#include "inventory.pb-c.h"
#include "memory.pb-c.h"
#include "task.pb-c.h"

static char directory[64];

#define assert_ok(rc, err)                             \
	do {                                           \
		if ((rc) < 0)                          \
			fail_msg("%s", (err).message); \
	} while (0)

static int shell(const char *format, const char *argument)
{
	char command[256];

	snprintf(command, sizeof(command), format, argument);
	return system(command);
}

static int make_directory(void **state)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)state;
	snprintf(directory, sizeof(directory), "%s/stasis-commit-XXXXXX", base);
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return shell("rm -rf '%s'", directory);
}

/* Version v has the tasks v and 3, v pages in each, and v in every image. */
static int write_version(uint32_t version, bool durable, struct error *err)
{
	_cleanup_(image_dir_cleanup) struct image_dir *dir = NULL;
	InventoryEntry inventory = INVENTORY_ENTRY__INIT;
	PagemapHead head = PAGEMAP_HEAD__INIT;
	uint32_t tasks[] = {version, 3};
	int rc = image_dir_create(directory, &dir, err);

	if (rc < 0)
		return rc;
	image_dir_set_durable(dir, durable);
	inventory.img_version = head.pages_id = version;
	rc = image_write_single(dir, IMAGE_INVENTORY, 0, &inventory.base, err);
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(tasks); i++) {
		_cleanup_(close_fd) int fd = -1;
		char page[4096];

		memset(page, (int)version, sizeof(page));
		rc = image_write_single(dir, IMAGE_PAGEMAP, tasks[i], &head.base, err);
		if (rc == 0)
			rc = image_create_raw(dir, IMAGE_PAGES, tasks[i], &fd, err);
		for (uint32_t n = 0; rc == 0 && n < version; n++)
			rc = write_full(fd, page, sizeof(page));
	}
	if (rc == 0 && version == 2)
		rc = image_dir_set_parent(dir, "../base", err);
	return rc < 0 ? rc : image_dir_commit(dir, err);
}

/* Which version the directory holds, all of it; 0 when it is refused. */
static uint32_t whole_version(char *ret_refusal, size_t size)
{
	_cleanup_(image_dir_cleanup) struct image_dir *dir = NULL;
	struct error err = ERROR_INIT;
	struct problems problems = {};
	struct image_file *files;
	struct arena arena = {};
	ProtobufCMessage *entry;
	uint32_t version;
	size_t count;

	if (image_dir_open(directory, &dir, &err) < 0) {
		assert_int_equal(err.class, ERROR_BAD_IMAGE);
		snprintf(ret_refusal, size, "%s", err.message);
		return 0;
	}
	assert_ok(image_read_single(dir, IMAGE_INVENTORY, 0, &arena, &entry, &err), err);
	version = ((InventoryEntry *)entry)->img_version;
	assert_ok(image_dir_list(dir, &arena, &files, &count, &err), err);
	assert_int_equal(count, 5);
	for (size_t i = 0; i < count; i++) {
		assert_true(files[i].id == 0 || files[i].id == 3 || files[i].id == version);
		if (files[i].type == IMAGE_PAGES)
			assert_int_equal(files[i].size, version * 4096);
		if (files[i].type != IMAGE_PAGEMAP)
			continue;
		assert_ok(image_read_single(dir, IMAGE_PAGEMAP, files[i].id, &arena, &entry, &err),
			err);
		assert_int_equal(((PagemapHead *)entry)->pages_id, version);
	}
	assert_ok(image_dir_verify(dir, &problems, &err), err);
	assert_int_equal(problems.count, 0);
	arena_deinit(&arena);
	return version;
}

static bool exists(const char *format, uint32_t number)
{
	char name[64], path[160];

	snprintf(name, sizeof(name), format, number);
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return access(path, F_OK) == 0;
}

/* What CRIU sees: with an inventory there must be all that belongs to it, and nothing else. */
static void check_plain_view(void)
{
	struct stat st;
	char path[160];
	uint32_t version;

	if (!exists("inventory.img", 0))
		return;
	version = exists("pages-1.img", 0) ? 1 : 2;
	assert_true(exists("pages-%u.img", version));
	assert_true(exists("pagemap-%u.img", version));
	assert_true(exists("pagemap-3.img", 0));
	assert_false(exists("pages-%u.img", 3 - version));
	assert_false(exists("pagemap-%u.img", 3 - version));
	snprintf(path, sizeof(path), "%s/pages-3.img", directory);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, version * 4096);
	snprintf(path, sizeof(path), "%s/parent", directory);
	assert_int_equal(lstat(path, &st) == 0, version == 2);
}

/* After a kill: the same version is there before and after the next dump has cleaned up. */
static uint32_t check_remains(bool had_old)
{
	_cleanup_(image_dir_cleanup) struct image_dir *dir = NULL;
	struct error err = ERROR_INIT;
	char refusal[512] = "";
	uint32_t version = whole_version(refusal, sizeof(refusal));

	check_plain_view();
	if (had_old)
		assert_true(version == 1 || version == 2);
	else
		assert_true(version == 2 || strstr(refusal, "half-written") ||
			    strstr(refusal, "holds no checkpoint"));
	assert_ok(image_dir_create(directory, &dir, &err), err);
	image_dir_destroy(take_ptr(dir));
	assert_int_equal(whole_version(refusal, sizeof(refusal)), version);
	check_plain_view();
	assert_int_equal(exists("inventory.img", 0), version != 0);
	assert_false(exists(".stasis-partial", 0));
	assert_false(exists(".stasis-commit", 0));
	assert_true(exists("dump.log", 0));
	return version;
}

static void prepare(bool had_old)
{
	struct error err = ERROR_INIT;

	assert_int_equal(shell("cd '%s' && rm -rf * .stasis*", directory), 0);
	assert_int_equal(shell("touch '%s'/dump.log", directory), 0);
	if (had_old)
		assert_ok(write_version(1, false, &err), err);
}

static pid_t start_writer(bool traced, bool durable)
{
	struct error err = ERROR_INIT;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	if (traced && (ptrace(PTRACE_TRACEME) < 0 || raise(SIGSTOP)))
		_exit(3);
	_exit(write_version(2, durable, &err) < 0 ? 2 : 0);
}

/* Kills the writer at its n-th system call. Returns false when it came to its end before. */
static bool kill_at_call(bool durable, unsigned n)
{
	pid_t pid = start_writer(true, durable);
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* An entry and an exit for each call: the kill comes before it or after it. */
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return true;
}

static void kill_at_every_call(bool had_old, bool durable)
{
	unsigned n = 0, decided = 0;
	bool killed = true;

	while (killed) {
		uint32_t version;

		prepare(had_old);
		killed = kill_at_call(durable, n++);
		version = check_remains(had_old);
		decided += version == 2;
	}
	print_message("killed at %u system calls, %u of them after the decision\n", n - 1, decided);
	assert_true(decided > 1);
}

static void test_kill_first_dump(void **state)
{
	(void)state;
	kill_at_every_call(false, false);
}

static void test_kill_second_dump(void **state)
{
	(void)state;
	kill_at_every_call(true, false);
}

static void test_kill_durable_dump(void **state)
{
	(void)state;
	kill_at_every_call(true, true);
}

static void test_kill_at_random(void **state)
{
	(void)state;
	srandom(1);
	for (int i = 0; i < 200; i++) {
		int status;
		pid_t pid;

		prepare(i % 2);
		pid = start_writer(false, false);
		usleep((useconds_t)(random() % 1500));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		check_remains(i % 2);
	}
}

static void test_two_writers(void **state)
{
	_cleanup_(image_dir_cleanup) struct image_dir *first = NULL, *second = NULL;
	struct error err = ERROR_INIT;
	char refusal[512] = "";

	(void)state;
	assert_ok(image_dir_create(directory, &first, &err), err);
	assert_true(image_dir_create(directory, &second, &err) < 0);
	assert_int_equal(err.class, ERROR_CONFLICT);
	assert_int_equal(whole_version(refusal, sizeof(refusal)), 0);
	assert_non_null(strstr(refusal, "still running"));
}

static void test_abandoned(void **state)
{
	struct image_dir *dir;
	struct error err = ERROR_INIT;
	char refusal[512] = "";

	(void)state;
	prepare(true);
	assert_ok(image_dir_create(directory, &dir, &err), err);
	image_dir_destroy(dir);
	assert_int_equal(whole_version(refusal, sizeof(refusal)), 1);
	assert_false(exists(".stasis-partial", 0));
}

static void test_parents(void **state)
{
	_cleanup_(image_dir_cleanup) struct image_dir *dir = NULL, *parent = NULL, *again = NULL;
	struct error err = ERROR_INIT;
	char base[64], next[80], link[96];

	(void)state;
	memcpy(base, directory, sizeof(base));
	prepare(true);
	snprintf(next, sizeof(next), "%s/next", base);
	assert_int_equal(mkdir(next, 0700), 0);
	assert_ok(image_dir_create(next, &dir, &err), err);
	assert_ok(image_dir_set_parent(dir, "..", &err), err);
	assert_ok(image_dir_commit(dir, &err), err);
	image_dir_destroy(take_ptr(dir));
	assert_ok(image_dir_open(next, &dir, &err), err);
	assert_int_equal(image_dir_open_parent(dir, &parent, &err), 1);
	assert_int_equal(image_dir_open_parent(parent, &again, &err), 0);
	/* A chain that bites its own tail. */
	snprintf(link, sizeof(link), "%s/parent", base);
	assert_int_equal(symlink("next", link), 0);
	assert_true(image_dir_open_parent(parent, &again, &err) < 0);
	assert_int_equal(err.class, ERROR_BAD_IMAGE);
}

static void test_missing_directory(void **state)
{
	struct image_dir *dir;
	struct error err = ERROR_INIT;

	(void)state;
	assert_true(image_dir_open("/nonexistent/images", &dir, &err) < 0);
	assert_int_equal(err.class, ERROR_BAD_IMAGE);
	assert_true(image_dir_open("/etc/passwd", &dir, &err) < 0);
	assert_int_equal(err.class, ERROR_BAD_IMAGE);
}

#define test(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_kill_first_dump),
		test(test_kill_second_dump),
		test(test_kill_durable_dump),
		test(test_kill_at_random),
		test(test_two_writers),
		test(test_abandoned),
		test(test_parents),
		test(test_missing_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
