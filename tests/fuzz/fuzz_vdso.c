/* The vdso of an image: ELF of any bytes. */
#include "memory/restore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vdso_symbols symbols;
	unsigned char *copy = malloc(size + 1);

	memcpy(copy, data, size);
	vdso_clean_tail(copy, size);
	if (vdso_parse(copy, size, &symbols) == 0)
		for (size_t i = 0; i < symbols.count; i++)
			if (symbols.items[i].offset + 16 > size || !symbols.items[i].name[0])
				__builtin_trap();
	free(copy);
	return 0;
}
