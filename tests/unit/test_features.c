/* The table of kernel features: sound, and probing leaves no trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>

#include "kernel/features.h"

static void table_is_whole(void **state _unused_)
{
	for (int i = 0; i < FEATURE_COUNT; i++) {
		const struct feature_info *info = &feature_table[i];

		assert_non_null(info->name);
		assert_non_null(info->purpose);
		assert_non_null(info->lacking);
		assert_non_null(info->probe);
		assert_int_equal(kernel_feature_by_name(info->name), i);
	}
	assert_int_equal(kernel_feature_by_name("mem_dirty_track"), FEATURE_DIRTY_TRACK);
	assert_int_equal(kernel_feature_by_name("lazy_pages"), FEATURE_UFFD_NONCOOP);
	assert_int_equal(kernel_feature_by_name("link_nsid"), FEATURE_NSID);
	assert_int_equal(kernel_feature_by_name("nsi"), -1);
	assert_int_equal(kernel_feature_by_name(""), -1);
}

/* Descriptors and areas that we have. */
static size_t count_lines(const char *path)
{
	FILE *file = fopen(path, "re");
	size_t count = 0;
	int c;

	assert_non_null(file);
	while ((c = fgetc(file)) != EOF)
		count += c == '\n';
	fclose(file);
	return count;
}

static size_t count_entries(const char *path)
{
	DIR *dir = opendir(path);
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void probing_leaves_no_trace(void **state _unused_)
{
	struct kernel_features features;
	size_t fds, areas;

	/* The first round lets libc have what it wants. */
	kernel_features_init(&features);
	kernel_features_probe_all(&features);
	fds = count_entries("/proc/self/fd");
	areas = count_lines("/proc/self/maps");
	for (int i = 0; i < 3; i++) {
		kernel_features_init(&features);
		kernel_features_probe_all(&features);
	}
	assert_int_equal(count_entries("/proc/self/fd"), fds);
	assert_int_equal(count_lines("/proc/self/maps"), areas);
}

static void lacking_says_what_helps(void **state _unused_)
{
	struct kernel_features none = {.probed = {UINT64_MAX, UINT64_MAX}};
	struct error err = ERROR_INIT;

	assert_true(kernel_require(&none, FEATURE_KCMP, &err) < 0);
	assert_int_equal(err.class, ERROR_KERNEL_LACKS);
	assert_non_null(strstr(err.message, "kcmp is missing"));
	assert_non_null(strstr(err.hint, "CONFIG_KCMP"));
}

/* What was not probed is probed when asked for, with the same answer. */
static void lazy_answers_agree(void **state _unused_)
{
	struct kernel_features all, none;

	kernel_features_init(&none);
	kernel_features_init(&all);
	kernel_features_probe_all(&all);
	for (enum kernel_feature i = 0; i < FEATURE_COUNT; i++)
		assert_int_equal(kernel_has(&all, i), kernel_has(&none, i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_whole),
		cmocka_unit_test(probing_leaves_no_trace),
		cmocka_unit_test(lacking_says_what_helps),
		cmocka_unit_test(lazy_answers_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
