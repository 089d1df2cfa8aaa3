#include "memory/internal.h"
#include <elf.h>

/* The kernel's vdso ends with its section headers; the rest of its last page is zero, but for the
 * dump executor that stands there meanwhile. */
void vdso_clean_tail(unsigned char *content, size_t size)
{
	const Elf64_Ehdr *header = (const void *)content;
	uint64_t end;

	if (size < sizeof(*header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return;
	end = header->e_shoff + (uint64_t)header->e_shnum * header->e_shentsize;
	if (end >= sizeof(*header) && end < size)
		memset(content + end, 0, size - end);
}
