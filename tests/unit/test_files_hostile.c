/* Entries of files.img that no dump writes: each is a damage by name, and nothing is opened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <fcntl.h>

#include <cmocka.h>

#include "kinds/file/collect.h"

struct fixture {
	char dir[64];
	struct arena arena;
	struct checkpoint checkpoint;
	struct problems problems;
	struct job job;
	struct restore_context context;
	struct image_dir *writing;
	struct image_writer *files;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error err = ERROR_INIT;

	strcpy(f->dir, "/tmp/stasis-hostile-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	job_init(&f->job);
	f->checkpoint.arena = &f->arena;
	f->context = (struct restore_context){
		.job = &f->job,
		.arena = &f->arena,
		.checkpoint = &f->checkpoint,
		.problems = &f->problems,
	};
	assert_int_equal(image_dir_create(f->dir, &f->writing, &err), 0);
	assert_int_equal(image_writer_open(f->writing, IMAGE_FILES, 0, &f->files, &err), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[96];

	files_close(&f->context);
	image_dir_destroy(f->context.dir);
	problems_deinit(&f->problems);
	arena_deinit(&f->arena);
	job_deinit(&f->job);
	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	free(f);
	return system(command);
}

static void add(struct fixture *f, FileEntry *entry)
{
	struct error err = ERROR_INIT;

	assert_int_equal(image_write(f->files, &entry->base, &err), 0);
}

static void add_regular(struct fixture *f, uint32_t id, const char *name, uint32_t flags,
	uint64_t pos, uint32_t mode)
{
	FownEntry fown = FOWN_ENTRY__INIT;
	RegFileEntry reg = REG_FILE_ENTRY__INIT;
	FileEntry entry = FILE_ENTRY__INIT;

	entry.type = FD_TYPES__REG;
	entry.id = reg.id = id;
	entry.reg = &reg;
	reg.name = (char *)(uintptr_t)name;
	reg.flags = flags;
	reg.pos = pos;
	reg.fown = &fown;
	reg.has_mode = mode != 0;
	reg.mode = mode;
	add(f, &entry);
}

static void add_pipe(struct fixture *f, uint32_t id, uint32_t flags)
{
	FownEntry fown = FOWN_ENTRY__INIT;
	PipeEntry pipe = PIPE_ENTRY__INIT;
	FileEntry entry = FILE_ENTRY__INIT;

	entry.type = FD_TYPES__PIPE;
	entry.id = pipe.id = id;
	entry.pipe = &pipe;
	pipe.pipe_id = 77;
	pipe.flags = flags;
	pipe.fown = &fown;
	add(f, &entry);
}

static void add_remap(struct fixture *f, uint32_t orig, uint32_t remap, RemapType type)
{
	RemapFilePathEntry entry = REMAP_FILE_PATH_ENTRY__INIT;
	struct error err = ERROR_INIT;

	entry.orig_id = orig;
	entry.remap_id = remap;
	entry.has_remap_type = true;
	entry.remap_type = type;
	assert_int_equal(
		image_write_single(f->writing, IMAGE_REMAP_FPATH, 0, &entry.base, &err), 0);
}

static void add_table(struct fixture *f, uint32_t id, FdTypes type, uint32_t fd, uint32_t flags)
{
	FdinfoEntry entry = FDINFO_ENTRY__INIT;
	struct error err = ERROR_INIT;

	entry.id = id;
	entry.type = type;
	entry.fd = fd;
	entry.flags = flags;
	assert_int_equal(image_write_single(f->writing, IMAGE_FDINFO, 2, &entry.base, &err), 0);
}

/* Loads and checks. Every problem and the error must be a damage; something must be said. */
static void expect_damage(struct fixture *f, const char *words)
{
	struct error err = ERROR_INIT;
	bool found = false, new;
	int rc;

	assert_int_equal(image_writer_close(f->files, &err), 0);
	assert_int_equal(image_dir_commit(f->writing, &err), 0);
	image_dir_destroy(f->writing);
	assert_int_equal(image_dir_open(f->dir, &f->context.dir, &err), 0);
	(void)checkpoint_fd_table(&f->checkpoint, 2, &new);
	rc = files_load(&f->context, &err);
	if (rc == 0)
		rc = files_check(&f->context, &err);
	if (rc < 0) {
		assert_int_equal(err.class, ERROR_BAD_IMAGE);
		found = strstr(err.message, words);
	}
	for (size_t i = 0; i < f->problems.count; i++) {
		assert_int_equal(f->problems.items[i].class, ERROR_BAD_IMAGE);
		found = found || strstr(f->problems.items[i].message, words);
	}
	if (!found)
		fail_msg("nothing says \"%s\" (%s)", words,
			f->problems.count ? f->problems.items[0].message : err.message);
}

#define HOSTILE(name, words, ...)           \
	static void name(void **state)      \
	{                                   \
		struct fixture *f = *state; \
		__VA_ARGS__;                \
		expect_damage(f, words);    \
	}

HOSTILE(relative, "impossible", add_regular(f, 1, "etc/passwd", 0, 0, 0))
HOSTILE(nameless, "impossible", add_regular(f, 1, "", 0, 0, 0))
HOSTILE(flags, "impossible", add_regular(f, 1, "/etc/passwd", 0x80000000, 0, 0))
HOSTILE(position, "impossible", add_regular(f, 1, "/etc/passwd", 0, UINT64_MAX, 0))
HOSTILE(twice, "twice", add_pipe(f, 1, 0); add_pipe(f, 1, 1))
HOSTILE(pipe_flags, "impossible for a pipe", add_pipe(f, 1, O_PATH))
HOSTILE(pipe_access, "impossible for a pipe", add_pipe(f, 1, 3))
HOSTILE(no_such_file, "not in files.img", add_table(f, 9, FD_TYPES__REG, 0, 0))
HOSTILE(other_type, "is of type", add_pipe(f, 1, 0); add_table(f, 1, FD_TYPES__REG, 0, 0))
HOSTILE(high_fd, "impossible", add_pipe(f, 1, 0); add_table(f, 1, FD_TYPES__PIPE, 0x7fffffff, 0))
HOSTILE(fd_flags, "impossible", add_pipe(f, 1, 0); add_table(f, 1, FD_TYPES__PIPE, 3, 0x100))
HOSTILE(ghost_missing, "missing or empty", add_regular(f, 1, "/tmp/x", 0, 0, 0100600);
	add_remap(f, 1, 5, REMAP_TYPE__GHOST))
HOSTILE(remap_of_pipe, "is not a file", add_pipe(f, 1, 0); add_remap(f, 1, 5, REMAP_TYPE__GHOST))
HOSTILE(link_missing, "link that is not there", add_regular(f, 1, "/tmp/x", 0, 0, 0100600);
	add_remap(f, 1, 5, REMAP_TYPE__LINKED))
HOSTILE(remap_pid, "impossible process", add_regular(f, 1, "/proc/1/stat", 0, 0, 0100444);
	add_remap(f, 1, 0, REMAP_TYPE__PROCFS))

/* A member of another kind, or none, where the type says which. */
HOSTILE(empty_entry, "says nothing", FileEntry entry = FILE_ENTRY__INIT; entry.type = FD_TYPES__REG;
	entry.id = 1; add(f, &entry))
HOSTILE(fifo_without_path, "no file that is a fifo", FileEntry entry = FILE_ENTRY__INIT;
	FifoEntry fifo = FIFO_ENTRY__INIT; entry.type = FD_TYPES__FIFO; entry.id = fifo.id = 1;
	fifo.has_regf_id = true; fifo.regf_id = 1; entry.fifo = &fifo; add(f, &entry))

static void add_ghost(struct fixture *f, uint64_t off, uint64_t len, uint64_t size, uint32_t mode)
{
	GhostFileEntry entry = GHOST_FILE_ENTRY__INIT;
	GhostChunkEntry chunk = GHOST_CHUNK_ENTRY__INIT;
	struct image_writer *writer;
	struct error err = ERROR_INIT;

	add_regular(f, 1, "/tmp/x", 0, 0, 0);
	add_remap(f, 1, 5, REMAP_TYPE__GHOST);
	entry.mode = mode;
	entry.has_chunks = entry.chunks = entry.has_size = true;
	entry.size = size;
	chunk.off = off;
	chunk.len = len;
	assert_int_equal(image_writer_open(f->writing, IMAGE_GHOST_FILE, 5, &writer, &err), 0);
	assert_int_equal(image_write(writer, &entry.base, &err), 0);
	assert_int_equal(image_write(writer, &chunk.base, &err), 0);
	assert_int_equal(image_writer_close(writer, &err), 0);
}

HOSTILE(ghost_outside, "outside of the file", add_ghost(f, 100, 1, 50, 0100600))
HOSTILE(ghost_overflow, "outside of the file", add_ghost(f, 1, UINT64_MAX, 50, 0100600))
HOSTILE(ghost_short, "cut short", add_ghost(f, 0, 10, 50, 0100600))
HOSTILE(ghost_size, "impossible size", add_ghost(f, 0, 10, UINT64_MAX, 0100600))
HOSTILE(ghost_type, "no type", add_ghost(f, 0, 0, 0, 0140600))

static void add_pipe_data(struct fixture *f, uint32_t bytes, uint32_t size, uint32_t packet)
{
	PipeDataEntry entry = PIPE_DATA_ENTRY__INIT;
	struct image_writer *writer;
	struct error err = ERROR_INIT;
	void *data = calloc(1, (size_t)bytes + 1);

	add_pipe(f, 1, 0);
	entry.pipe_id = 77;
	entry.bytes = bytes;
	entry.has_size = true;
	entry.size = size;
	entry.n_packet_bytes = packet != 0;
	entry.packet_bytes = &packet;
	assert_int_equal(image_writer_open(f->writing, IMAGE_PIPES_DATA, 0, &writer, &err), 0);
	assert_int_equal(image_write(writer, &entry.base, &err), 0);
	assert_int_equal(image_write_extra(writer, data, bytes, &err), 0);
	assert_int_equal(image_writer_close(writer, &err), 0);
	free(data);
}

HOSTILE(pipe_too_full, "cannot be in a pipe", add_pipe_data(f, 70000, 65536, 0))
HOSTILE(pipe_packets, "cannot be in a pipe", add_pipe_data(f, 10, 65536, 9))
HOSTILE(pipe_packet_size, "cannot be in a pipe", add_pipe_data(f, 8192, 65536, 8192))

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(relative),
		T(nameless),
		T(flags),
		T(position),
		T(twice),
		T(pipe_flags),
		T(pipe_access),
		T(no_such_file),
		T(other_type),
		T(high_fd),
		T(fd_flags),
		T(ghost_missing),
		T(remap_of_pipe),
		T(link_missing),
		T(remap_pid),
		T(empty_entry),
		T(fifo_without_path),
		T(ghost_outside),
		T(ghost_overflow),
		T(ghost_short),
		T(ghost_size),
		T(ghost_type),
		T(pipe_too_full),
		T(pipe_packets),
		T(pipe_packet_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
