/* smaps text, as the kernel writes it and as nobody should; and what its areas are taken for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "kernel/smaps.h"
#include "memory/internal.h"

static const char sample[] =
	"00400000-00401000 r-xp 00002000 fe:00 332383       /usr/bin/a file\\012with newline\n"
	"Size:                  4 kB\nKernelPageSize:        4 kB\nRss:                   4 kB\n"
	"Anonymous:             8 kB\nSwap:                 12 kB\nFutureField: x y z\n"
	"VmFlags: rd ex mr mw me dc zz lo \n"
	"7f0000000000-7f0000200000 rw-s 00000000 00:01 77           /anon_hugepage (deleted)\n"
	"KernelPageSize:     2048 kB\nPrivate_Hugetlb:    2048 kB\n"
	"VmFlags: rd wr sh ht gd\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0   [vsyscall]\nVmFlags: ex \n";

static void parses_what_the_kernel_writes(void **state)
{
	struct arena arena = {};

	(void)state;
	/* In pieces of every size: a line is taken when it is whole. */
	for (size_t piece = 1; piece < sizeof(sample); piece++) {
		struct smaps_parser parser = {.arena = &arena};
		char buffer[sizeof(sample)];
		size_t held = 0, used;

		for (size_t at = 0; at < sizeof(sample) - 1;) {
			size_t n = MIN(piece, sizeof(sample) - 1 - at);

			memcpy(buffer + held, sample + at, n);
			held += n;
			at += n;
			assert_int_equal(smaps_parse(&parser, buffer, held, &used), 0);
			memmove(buffer, buffer + used, held - used);
			held -= used;
		}
		assert_int_equal(parser.count, 3);
		assert_int_equal(parser.areas[0].offset, 0x2000);
		assert_int_equal(parser.areas[0].inode, 332383);
		assert_int_equal(parser.areas[0].major, 0xfe);
		assert_string_equal(parser.areas[0].name, "/usr/bin/a file\\012with newline");
		assert_int_equal(parser.areas[0].swapped, 12);
		assert_int_equal(
			parser.areas[0].flags, SMAPS_MAY_WRITE | SMAPS_DONT_FORK | SMAPS_LOCKED);
		assert_int_equal(parser.areas[1].page_size, 2048);
		assert_int_equal(parser.areas[1].anonymous, 2048);
		assert_true(parser.areas[1].shared);
		assert_int_equal(parser.areas[2].end, 0xffffffffff601000);
		assert_string_equal(parser.areas[2].name, "[vsyscall]");
	}
	arena_deinit(&arena);
}

static void refuses_what_it_does_not(void **state)
{
	static const char *const texts[] = {
		"Rss: 4 kB\n",
		"\n",
		"00400000 r-xp 00000000 00:00 0\n",
		"00401000-00400000 r-xp 00000000 00:00 0\n",
		"00400001-00401000 r-xp 00000000 00:00 0\n",
		"00400000-00401000 r-xp 00000000 00:00\n",
		"00400000-00401000 r-xq 00000000 00:00 0\n",
		"10000000000000000-10000000000001000 r-xp 00000000 00:00 0\n",
		/* overlapping */
		"1000-3000 r-xp 0 00:00 0\n2000-4000 r-xp 0 00:00 0\n",
		"00400000-00401000 r-xp 00000000 00:00 0\nRss: kB\n",
		"00400000-00401000 r-xp 00000000 00:00 0\nRss: 99999999999999999999999 kB\n",
	};
	struct arena arena = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct smaps_parser parser = {.arena = &arena};
		size_t used;

		assert_int_equal(smaps_parse(&parser, texts[i], strlen(texts[i]), &used), -EPROTO);
	}
	arena_deinit(&arena);
}

static void survives_any_byte(void **state)
{
	struct arena arena = {};

	(void)state;
	for (size_t i = 0; i < sizeof(sample) - 1; i++) {
		for (int byte = 0; byte < 256; byte += 5) {
			struct smaps_parser parser = {.arena = &arena};
			char *copy = strdup(sample); /* exactly as long: for ASan */
			size_t used;

			copy[i] = (char)byte;
			(void)smaps_parse(&parser, copy, sizeof(sample) - 1, &used);
			free(copy);
		}
		arena_deinit(&arena);
	}
}

static void reads_our_own(void **state)
{
	struct arena arena = {};
	struct error err = ERROR_INIT;
	struct smaps_area *areas;
	size_t count, mine = 0;
	/* Twice the buffer of the reader, in areas that cannot merge. */
	char *base = mmap(NULL, 2048 * PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	for (size_t i = 0; i < 2048; i += 2)
		assert_int_equal(mprotect(base + i * PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	assert_int_equal(smaps_read(getpid(), &arena, &areas, &count, &err), 0);
	for (size_t i = 0; i < count; i++)
		mine += areas[i].start >= (uintptr_t)base &&
			areas[i].end <= (uintptr_t)base + 2048 * PAGE_SIZE;
	assert_int_equal(mine, 2048);
	munmap(base, 2048 * PAGE_SIZE);
	assert_true(smaps_read(1 << 22, &arena, &areas, &count, &err) == -ESRCH);
	assert_int_equal(err.class, ERROR_GONE);
	arena_deinit(&arena);
}

struct expectation {
	struct smaps_area area;
	enum area_type type;
	uint32_t status, flags;
	uint64_t advice;
};

#define AREA(...)                                                             \
	{                                                                     \
		.start = 0x10000, .end = 0x12000, .page_size = 4, __VA_ARGS__ \
	}
static const struct expectation expectations[] = {
	{AREA(.name = "[heap]"), AREA_ANON, 545, 0x22, 0},
	{AREA(.name = "[stack]", .flags = SMAPS_GROWS_DOWN), AREA_ANON, 513, 0x122, 0},
	{AREA(.name = "", .flags = SMAPS_NO_RESERVE), AREA_ANON, 513, 0x4022, 0},
	{AREA(.name = "", .flags = SMAPS_NO_HUGE), AREA_ANON, 513, 0x22, 1 << 15},
	{AREA(.name = "[anon:x]", .flags = SMAPS_LOCKED), AREA_ANON, 513, 0x2022, 0},
	{AREA(.name = "", .flags = SMAPS_DROPPABLE | SMAPS_DONT_DUMP | SMAPS_NO_RESERVE), AREA_ANON,
		513, 0x28, 0},
	{AREA(.name = "[vdso]"), AREA_VDSO, 521, 0x22, 0},
	{AREA(.name = "[vvar]", .flags = SMAPS_DONT_DUMP | SMAPS_IO | SMAPS_PFN), AREA_VVAR, 4609,
		0x22, 1 << 16},
	{AREA(.name = "[vsyscall]"), AREA_VSYSCALL, 516, 0x22, 0},
	{AREA(.name = "/lib/x", .inode = 5, .major = 8), AREA_FILE, 65, 2, 0},
	{AREA(.name = "/lib/x", .inode = 5, .major = 8, .shared = true), AREA_FILE, 129, 1, 0},
	{AREA(.name = "/memfd:a (deleted)", .inode = 5, .minor = 1, .shared = true), AREA_MEMFD,
		16513, 1, 0},
	{AREA(.name = "/memfd:a (deleted)", .inode = 5, .minor = 1), AREA_MEMFD, 16449, 2, 0},
	{AREA(.name = "/dev/zero (deleted)", .inode = 5, .minor = 1, .shared = true),
		AREA_SHARED_ANON, 257, 0x21, 0},
	{AREA(.name = "/SYSV00000000 (deleted)", .inode = 5, .minor = 1, .shared = true), AREA_SYSV,
		1281, 0x21, 0},
	{AREA(.name = "/[aio] (deleted)", .inode = 5, .minor = 9, .shared = true), AREA_AIO, 8193,
		0x21, 0},
	{{.start = 1 << 21,
		 .end = 1 << 22,
		 .page_size = 2048,
		 .name = "/anon_hugepage (deleted)",
		 .inode = 5,
		 .minor = 7,
		 .flags = SMAPS_HUGETLB},
		AREA_ANON, 513, 0x54040022, 0},
	/* The names of others' files prove nothing. */
	{AREA(.name = "/memfd:a (deleted)", .inode = 5, .major = 8), AREA_FILE, 65, 2, 0},
	{AREA(.name = "/dev/zero (deleted)", .inode = 5, .major = 8, .shared = true), AREA_FILE,
		129, 1, 0},
	{AREA(.name = "anon_inode:[io_uring]", .inode = 5, .minor = 15, .shared = true),
		AREA_REFUSED},
	{AREA(.name = "/secretmem (deleted)", .inode = 5, .minor = 15, .shared = true),
		AREA_REFUSED},
	{AREA(.name = "", .flags = SMAPS_UFFD_WP), AREA_REFUSED},
	{AREA(.name = "/dev/mem", .inode = 5, .minor = 6, .flags = SMAPS_IO), AREA_REFUSED},
	{AREA(.name = "[uprobes]"), AREA_REFUSED},
	{AREA(.name = "", .protection_key = 3), AREA_REFUSED},
	{AREA(.name = "something else", .inode = 5, .minor = 6), AREA_REFUSED},
};

static void classifies(void **state)
{
	const struct classify_facts facts = {.shm_major = 0, .shm_minor = 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expectations); i++) {
		const struct expectation *e = &expectations[i];
		struct refusal refusal = {};
		VmaEntry vma = VMA_ENTRY__INIT;
		enum area_type type = area_classify(&e->area, &facts, &vma, &refusal);

		if (type != e->type)
			fail_msg("%s: is %d, expected %d", e->area.name, type, e->type);
		if (type == AREA_REFUSED) {
			assert_non_null(refusal.what);
			continue;
		}
		if (vma.status != e->status || vma.flags != e->flags || vma.madv != e->advice)
			fail_msg("%s: status %u flags %#x madv %#lx", e->area.name, vma.status,
				vma.flags, (unsigned long)vma.madv);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_what_the_kernel_writes),
		cmocka_unit_test(refuses_what_it_does_not),
		cmocka_unit_test(survives_any_byte),
		cmocka_unit_test(reads_our_own),
		cmocka_unit_test(classifies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
