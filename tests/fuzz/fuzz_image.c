/*
 * libFuzzer: any bytes as an image file. The first byte chooses how they are looked at, the rest is the
 * file. Built with -Dfuzz=true and clang; seeds come from tests/fuzz/make-seeds.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "base/io.h"
#include "image/show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *null;
	static int fd = -1;
	static char path[32];
	struct error err = ERROR_INIT;

	if (fd < 0) {
		null = fopen("/dev/null", "w");
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (!size)
		return 0;
	if (ftruncate(fd, 0) < 0 || pwrite_full(fd, data + 1, size - 1, 0) < 0)
		abort();
	if (image_show_file(path, data[0] & 1, null, &err) < 0 && err.class != ERROR_BAD_IMAGE)
		abort();
	return 0;
}
