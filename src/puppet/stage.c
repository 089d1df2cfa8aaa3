#include "puppet/stage.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "kernel/procfs.h"
#include "kernel/uapi.h"

/* The sizes of [vvar...] and [vdso], from our own maps: every process of this kernel has the same. */
static int measure_vdso(struct stage *stage, struct error *err)
{
	_cleanup_(free_ptr) char *text = NULL;
	uint64_t vvar_start = 0;
	int rc = procfs_read_file(getpid(), "maps", &text, NULL, err);

	if (rc < 0)
		return rc;
	for (char *line = text; line && *line;) {
		char *end = strchr(line, '\n'), *p;
		uint64_t from = strtoull(line, &p, 16), to = strtoull(p + 1, NULL, 16);

		if (end)
			*end = '\0';
		if (strstr(line, " [vvar") && !vvar_start)
			vvar_start = from;
		if (strstr(line, " [vdso]")) {
			stage->vdso_size = to - from;
			stage->vvar_size = vvar_start ? from - vvar_start : 0;
		}
		line = end ? end + 1 : NULL;
	}
	return 0;
}

#define VDSO_ROOM ((uint64_t)256 * 1024)

uint64_t stage_size(size_t ring_count)
{
	return 2 * PAGE_SIZE + VDSO_ROOM + ring_count * RING_SIZE;
}

raddr stage_ring(const struct stage *stage, size_t index)
{
	return (raddr){stage->rings.v + index * RING_SIZE};
}

/* vm.memfd_noexec=1 refuses to execute a memfd that was not made for it (6.3), and older kernels do not
 * know the flag. */
static int executable_memfd(const char *name, struct error *err)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_EXEC);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC);
	if (fd < 0 && errno == EACCES) {
		/* vm.memfd_noexec=2 refuses all: a nameless file on disk serves as well. */
		fd = open("/run", O_TMPFILE | O_RDWR | O_CLOEXEC, 0700);
		if (fd < 0)
			fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0700);
	}
	if (fd < 0)
		return error_set(err, errno, "creating memory for the executor");
	return fd;
}

static int create_code(struct stage *stage, struct error *err)
{
	unsigned char page[4096] = {};
	int rc;

	memcpy(page, restore_executor_start,
		(size_t)(restore_executor_end - restore_executor_start));
	stage->code_fd = executable_memfd("stasis-executor", err);
	if (stage->code_fd < 0)
		return stage->code_fd;
	rc = write_full(stage->code_fd, page, sizeof(page));
	return rc < 0 ? error_set(err, -rc, "writing the executor") : 0;
}

static int create_rings(struct stage *stage, struct error *err)
{
	size_t size = stage->ring_count * RING_SIZE;

	stage->rings_fd = memfd_create("stasis-rings", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	if (stage->rings_fd < 0 && errno == EINVAL)
		stage->rings_fd = memfd_create("stasis-rings", MFD_CLOEXEC);
	if (stage->rings_fd < 0 || ftruncate(stage->rings_fd, (off_t)size) < 0)
		return error_set(err, errno, "creating %zu rings", stage->ring_count);
	stage->ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, stage->rings_fd, 0);
	if (stage->ring == MAP_FAILED) {
		stage->ring = NULL;
		return error_set(err, errno, "mapping %zu rings", stage->ring_count);
	}
	return 0;
}

int stage_create(struct stage *stage, raddr start, size_t ring_count, struct error *err)
{
	int rc;

	stage->ring_count = ring_count;
	stage->start = start;
	stage->end.v = start.v + stage_size(ring_count);
	stage->code = start;
	stage->stub.v = start.v + PAGE_SIZE;
	stage->vdso.v = start.v + 2 * PAGE_SIZE;
	stage->rings.v = stage->vdso.v + VDSO_ROOM;
	rc = measure_vdso(stage, err);
	if (rc == 0 && stage->vvar_size + stage->vdso_size > VDSO_ROOM)
		rc = error_set(err, E2BIG, "the vdso of this kernel");
	if (rc == 0)
		rc = create_code(stage, err);
	if (rc == 0)
		rc = create_rings(stage, err);
	return rc;
}

int stage_write_stub(struct stage *stage, int code_fd, int rings_fd, struct error *err)
{
	const uint64_t params[] = {stage->code.v, (uint64_t)code_fd, stage->rings.v,
		stage->ring_count * RING_SIZE, (uint64_t)rings_fd,
		stage->code.v + (uint64_t)(restore_executor_wait - restore_executor_start)};
	size_t code_size = (size_t)(stub_end - stub_start);
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr program;
		unsigned char code[512];
	} file = {
		.header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				   EV_CURRENT},
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1},
		.program = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_align = PAGE_SIZE},
	};
	_cleanup_(close_fd) int fd = -1;
	char path[64];
	int rc;

	_Static_assert(sizeof(params) < 128, "room behind the stub");
	file.header.e_entry = stage->stub.v + offsetof(typeof(file), code);
	file.program.p_vaddr = file.program.p_paddr = stage->stub.v;
	file.program.p_filesz = file.program.p_memsz = sizeof(file);
	memcpy(file.code, stub_start, code_size);
	memcpy(file.code + code_size, params, sizeof(params));
	fd = executable_memfd("stasis-stub", err);
	if (fd < 0)
		return fd;
	rc = write_full(fd, &file, sizeof(file));
	if (rc < 0 || fchmod(fd, 0500) < 0)
		return error_set(err, rc < 0 ? -rc : errno, "writing the stub");
	/* A file that is open for writing cannot be executed. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	stage->stub_fd = open(path, O_RDONLY | O_CLOEXEC);
	return stage->stub_fd < 0 ? error_set(err, errno, "opening the stub") : 0;
}

void stage_destroy(struct stage *stage)
{
	if (stage->ring)
		munmap(stage->ring, stage->ring_count * RING_SIZE);
	close_fd(&stage->code_fd);
	close_fd(&stage->rings_fd);
	close_fd(&stage->stub_fd);
	*stage = STAGE_INIT;
}
