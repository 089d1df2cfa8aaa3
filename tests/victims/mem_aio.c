/* An AIO context (io_setup): its ring keeps its address, which is its id, and events not yet
 * fetched. */
#include "victim.h"

#include <linux/aio_abi.h>

static char buffer[PAGE] __attribute__((aligned(4096)));

static void submit(aio_context_t context, int fd, uint64_t data)
{
	struct iocb request = {.aio_data = data,
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = (uint64_t)buffer,
		.aio_nbytes = 100};
	struct iocb *list[] = {&request};

	if (syscall(SYS_io_submit, context, 1, list) != 1)
		victim_fail("io_submit: %s", strerror(errno));
}

static void fetch(aio_context_t context, uint64_t data)
{
	struct timespec limit = {5, 0};
	struct io_event event;
	long n = syscall(SYS_io_getevents, context, 1, 1, &event, &limit);

	check(n == 1, "io_getevents gives %ld: %s", n, strerror(errno));
	if (n == 1) {
		check_int((long long)event.data, (long long)data, "the event's data");
		check_int(event.res, 100, "its result");
	}
}

int main(int argc, char **argv)
{
	aio_context_t context = 0, small = 0;
	int fd;

	victim_begin(argc, argv);
	write_file(victim_path("file"), buffer, sizeof(buffer));
	fd = (int)must(open(victim_path("file"), O_RDONLY | O_CLOEXEC));
	if (syscall(SYS_io_setup, 64, &context) == -1)
		victim_skip("io_setup: %s", strerror(errno));
	must(syscall(SYS_io_setup, 1, &small));
	/* The head and tail of the ring are not where they began. */
	for (uint64_t i = 0; i < 10; i++) {
		submit(context, fd, 100 + i);
		fetch(context, 100 + i);
	}
	submit(context, fd, 1);
	submit(context, fd, 2);
	submit(small, fd, 3);
	victim_ready();
	if (victim_spoiled())
		fetch(context, 1);
	while (victim_next()) {
		fetch(context, 1);
		fetch(context, 2);
		fetch(small, 3);
		submit(context, fd, 1);
		submit(context, fd, 2);
		submit(small, fd, 3);
	}
	return 0;
}
