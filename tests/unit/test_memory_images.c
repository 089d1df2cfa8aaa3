/* Address spaces as an image may have them: each number wrong once, and vdso content of any bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/io.h"
#include "image/dir.h"
#include "memory/restore.h"

#define BASE 0x7f0000000000ULL

struct fixture {
	struct arena arena;
	struct job job;
	struct checkpoint checkpoint;
	struct problems problems;
	struct task *task;
	char path[64];
	MmEntry mm;
	VmaEntry vmas[4];
	VmaEntry *list[4];
	PagemapEntry pages[2];
	uint64_t pages_size;
};

static void start(struct fixture *f)
{
	bool fresh;

	*f = (struct fixture){.path = "/tmp/memory-images-XXXXXX"};
	assert_non_null(mkdtemp(f->path));
	job_init(&f->job);
	f->checkpoint.arena = &f->arena;
	f->task = checkpoint_add_task(&f->checkpoint, NULL, 7);
	f->task->space = checkpoint_space(&f->checkpoint, 1, &fresh);
	f->task->space->owner = f->task;
	checkpoint_add_file(&f->checkpoint)->entry = arena_new(&f->arena, FileEntry);
	file_entry__init(f->checkpoint.files[0].entry);
	mm_entry__init(&f->mm);
	f->mm.exe_file_id = 1;
	for (int i = 0; i < 4; i++) {
		VmaEntry *vma = &f->vmas[i];

		vma_entry__init(vma);
		vma->start = BASE + (uint64_t)i * 4 * PAGE_SIZE;
		vma->end = vma->start + 4 * PAGE_SIZE;
		vma->prot = PROT_READ | PROT_WRITE;
		vma->flags = MAP_PRIVATE | MAP_ANONYMOUS;
		vma->status = VMA_REGULAR | VMA_ANON_PRIVATE;
		vma->fd = -1;
		f->list[i] = vma;
	}
	f->vmas[1].flags = MAP_PRIVATE;
	f->vmas[1].status = VMA_REGULAR | VMA_FILE_PRIVATE;
	f->vmas[1].shmid = 1;
	f->vmas[2].flags = MAP_SHARED | MAP_ANONYMOUS;
	f->vmas[2].status = VMA_REGULAR | VMA_ANON_SHARED;
	f->vmas[2].shmid = 5;
	f->mm.vmas = f->list;
	f->mm.n_vmas = 4;
	for (int i = 0; i < 2; i++) {
		pagemap_entry__init(&f->pages[i]);
		f->pages[i].vaddr = BASE + (uint64_t)i * 3 * PAGE_SIZE;
		f->pages[i].has_nr_pages = true;
		f->pages[i].nr_pages = 2;
		f->pages[i].has_flags = true;
		f->pages[i].flags = PE_PRESENT;
	}
	f->pages_size = 4 * PAGE_SIZE;
}

static void write_images(struct fixture *f)
{
	struct error err = ERROR_INIT;
	struct image_dir *dir;
	struct image_writer *writer;
	PagemapHead head = PAGEMAP_HEAD__INIT;
	int fd;

	head.pages_id = 1;
	assert_int_equal(image_dir_create(f->path, &dir, &err), 0);
	assert_int_equal(image_write_single(dir, IMAGE_MM, 7, &f->mm.base, &err), 0);
	assert_int_equal(image_writer_open(dir, IMAGE_PAGEMAP, 7, &writer, &err), 0);
	assert_int_equal(image_write(writer, &head.base, &err), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(image_write(writer, &f->pages[i].base, &err), 0);
	assert_int_equal(image_writer_close(writer, &err), 0);
	assert_int_equal(image_create_raw(dir, IMAGE_PAGES, 1, &fd, &err), 0);
	assert_int_equal(ftruncate(fd, (off_t)f->pages_size), 0);
	close(fd);
	assert_int_equal(image_dir_commit(dir, &err), 0);
	image_dir_destroy(dir);
}

/* How many things are wrong with it. */
static size_t check(struct fixture *f)
{
	struct restore_context context = {.job = &f->job,
		.arena = &f->arena,
		.checkpoint = &f->checkpoint,
		.problems = &f->problems};
	struct error err = ERROR_INIT;
	char command[128];
	size_t count;

	write_images(f);
	assert_int_equal(image_dir_open(f->path, &context.dir, &err), 0);
	assert_int_equal(memory_load(&context, &err), 0);
	assert_int_equal(memory_check(&context, &err), 0);
	count = f->problems.count;
	for (size_t i = 0; i < count; i++)
		assert_int_equal(f->problems.items[i].class, ERROR_BAD_IMAGE);
	memory_close(&context);
	image_dir_destroy(context.dir);
	problems_deinit(&f->problems);
	arena_deinit(&f->arena);
	snprintf(command, sizeof(command), "rm -rf %s", f->path);
	assert_int_equal(system(command), 0);
	return count;
}

static void accepts_what_is_right(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	assert_int_equal(check(&f), 0);
}

#define WRONG(change)                                               \
	do {                                                        \
		struct fixture f;                                   \
		start(&f);                                          \
		change;                                             \
		if (!check(&f))                                     \
			fail_msg("%s: nothing was found", #change); \
	} while (0)

static void finds_wrong_areas(void **state)
{
	(void)state;
	WRONG(f.vmas[0].start++);
	WRONG(f.vmas[0].start = f.vmas[0].end);
	WRONG(f.vmas[0].start = 0);
	WRONG(f.vmas[3].end = TASK_END + PAGE_SIZE);
	WRONG(f.vmas[3].end = UINT64_MAX & ~(PAGE_SIZE - 1));
	WRONG(f.vmas[0].end += PAGE_SIZE);
	WRONG(f.vmas[2].start = BASE);
	WRONG(f.vmas[0].prot = 8);
	WRONG(f.vmas[0].flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS);
	WRONG(f.vmas[0].flags = MAP_SHARED | MAP_ANONYMOUS);
	WRONG(f.vmas[0].status = 0);
	WRONG(f.vmas[0].status = VMA_REGULAR | VMA_ANON_PRIVATE | VMA_FILE_PRIVATE);
	WRONG(f.vmas[0].status = VMA_REGULAR | VMA_SHADOW_STACK);
	WRONG(f.vmas[1].shmid = 99);
	WRONG(f.vmas[1].pgoff = 1);
	WRONG(f.vmas[1].pgoff = UINT64_MAX & ~(PAGE_SIZE - 1));
	WRONG(f.vmas[1].status |= VMA_MEMFD);
	WRONG(f.vmas[2].status |= VMA_SYSV);
	WRONG((f.vmas[3].status = VMA_GUARD, f.vmas[3].start = BASE + 64 * PAGE_SIZE,
		f.vmas[3].end = BASE + 65 * PAGE_SIZE));
}

static void finds_wrong_pages(void **state)
{
	(void)state;
	WRONG(f.pages_size -= 1);
	WRONG(f.pages_size = 0);
	WRONG(f.pages[0].vaddr++);
	WRONG(f.pages[0].vaddr = BASE - PAGE_SIZE);
	WRONG(f.pages[1].vaddr = f.pages[0].vaddr);
	WRONG(f.pages[1].nr_pages = 6); /* into shared memory */
	WRONG(f.pages[1].nr_pages = 0);
	WRONG(f.pages[1].nr_pages = UINT64_MAX / PAGE_SIZE);
	WRONG(f.pages[1].nr_pages = UINT64_MAX);
	WRONG(f.pages[0].flags = PE_PARENT);
	WRONG((f.pages[0].flags = PE_PARENT,
		f.pages[0].has_shared_by_fork = f.pages[0].shared_by_fork = true));
}

static void finds_wrong_numbers(void **state)
{
	uint64_t vector[3] = {1, 2, 3};
	AioRingEntry ring = AIO_RING_ENTRY__INIT, *rings[] = {&ring};

	(void)state;
	WRONG(f.mm.mm_start_code = 1);
	WRONG(f.mm.mm_end_data = UINT64_MAX);
	WRONG(f.mm.mm_start_brk = 1);
	WRONG(f.mm.mm_start_stack = TASK_END);
	WRONG(f.mm.exe_file_id = 9);
	WRONG((f.mm.has_dumpable = true, f.mm.dumpable = 3));
	WRONG((f.mm.has_lock_future = true, f.mm.lock_future = 1));
	WRONG((f.mm.mm_saved_auxv = vector, f.mm.n_mm_saved_auxv = 3));
	ring.id = BASE;
	ring.nr_req = 1;
	ring.ring_len = PAGE_SIZE;
	WRONG((f.mm.aios = rings, f.mm.n_aios = 1));
}

static void reads_the_vdso(void **state)
{
	const unsigned char *own = (const void *)getauxval(AT_SYSINFO_EHDR);
	const size_t size = PAGE_SIZE;
	struct vdso_symbols symbols, others;
	size_t whole = 2 * PAGE_SIZE;
	bool found = false;

	(void)state;
	if (!own)
		skip();
	/* One or two pages, by kernel. */
	if (vdso_parse(own, size, &symbols) < 0)
		assert_int_equal(vdso_parse(own, whole, &symbols), 0);
	else
		whole = size;
	for (size_t i = 0; i < symbols.count; i++)
		found |= strstr(symbols.items[i].name, "clock_gettime") != NULL;
	assert_true(found);
	/* Every byte of it, three ways; and every length. Copies of just that size, for ASan. */
	for (size_t i = 0; i < whole; i++) {
		static const unsigned char bytes[] = {0, 0x7f, 0xff};

		for (size_t j = 0; j < ARRAY_SIZE(bytes); j++) {
			unsigned char *copy = malloc(whole);

			memcpy(copy, own, whole);
			copy[i] = bytes[j];
			(void)vdso_parse(copy, whole, &others);
			vdso_clean_tail(copy, whole);
			free(copy);
		}
	}
	for (size_t length = 0; length < whole; length += 7) {
		unsigned char *copy = malloc(length + 1);

		memcpy(copy, own, length);
		(void)vdso_parse(copy, length, &others);
		vdso_clean_tail(copy, length);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_what_is_right),
		cmocka_unit_test(finds_wrong_areas),
		cmocka_unit_test(finds_wrong_pages),
		cmocka_unit_test(finds_wrong_numbers),
		cmocka_unit_test(reads_the_vdso),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
