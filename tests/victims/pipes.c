/* Pipes of one task: content, size, O_NONBLOCK of one end, packets. Content is looked at with tee(2). */
#include "victim.h"

#include <sys/ioctl.h>

static int plain[2], large[2], packets[2], empty[2], nonblocking[2];
static char block[300000];

/* Copies what is in the pipe without taking it. */
static ssize_t peek(int fd, char *ret_content, size_t size)
{
	ssize_t n, copied;
	int copy[2];

	must(pipe2(copy, O_CLOEXEC | O_NONBLOCK));
	fcntl(copy[1], F_SETPIPE_SZ, 1 << 20);
	n = tee(fd, copy[1], size, SPLICE_F_NONBLOCK);
	copied = n > 0 ? read(copy[0], ret_content, size) : n;
	close(copy[0]);
	close(copy[1]);
	return copied;
}

static int in_pipe(int fd)
{
	int bytes = -1;

	must(ioctl(fd, FIONREAD, &bytes));
	return bytes;
}

static void check_packets(void)
{
	char text[16];

	check_int(read(packets[0], text, sizeof(text)), 3, "length of the first packet");
	check_bytes(text, "one", 3, "first packet");
	check_int(read(packets[0], text, 2), 2, "length of the second packet, cut");
	check_int(read(packets[0], text, sizeof(text)), 5, "length of the third packet");
	check_bytes(text, "three", 5, "third packet");
	check_int(in_pipe(packets[0]), 0, "bytes after the packets");
	must(write(packets[1], "one", 3));
	must(write(packets[1], "two!", 4));
	must(write(packets[1], "three", 5));
}

static void check_flags(
	const int *ends, int size, int read_flags, int write_flags, const char *what)
{
	check_int(fcntl(ends[0], F_GETPIPE_SZ), size, "size of the %s pipe", what);
	check_int(fcntl(ends[0], F_GETFL), read_flags, "flags of its reading end (%s)", what);
	check_int(fcntl(ends[1], F_GETFL), write_flags, "flags of its writing end (%s)", what);
}

int main(int argc, char **argv)
{
	static char content[sizeof(block)];

	victim_begin(argc, argv);
	must(pipe(plain));
	must(write(plain[1], "in the pipe", 11));
	must(pipe2(large, O_CLOEXEC));
	must(fcntl(large[1], F_SETPIPE_SZ, 1 << 19));
	fill_pattern(block, sizeof(block), 5);
	must(write(large[1], block, sizeof(block)));
	must(pipe2(packets, O_DIRECT));
	must(write(packets[1], "one", 3));
	must(write(packets[1], "two!", 4));
	must(write(packets[1], "three", 5));
	must(pipe(empty));
	must(fcntl(empty[1], F_SETPIPE_SZ, 4096));
	must(pipe(nonblocking));
	must(fcntl(nonblocking[0], F_SETFL, O_NONBLOCK));
	victim_ready();
	if (victim_spoiled())
		must(read(plain[0], content, 1));
	while (victim_next()) {
		check_int(peek(plain[0], content, sizeof(content)), 11, "bytes in the pipe");
		check_bytes(content, "in the pipe", 11, "content of the pipe");
		check_int(in_pipe(large[0]), sizeof(block), "bytes in the large pipe");
		peek(large[0], content, sizeof(block));
		check_bytes(content, block, sizeof(block), "content of the large pipe");
		check_int(in_pipe(empty[0]), 0, "bytes in the empty pipe");
		check(read(nonblocking[0], content, 1) == -1 && errno == EAGAIN,
			"an empty pipe with O_NONBLOCK");
		check_packets();
		check_flags(plain, 65536, O_RDONLY, O_WRONLY, "plain");
		check_flags(large, 1 << 19, O_RDONLY, O_WRONLY, "large");
		check_flags(empty, 4096, O_RDONLY, O_WRONLY, "empty");
		check_flags(packets, 65536, O_RDONLY, O_WRONLY | O_DIRECT, "packet");
		check_flags(nonblocking, 65536, O_RDONLY | O_NONBLOCK, O_WRONLY, "nonblocking");
		check_int(fcntl(large[0], F_GETFD), FD_CLOEXEC, "close-on-exec of the large pipe");
	}
	return 0;
}
