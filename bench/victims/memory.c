/* That many MB of private memory with content that does not compress, in small pages. */
#include <sys/mman.h>

#include "victim.h"

int main(int argc, char **argv)
{
	size_t bytes = number(argc, argv) << 20;
	uint64_t *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t random = 88172645463325252;

	if (memory == MAP_FAILED)
		err(1, "mmap");
	for (size_t i = 0; i < bytes / sizeof(*memory); i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		memory[i] = random;
	}
	ready_and_wait();
}
