/* The journal: success, failure, and a run that was killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "undo/journal.h"

static char directory[64];

static int setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/stasis-undo-XXXXXX");
	assert_non_null(mkdtemp(directory));
	return 0;
}

static int teardown(void **state)
{
	char command[96];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

static const char *in(const char *name)
{
	static char paths[4][160];
	static unsigned next;

	next = (next + 1) % 4;
	snprintf(paths[next], sizeof(paths[next]), "%s/%s", directory, name);
	return paths[next];
}

static void make(const char *name)
{
	int fd = open(in(name), O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static bool there(const char *name)
{
	return access(in(name), F_OK) == 0;
}

static void record(struct undo_journal *journal, enum undo_when when, const char *name)
{
	struct error err = ERROR_INIT;

	assert_int_equal(undo_record(journal, when, UNDO_UNLINK, in(name), NULL, NULL, &err), 0);
}

static unsigned count_journals(void)
{
	char command[128];
	unsigned count = 0;
	FILE *pipe;

	snprintf(command, sizeof(command), "ls %s | grep -c ^journal-", directory);
	pipe = popen(command, "r");
	assert_int_equal(fscanf(pipe, "%u", &count), 1);
	pclose(pipe);
	return count;
}

static void nothing(void **state)
{
	struct undo_journal *journal = undo_create(directory);
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(undo_commit(journal, &err), 0);
	assert_int_equal(undo_rollback(journal, &err), 0);
	assert_int_equal(count_journals(), 0);
	undo_destroy(journal);
}

static void success_and_failure(void **state)
{
	struct undo_journal *journal = undo_create(directory);
	struct error err = ERROR_INIT;

	(void)state;
	for (int failed = 0; failed < 2; failed++) {
		make("kept on success");
		make("gone on success");
		record(journal, UNDO_ON_FAILURE, "kept on success");
		record(journal, UNDO_ON_SUCCESS, "gone on success");
		assert_int_equal(count_journals(), 1);
		assert_int_equal((failed ? undo_rollback : undo_commit)(journal, &err), 0);
		assert_int_equal(there("kept on success"), !failed);
		assert_int_equal(there("gone on success"), failed);
		assert_int_equal(count_journals(), 0);
	}
	undo_destroy(journal);
}

static void forgotten_and_other_inode(void **state)
{
	struct undo_journal *journal = undo_create(directory);
	struct error err = ERROR_INIT;
	struct stat st;
	uint32_t id;

	(void)state;
	make("forgotten");
	make("replaced");
	make("keeps the number");
	assert_int_equal(stat(in("replaced"), &st), 0);
	st.st_ino++;
	assert_int_equal(undo_record(journal, UNDO_ON_FAILURE, UNDO_UNLINK, in("forgotten"), NULL,
				 &id, &err),
		0);
	undo_forget(journal, id);
	assert_int_equal(
		undo_record(journal, UNDO_ON_FAILURE, UNDO_UNLINK, in("replaced"), &st, NULL, &err),
		0);
	/* A directory is no file, and what is not there is no failure. */
	assert_int_equal(mkdir(in("directory"), 0700), 0);
	record(journal, UNDO_ON_FAILURE, "directory");
	record(journal, UNDO_ON_FAILURE, "missing");
	assert_int_equal(undo_rollback(journal, &err), 0);
	assert_true(there("forgotten") && there("replaced") && there("directory"));
	undo_destroy(journal);
}

/* The child records, makes the file, and dies. */
static void killed(const char *name)
{
	struct error err = ERROR_INIT;
	unsigned count;
	int ready[2], status;
	pid_t child;
	char byte;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		struct undo_journal *journal = undo_create(directory);

		record(journal, UNDO_ON_FAILURE, name);
		make(name);
		(void)!write(ready[1], "x", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	/* While it lives, its journal is its own. */
	assert_int_equal(undo_cleanup_stale(directory, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_true(there(name));
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	assert_int_equal(undo_cleanup_stale(directory, &count, &err), 0);
	assert_int_equal(count, 1);
	assert_false(there(name));
	assert_int_equal(count_journals(), 0);
	close(ready[0]);
	close(ready[1]);
}

static void killed_run(void **state)
{
	(void)state;
	killed("plain");
	killed("with space, %25 and\nnewline");
}

/* Hostile or torn text: nothing happens. */
static void torn(void **state)
{
	static const char *const texts[] = {
		"do 1 f unlink 0 0 %s", /* without its newline: the effect has not happened */
		"do 1 f unlink\n",
		"do 1 f format 0 0 %s\n",
		"forget 7\nforget\n\n\n",
		"do 1 f rmdir 0 0 %s\n", /* not a directory */
		"do 1 f unlink 0 0 %s\nforget 1\n",
		"do 1 f unlink 0 0 %s\ncommit\n",
	};
	struct error err = ERROR_INIT;
	unsigned count;

	(void)state;
	make("victim");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		FILE *file = fopen(in("journal-1-1"), "w");

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
		fprintf(file, texts[i], in("victim"));
#pragma GCC diagnostic pop
		fclose(file);
		assert_int_equal(undo_cleanup_stale(directory, &count, &err), 0);
		assert_true(there("victim"));
		assert_int_equal(count_journals(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(nothing),
		T(success_and_failure),
		T(forgotten_and_other_inode),
		T(killed_run),
		T(torn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
