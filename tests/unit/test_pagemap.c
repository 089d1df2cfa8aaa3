/* Which pages exist: PAGEMAP_SCAN and the reader for kernels without it must say the same. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "kernel/pagemap.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static void find(uint64_t start, uint64_t size, enum pagemap_want want, bool by_reading,
	struct page_ranges *ranges, struct page_ranges *guards)
{
	struct error err = ERROR_INIT;
	struct pagemap pagemap;

	assert_int_equal(pagemap_open(getpid(), &pagemap, &err), 0);
	pagemap.no_scan = by_reading;
	assert_int_equal(
		pagemap_find(&pagemap, start, start + size, want, 7, ranges, guards, &err), 0);
	pagemap_close(&pagemap);
}

static char *map(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	madvise(p, pages * PAGE_SIZE, MADV_NOHUGEPAGE);
	return p;
}

/* More ranges than one of the kernel's batches of 512, and than our vector: none twice, none lost.
 */
static void finds_each_page_once(void **state)
{
	static const size_t counts[] = {1, 511, 512, 513, 1000, 2047, 2048, 2049, 5000};

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		char *p = map(counts[c] * 2);

		for (size_t i = 0; i < counts[c]; i++)
			p[i * 2 * PAGE_SIZE] = 1;
		for (int by_reading = 0; by_reading < 2; by_reading++) {
			struct page_ranges ranges = {};

			find((uintptr_t)p, counts[c] * 2 * PAGE_SIZE, PAGEMAP_ANY, by_reading,
				&ranges, NULL);
			assert_int_equal(ranges.count, counts[c]);
			for (size_t i = 0; i < ranges.count; i++) {
				assert_int_equal(
					ranges.items[i].start, (uintptr_t)p + i * 2 * PAGE_SIZE);
				assert_int_equal(
					ranges.items[i].end, ranges.items[i].start + PAGE_SIZE);
				assert_int_equal(ranges.items[i].flags, 7);
			}
			page_ranges_deinit(&ranges);
		}
		munmap(p, counts[c] * 2 * PAGE_SIZE);
	}
}

static void leaves_out_zero_and_guard_pages(void **state)
{
	char *p = map(8);
	volatile char *read_only = p;
	bool guard = madvise(p + 5 * PAGE_SIZE, PAGE_SIZE, MADV_GUARD_INSTALL) == 0;

	(void)state;
	p[0] = 1;
	(void)read_only[2 * PAGE_SIZE]; /* the zero page */
	p[4 * PAGE_SIZE] = 1;
	for (int by_reading = 0; by_reading < 2; by_reading++) {
		struct page_ranges ranges = {}, guards = {};

		find((uintptr_t)p, 8 * PAGE_SIZE, PAGEMAP_ANY, by_reading, &ranges, &guards);
		/* As root: frame numbers show the zero page to the reader, too. */
		assert_int_equal(ranges.count, 2);
		assert_int_equal(ranges.items[1].start, (uintptr_t)p + 4 * PAGE_SIZE);
		assert_int_equal(ranges.items[1].end, (uintptr_t)p + 5 * PAGE_SIZE);
		assert_int_equal(guards.count, guard);
		if (guard)
			assert_int_equal(guards.items[0].start, (uintptr_t)p + 5 * PAGE_SIZE);
		page_ranges_deinit(&ranges);
		page_ranges_deinit(&guards);
	}
	munmap(p, 8 * PAGE_SIZE);
}

static void finds_copied_pages_of_a_file(void **state)
{
	char template[] = "/tmp/pagemap-XXXXXX";
	int fd = mkstemp(template);
	volatile char *p;

	(void)state;
	unlink(template);
	assert_int_equal(ftruncate(fd, 8 * PAGE_SIZE), 0);
	p = mmap(NULL, 8 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	for (int i = 0; i < 8; i++)
		(void)p[(size_t)i * PAGE_SIZE];
	p[3 * PAGE_SIZE] = 1;
	p[4 * PAGE_SIZE] = 1;
	for (int by_reading = 0; by_reading < 2; by_reading++) {
		struct page_ranges ranges = {};

		find((uintptr_t)p, 8 * PAGE_SIZE, PAGEMAP_COPIED, by_reading, &ranges, NULL);
		assert_int_equal(ranges.count, 1);
		assert_int_equal(ranges.items[0].start, (uintptr_t)p + 3 * PAGE_SIZE);
		assert_int_equal(ranges.items[0].end, (uintptr_t)p + 5 * PAGE_SIZE);
		page_ranges_deinit(&ranges);
	}
	munmap((void *)p, 8 * PAGE_SIZE);
	close(fd);
}

static void a_huge_reservation_costs_its_pages(void **state)
{
	const uint64_t size = (uint64_t)16 << 40;
	char *p = map(size / PAGE_SIZE);
	struct page_ranges ranges = {};

	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		p[size / 100 * i] = 1;
	find((uintptr_t)p, size, PAGEMAP_ANY, false, &ranges, NULL);
	assert_int_equal(ranges.count, 100);
	page_ranges_deinit(&ranges);
	munmap(p, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_each_page_once),
		cmocka_unit_test(leaves_out_zero_and_guard_pages),
		cmocka_unit_test(finds_copied_pages_of_a_file),
		cmocka_unit_test(a_huge_reservation_costs_its_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
