/* Named pipes: with content, between tasks, nonblocking, of another size, and deleted. */
#include "victim.h"

#include <sys/ioctl.h>

/* libc says that O_LARGEFILE is 0; the kernel sets it in every open(2) all the same. */
#define LARGEFILE 0100000

static int both, reader, writer, deleted;

static void child(void *unused)
{
	(void)unused;
	close(reader);
	victim_ready();
	while (victim_next())
		must(write(writer, "answer", 6));
}

static int open_fifo(const char *name, int flags)
{
	if (mkfifo(victim_path(name), 0620) == -1 && errno != EEXIST)
		victim_die("%s: %s", name, strerror(errno));
	return (int)must(open(victim_path(name), flags));
}

static void check_content(int fd, const char *expected)
{
	char text[32] = "";
	int copy[2];

	must(pipe2(copy, O_CLOEXEC));
	check_int(tee(fd, copy[1], 100, SPLICE_F_NONBLOCK), (long)strlen(expected),
		"bytes in the fifo");
	fcntl(copy[0], F_SETFL, O_NONBLOCK);
	if (read(copy[0], text, sizeof(text) - 1) > 0)
		check_str(text, expected, "content of the fifo");
	close(copy[0]);
	close(copy[1]);
}

int main(int argc, char **argv)
{
	struct stat open_one, named;
	char text[8] = "";

	victim_begin(argc, argv);
	both = open_fifo("both", O_RDWR);
	must(write(both, "in the fifo", 11));
	must(fcntl(both, F_SETPIPE_SZ, 8192));
	reader = open_fifo("fifo", O_RDONLY | O_NONBLOCK);
	writer = open_fifo("fifo", O_WRONLY);
	deleted = open_fifo("deleted", O_RDWR | O_NONBLOCK);
	must(write(deleted, "gone", 4));
	must(unlink(victim_path("deleted")));
	start_task("child", child, NULL);
	close(writer);
	victim_ready();
	if (victim_spoiled())
		must(read(both, text, 1));
	while (victim_next()) {
		check_content(both, "in the fifo");
		check_int(fcntl(both, F_GETPIPE_SZ), 8192, "size of the fifo");
		check_int(fcntl(reader, F_GETFL) & ~LARGEFILE, O_RDONLY | O_NONBLOCK,
			"flags of the reading end");
		check_part("child");
		memset(text, 0, sizeof(text));
		must(read(reader, text, 6));
		check_str(text, "answer", "what the child wrote");
		check_content(deleted, "gone");
		must(fstat(deleted, &open_one));
		check_int(open_one.st_nlink, 0, "links of the deleted fifo");
		check(S_ISFIFO(open_one.st_mode), "the deleted fifo is none any more");
		must(fstat(both, &open_one));
		must(stat(victim_path("both"), &named));
		check(open_one.st_ino == named.st_ino, "the fifo is not the one with its name");
	}
	return 0;
}
