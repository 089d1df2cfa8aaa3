/* Framing, every message, and hostile bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>

#include "base/io.h"
#include "file.pb-c.h"
#include "image/show.h"
#include "image_samples.h"
#include "inventory.pb-c.h"
#include "namespace.pb-c.h"

static char directory[64];

static int make_directory(void **state)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)state;
	snprintf(directory, sizeof(directory), "%s/stasis-image-XXXXXX", base);
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command);
}

#define assert_ok(rc, err)                             \
	do {                                           \
		if ((rc) < 0)                          \
			fail_msg("%s", (err).message); \
	} while (0)

static char *in_directory(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void write_file(const char *path, const void *data, size_t size)
{
	_cleanup_(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, data, size), 0);
}

static uint8_t *read_file(const char *path, size_t *ret_size)
{
	char *text;

	assert_int_equal(read_text_file(AT_FDCWD, path, &text, ret_size), 0);
	return (uint8_t *)text;
}

static void test_names(void **state)
{
	static const char *const strangers[] = {"", "core-.img", "core-01.img", "core--1.img",
		"core- 1.img", "core-1.img.new", "core-1.imgx", "core-18446744073709551616.img",
		"core-a.img", "ghost-file-A.img", "ghost-file-0x1.img", "inventory",
		"../pstree.img", "stasis-manifest.json", ".stasis-partial", "parent", "dump.log",
		"inventory.img/"};
	enum image_type found;
	uint64_t id;

	(void)state;
	for (enum image_type type = 0; type < IMAGE_TYPE_COUNT; type++) {
		uint64_t number = strchr(image_info(type)->name, '%') ? 0xfedcba9876 : 0;
		char name[IMAGE_NAME_MAX];

		image_format_name(type, number, name);
		assert_true(image_type_of_name(name, &found, &id));
		assert_int_equal(found, type);
		assert_int_equal(id, number);
	}
	for (size_t i = 0; i < ARRAY_SIZE(strangers); i++)
		assert_false(image_type_of_name(strangers[i], &found, &id));
}

static void write_all(bool durable)
{
	_cleanup_(image_dir_cleanup) struct image_dir *dir = NULL;
	struct error err = ERROR_INIT;

	assert_ok(image_dir_create(directory, &dir, &err), err);
	image_dir_set_durable(dir, durable);
	for (enum image_type type = 0; type < IMAGE_TYPE_COUNT; type++)
		assert_ok(sample_write(dir, type, 7, &err), err);
	assert_ok(image_dir_commit(dir, &err), err);
}

static void assert_same_message(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
	size_t size = protobuf_c_message_get_packed_size(a);
	_cleanup_(free_ptr) uint8_t *x = malloc(size), *y = malloc(size);

	assert_int_equal(protobuf_c_message_get_packed_size(b), size);
	protobuf_c_message_pack(a, x);
	protobuf_c_message_pack(b, y);
	assert_memory_equal(x, y, size);
}

static void check_sample(struct image_dir *dir, enum image_type type)
{
	_cleanup_(image_reader_cleanup) struct image_reader *reader = NULL;
	struct error err = ERROR_INIT;
	struct arena arena = {};
	ProtobufCMessage *entry;

	assert_int_equal(image_reader_open(dir, type, 7, &reader, &err), 1);
	for (size_t n = 0; n < sample_entries(type); n++) {
		size_t size;
		uint8_t *extra;
		void *found;
		ProtobufCMessage *expected = sample_entry(&arena, type, n, &extra, &size);

		if (image_read(reader, &arena, &entry, &err) != 1)
			fail_msg("%s: %s", image_info(type)->name, err.message);
		assert_same_message(expected, entry);
		if (!size)
			continue;
		assert_ok(image_read_extra(reader, &arena, size, &found, &err), err);
		assert_memory_equal(found, extra, size);
	}
	assert_int_equal(image_read(reader, &arena, &entry, &err), 0);
	assert_int_equal(image_reader_remaining(reader), 0);
	arena_deinit(&arena);
}

static void test_every_message(void **state)
{
	_cleanup_(image_dir_cleanup) struct image_dir *dir = NULL;
	struct error err = ERROR_INIT;
	struct problems problems = {};
	struct image_file *files;
	struct arena arena = {};
	size_t count;

	(void)state;
	write_all(true);
	assert_ok(image_dir_open(directory, &dir, &err), err);
	for (enum image_type type = 0; type < IMAGE_TYPE_COUNT; type++)
		if (image_info(type)->magic)
			check_sample(dir, type);
	assert_ok(image_dir_list(dir, &arena, &files, &count, &err), err);
	assert_int_equal(count, IMAGE_TYPE_COUNT);
	assert_ok(image_dir_verify(dir, &problems, &err), err);
	assert_int_equal(problems.count, 0);
	arena_deinit(&arena);
}

static void test_missing_image(void **state)
{
	_cleanup_(image_dir_cleanup) struct image_dir *dir = NULL;
	struct image_reader *reader;
	struct error err = ERROR_INIT;
	struct arena arena = {};
	ProtobufCMessage *entry;
	int fd;
	uint64_t size;

	(void)state;
	write_all(false);
	assert_ok(image_dir_open(directory, &dir, &err), err);
	assert_int_equal(image_reader_open(dir, IMAGE_CORE, 8, &reader, &err), 0);
	assert_null(reader);
	assert_int_equal(image_open_raw(dir, IMAGE_PAGES, 8, &fd, &size, &err), 0);
	assert_true(image_read_single(dir, IMAGE_CORE, 8, &arena, &entry, &err) < 0);
	assert_int_equal(err.class, ERROR_BAD_IMAGE);
	assert_int_equal(image_open_raw(dir, IMAGE_PAGES, 7, &fd, &size, &err), 1);
	assert_int_equal(size, 4096);
	close(fd);
}

/* Version 1.0: the image's own magic comes first. */
static void test_old_framing(void **state)
{
	_cleanup_(free_ptr) uint8_t *bytes = NULL;
	struct error err = ERROR_INIT;
	size_t size;
	FILE *null = fopen("/dev/null", "w");

	(void)state;
	write_all(false);
	bytes = read_file(in_directory("inventory.img"), &size);
	write_file(in_directory("old.img"), bytes + 4, size - 4);
	assert_ok(image_show_file(in_directory("old.img"), true, null, &err), err);
	unlink(in_directory("old.img"));
	fclose(null);
}

/* Shows a file; whatever is in it, the outcome is success or a damaged image. */
static int show_hostile(const char *path, FILE *null)
{
	struct error err = ERROR_INIT;
	int rc = image_show_file(path, true, null, &err);

	if (rc < 0 && err.class != ERROR_BAD_IMAGE)
		fail_msg("%s: class %d: %s", path, err.class, err.message);
	return rc;
}

/* All lengths, from the whole down to nothing. */
static size_t truncate_file(const char *name, const uint8_t *bytes, size_t size, FILE *null)
{
	char *path = in_directory(name);
	size_t accepted = 0;

	write_file(path, bytes, size);
	for (size_t length = size; length--;) {
		assert_int_equal(truncate(path, (off_t)length), 0);
		accepted += show_hostile(path, null) == 0;
	}
	return accepted;
}

static void flip_file(const char *name, uint8_t *bytes, size_t size, FILE *null)
{
	static const uint8_t masks[] = {0x01, 0x80, 0xff};
	char *path = in_directory(name);
	_cleanup_(close_fd) int fd = -1;

	write_file(path, bytes, size);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	for (size_t i = 0; i < size; i++) {
		for (size_t m = 0; m < ARRAY_SIZE(masks); m++) {
			uint8_t flipped = bytes[i] ^ masks[m];

			assert_int_equal(pwrite(fd, &flipped, 1, (off_t)i), 1);
			show_hostile(path, null);
		}
		assert_int_equal(pwrite(fd, &bytes[i], 1, (off_t)i), 1);
	}
}

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void mutate_file(const char *name, const uint8_t *bytes, size_t size, FILE *null)
{
	_cleanup_(free_ptr) uint8_t *copy = malloc(size);

	for (int round = 0; round < 60; round++) {
		memcpy(copy, bytes, size);
		for (uint64_t n = next_random() % 8 + 1; n--;)
			copy[next_random() % size] = (uint8_t)next_random();
		write_file(in_directory(name), copy, size);
		show_hostile(in_directory(name), null);
	}
}

/* Every sample image, without a manifest that would notice. */
static void test_hostile_samples(void **state)
{
	FILE *null = fopen("/dev/null", "w");

	(void)state;
	write_all(false);
	for (enum image_type type = 0; type < IMAGE_TYPE_COUNT; type++) {
		_cleanup_(free_ptr) uint8_t *bytes = NULL;
		char name[IMAGE_NAME_MAX];
		size_t size;

		if (!image_info(type)->magic)
			continue;
		image_format_name(type, 7, name);
		bytes = read_file(in_directory(name), &size);
		truncate_file(name, bytes, size, null);
		mutate_file(name, bytes, size, null);
		if (size < 1500)
			flip_file(name, bytes, size, null);
	}
	fclose(null);
}

static void try_real_image(const char *source, const char *name, FILE *null)
{
	_cleanup_(free_ptr) uint8_t *bytes = NULL;
	enum image_type type;
	char path[512];
	uint64_t id;
	size_t size;

	if (!image_type_of_name(name, &type, &id) || !image_info(type)->magic)
		return;
	snprintf(path, sizeof(path), "%s/%s", source, name);
	bytes = read_file(path, &size);
	write_file(in_directory(name), bytes, size);
	assert_int_equal(show_hostile(in_directory(name), null), 0);
	truncate_file(name, bytes, size, null);
	mutate_file(name, bytes, size, null);
}

static void test_real_images(void **state)
{
	static const char *const sets[] = {"counter", "pipeline", "python-many"};
	FILE *null = fopen("/dev/null", "w");
	size_t found = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		char source[256];
		struct dirent *entry;
		DIR *dir;

		snprintf(source, sizeof(source), "%s/../shared/images/%s/images", SOURCE_ROOT,
			sets[i]);
		dir = opendir(source);
		if (!dir)
			continue;
		found++;
		while ((entry = readdir(dir)))
			try_real_image(source, entry->d_name, null);
		closedir(dir);
	}
	fclose(null);
	if (!found) {
		print_message("no %s/../shared/images\n", SOURCE_ROOT);
		skip();
	}
}

/* With a manifest no changed byte goes unnoticed. */
static void test_flips_are_noticed(void **state)
{
	_cleanup_(free_ptr) uint8_t *bytes = NULL;
	size_t size;

	(void)state;
	write_all(false);
	bytes = read_file(in_directory("files.img"), &size);
	for (size_t i = 0; i < size; i += 3) {
		_cleanup_(image_dir_cleanup) struct image_dir *dir = NULL;
		struct image_reader *reader;
		struct problems problems = {};
		struct error err = ERROR_INIT;

		bytes[i] ^= 0x10;
		write_file(in_directory("files.img"), bytes, size);
		bytes[i] ^= 0x10;
		assert_ok(image_dir_open(directory, &dir, &err), err);
		assert_true(image_reader_open(dir, IMAGE_FILES, 0, &reader, &err) < 0);
		assert_int_equal(err.class, ERROR_BAD_IMAGE);
		if (i % 50)
			continue;
		assert_ok(image_dir_verify(dir, &problems, &err), err);
		assert_int_equal(problems.count, 1);
		problems_deinit(&problems);
	}
}

static void test_hostile_manifest(void **state)
{
	_cleanup_(free_ptr) uint8_t *bytes = NULL;
	size_t size;

	(void)state;
	write_all(false);
	bytes = read_file(in_directory("stasis-manifest.json"), &size);
	for (int round = 0; round < 2000; round++) {
		_cleanup_(image_dir_cleanup) struct image_dir *dir = NULL;
		_cleanup_(free_ptr) uint8_t *copy = malloc(size);
		struct error err = ERROR_INIT;

		memcpy(copy, bytes, size);
		copy[next_random() % size] = (uint8_t)next_random();
		write_file(in_directory("stasis-manifest.json"), copy,
			round % 2 ? size : next_random() % size);
		if (image_dir_open(directory, &dir, &err) < 0)
			assert_int_equal(err.class, ERROR_BAD_IMAGE);
	}
}

static void put_image(enum image_type type, const uint8_t *message, uint32_t size)
{
	uint32_t head[3] = {IMAGE_COMMON_MAGIC, image_info(type)->magic, size};
	_cleanup_(free_ptr) uint8_t *file = malloc(sizeof(head) + size);
	char name[IMAGE_NAME_MAX];

	memcpy(file, head, sizeof(head));
	memcpy(file + sizeof(head), message, size);
	image_format_name(type, 7, name);
	write_file(in_directory(name), file, sizeof(head) + size);
}

/* Each level of nesting costs an attacker a few bytes, and protobuf-c a stack frame. */
static void test_deep_nesting(void **state)
{
	enum { SIZE = 3 << 20 };
	_cleanup_(free_ptr) uint8_t *message = malloc(SIZE);
	FILE *null = fopen("/dev/null", "w");
	size_t at = SIZE;

	(void)state;
	while (at > 8) {
		size_t length = SIZE - at;

		at -= 4;
		for (int k = 0; k < 4; k++)
			message[at + k] = (uint8_t)((length >> 7 * k & 0x7f) | (k < 3 ? 0x80 : 0));
		/* Field 1 of apparmor_entry, 3 of aa_namespace: both are namespaces. */
		at--;
		message[at] = (at > 8 ? 3 : 1) << 3 | 2;
	}
	put_image(IMAGE_APPARMOR, message + at, (uint32_t)(SIZE - at));
	assert_true(show_hostile(in_directory("apparmor.img"), null) < 0);
	fclose(null);
}

/* Two bytes of image for a struct of many: the memory asked for stays a multiple of the file. */
static void test_amplification(void **state)
{
	enum { SIZE = 1 << 20 };
	_cleanup_(free_ptr) uint8_t *message = malloc(SIZE);
	FILE *null = fopen("/dev/null", "w");
	struct mallinfo2 before, after;

	(void)state;
	for (size_t i = 0; i < SIZE; i += 2) {
		message[i] = 2 << 3 | 2; /* cgroup_entry.controllers, empty */
		message[i + 1] = 0;
	}
	put_image(IMAGE_CGROUP, message, SIZE);
	before = mallinfo2();
	show_hostile(in_directory("cgroup.img"), null);
	after = mallinfo2(); /* all zeroes under ASan, which has its own limit */
	assert_true(after.arena + after.hblkhd <= before.arena + before.hblkhd + 80 * (size_t)SIZE);
	fclose(null);
}

static void test_sizes_that_lie(void **state)
{
	static const uint32_t sizes[] = {1, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff};
	FILE *null = fopen("/dev/null", "w");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t words[] = {IMAGE_COMMON_MAGIC, image_info(IMAGE_PSTREE)->magic, sizes[i]};

		write_file(in_directory("pstree.img"), words, sizeof(words));
		assert_true(show_hostile(in_directory("pstree.img"), null) < 0);
	}
	/* A hole is no memory: the entry says 4 GB and the file has them. */
	write_file(in_directory("pstree.img"),
		(uint32_t[]){IMAGE_COMMON_MAGIC, image_info(IMAGE_PSTREE)->magic, 0xffffffff}, 12);
	assert_int_equal(truncate(in_directory("pstree.img"), (off_t)5 << 30), 0);
	assert_true(show_hostile(in_directory("pstree.img"), null) < 0);
	unlink(in_directory("pstree.img"));
	assert_int_equal(mkfifo(in_directory("pstree.img"), 0600), 0);
	assert_true(show_hostile(in_directory("pstree.img"), null) < 0);
	fclose(null);
}

static void test_entry_number_in_error(void **state)
{
	struct error err = ERROR_INIT;
	FILE *null = fopen("/dev/null", "w");

	(void)state;
	write_all(false);
	assert_int_equal(truncate(in_directory("pstree.img"), 60), 0);
	assert_true(image_show_file(in_directory("pstree.img"), true, null, &err) < 0);
	assert_non_null(strstr(err.object, "pstree.img entry 1"));
	fclose(null);
}

#define test(function) cmocka_unit_test_setup_teardown(function, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_names),
		test(test_every_message),
		test(test_missing_image),
		test(test_old_framing),
		test(test_hostile_samples),
		test(test_real_images),
		test(test_flips_are_noticed),
		test(test_hostile_manifest),
		test(test_deep_nesting),
		test(test_amplification),
		test(test_sizes_that_lie),
		test(test_entry_number_in_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
