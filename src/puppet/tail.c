#include "puppet/tail.h"

#include <elf.h>
#include <alloca.h>
#include <fcntl.h>
#include <sys/auxv.h>

#include "base/io.h"
#include "kernel/procfs.h"

/* Our own vdso is the same image. Its size is not in the aux vector, but the section header table is
 * the last thing in the file; the mapping is that rounded up to pages. */
static size_t own_vdso(const unsigned char **ret_start, size_t *ret_used)
{
	const unsigned char *start = (const unsigned char *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)start;
	size_t used, size;

	if (!start)
		return 0;
	used = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
	for (int i = 0; i < header->e_phnum; i++) {
		const Elf64_Phdr *program = (const Elf64_Phdr *)(start + header->e_phoff) + i;

		if (program->p_type == PT_LOAD)
			used = MAX(used, program->p_offset + program->p_memsz);
	}
	size = PAGE_UP(used);
	while (used < size && start[used])
		used++;
	*ret_start = start;
	*ret_used = used;
	return size;
}

size_t tail_size(void)
{
	const unsigned char *start;
	size_t used, size = own_vdso(&start, &used);

	return size ? size - used : 0;
}

static int vdso_from_maps(pid_t pid, raddr *ret_start, uint64_t *ret_size, struct error *err)
{
	_cleanup_(free_ptr) char *text = NULL;
	char *line;
	int rc = procfs_read_file(pid, "maps", &text, NULL, err);

	if (rc < 0)
		return rc;
	*ret_start = (raddr){};
	*ret_size = 0;
	line = strstr(text, " [vdso]\n");
	if (!line)
		return 0;
	while (line > text && line[-1] != '\n')
		line--;
	ret_start->v = strtoull(line, &line, 16);
	*ret_size = strtoull(line + 1, NULL, 16) - ret_start->v;
	return 0;
}

/* The aux vector is cheap to read and nearly always right; maps can have 65,000 lines. */
int tail_vdso(pid_t pid, raddr *ret_start, uint64_t *ret_size, struct error *err)
{
	_cleanup_(free_ptr) char *text = NULL;
	_cleanup_(close_fd) int mem = -1;
	const unsigned char *own;
	unsigned char header[64];
	size_t size, used, own_size = own_vdso(&own, &used);
	const Elf64_auxv_t *auxv;
	int rc = procfs_read_file(pid, "auxv", &text, &size, err);

	if (rc < 0)
		return rc;
	auxv = (const Elf64_auxv_t *)text;
	for (size_t i = 0; i < size / sizeof(*auxv) && auxv[i].a_type != AT_NULL; i++) {
		if (auxv[i].a_type != AT_SYSINFO_EHDR || !own_size)
			continue;
		mem = procfs_open(pid, "mem", O_RDONLY, err);
		if (mem < 0)
			return mem;
		if (pread_full(mem, header, sizeof(header), (off_t)auxv[i].a_un.a_val) !=
				sizeof(header) ||
			memcmp(header, own, sizeof(header)) != 0)
			break;
		ret_start->v = auxv[i].a_un.a_val;
		*ret_size = own_size;
		return 0;
	}
	return vdso_from_maps(pid, ret_start, ret_size, err);
}

bool tail_contains(raddr vdso_start, uint64_t vdso_size, uint64_t rip)
{
	uint64_t end = vdso_start.v + vdso_size;

	return vdso_start.v && rip < end && rip >= end - MIN(tail_size(), vdso_size);
}

int tail_find(pid_t pid, int mem, size_t size, raddr *ret_address, struct error *err)
{
	const unsigned char *own;
	size_t used, own_size = own_vdso(&own, &used);
	uint64_t vdso_size = 0, address;
	unsigned char *bytes;
	raddr start = {};
	int rc = tail_vdso(pid, &start, &vdso_size, err);

	if (rc < 0)
		return rc;
	if (!start.v) {
		error_refuse(err, ERROR_CANNOT_DUMP, "task %d has no vdso", pid);
		error_about_task(err, pid);
		error_hint(err, "it was unmapped, or the kernel was started with vdso=0");
		return -EINVAL;
	}
	address = (start.v + vdso_size - size) & ~(uint64_t)15;
	/* What an earlier conductor left behind may be overwritten; anything else may not. */
	if (vdso_size == own_size && own_size - used >= size + 16) {
		ret_address->v = address;
		return 0;
	}
	bytes = alloca(size);
	if (pread_full(mem, bytes, size, (off_t)address) == (ssize_t)size) {
		size_t i = 0;

		while (i < size && !bytes[i])
			i++;
		if (i == size) {
			ret_address->v = address;
			return 0;
		}
	}
	error_refuse(err, ERROR_KERNEL_LACKS,
		"task %d: the vdso has no room for %zu bytes behind its code", pid, size);
	error_about_task(err, pid);
	return -EINVAL;
}

void tail_clear(int mem, raddr address, size_t size)
{
	unsigned char *zeros = alloca(size);

	memset(zeros, 0, size);
	/* The task may have died; then there is nothing to clear. */
	if (pwrite_full(mem, zeros, size, (off_t)address.v) < 0)
		return;
}
