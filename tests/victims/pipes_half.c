/* Pipes with one end gone: the rest can be read, then comes the end; writing is EPIPE. */
#include "victim.h"

#include <poll.h>

static int orphaned[2], deaf[2], drained[2];

static short events_of(int fd, short events)
{
	struct pollfd p = {fd, events, 0};

	must(poll(&p, 1, 0));
	return p.revents;
}

static void check_rest(void)
{
	int copy[2];
	char text[32];

	must(pipe2(copy, O_CLOEXEC));
	check_int(tee(orphaned[0], copy[1], 100, SPLICE_F_NONBLOCK), 8, "bytes that are left");
	if (read(copy[0], text, sizeof(text)) > 0)
		check_bytes(text, "the rest", 8, "what is left");
	close(copy[0]);
	close(copy[1]);
	check_int(events_of(orphaned[0], POLLIN), POLLIN | POLLHUP,
		"events of a pipe without writer");
}

int main(int argc, char **argv)
{
	char byte;

	victim_begin(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	must(pipe(orphaned));
	must(write(orphaned[1], "the rest", 8));
	close(orphaned[1]);
	must(pipe(deaf));
	must(write(deaf[1], "unheard", 7));
	close(deaf[0]);
	must(pipe(drained));
	close(drained[1]);
	victim_ready();
	if (victim_spoiled())
		must(read(orphaned[0], &byte, 1));
	while (victim_next()) {
		check_rest();
		check_int(read(drained[0], &byte, 1), 0, "read at the end");
		check_int(write(deaf[1], "x", 1), -1, "write without a reader");
		check_int(errno, EPIPE, "its errno");
		check(events_of(deaf[1], POLLOUT) & POLLERR, "no POLLERR without a reader");
	}
	return 0;
}
