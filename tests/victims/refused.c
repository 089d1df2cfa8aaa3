/*
 * One object that cannot be dumped, or not yet, of the kind that the last argument names. The harness sees
 * that it is refused by name and that the victim has not noticed. `refused DIR list` prints the kinds.
 */
#include "victim.h"

#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static void need(long result, const char *what)
{
	if (result == -1)
		victim_skip("%s: %s", what, strerror(errno));
}

static void make_io_uring(void)
{
	struct io_uring_params params = {0};

	need(syscall(SYS_io_uring_setup, 4, &params), "io_uring_setup");
}

static void make_userfaultfd(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register area = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	need(fd, "userfaultfd");
	must(ioctl(fd, UFFDIO_API, &api));
	area.range.start = (uint64_t)must_ptr(
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	area.range.len = 4 * PAGE;
	must(ioctl(fd, UFFDIO_REGISTER, &area));
}

static void make_memfd_secret(void)
{
	int fd = (int)syscall(SYS_memfd_secret, 0);

	need(fd, "memfd_secret");
	must(ftruncate(fd, PAGE));
	*(char *)must_ptr(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) = 1;
	close(fd);
}

/* Physical memory where there is /dev/mem, else the ring of a performance counter. */
static void make_device_mapping(void)
{
	struct perf_event_attr clock = {.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(clock),
		.config = PERF_COUNT_SW_CPU_CLOCK};
	int fd = open("/dev/mem", O_RDONLY);
	bool memory = fd >= 0;

	if (!memory)
		fd = (int)syscall(SYS_perf_event_open, &clock, 0, -1, -1, 0);
	need(fd, "neither /dev/mem nor perf_event_open");
	if (mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, memory ? 0xf0000 : 0) == MAP_FAILED)
		victim_skip("a mapping of a device: %s", strerror(errno));
	close(fd);
}

static void make_epoll(void)
{
	int fd = (int)must(epoll_create1(0)), ends[2];
	struct epoll_event event = {EPOLLIN, {.fd = 1}};

	must(pipe(ends));
	must(epoll_ctl(fd, EPOLL_CTL_ADD, ends[0], &event));
}

static void make_eventfd(void)
{
	must(eventfd(3, 0));
}

static void make_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	must(signalfd(-1, &set, 0));
}

static void make_timerfd(void)
{
	must(timerfd_create(CLOCK_MONOTONIC, 0));
}

static void make_inotify(void)
{
	must(inotify_add_watch((int)must(inotify_init()), "/", IN_CREATE));
}

static void make_unix_socket(void)
{
	int ends[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
}

static void make_tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	need(fd, "TCP socket");
	must(listen(fd, 1));
}

static void make_netlink_socket(void)
{
	need(socket(AF_NETLINK, SOCK_RAW, 0), "netlink socket");
}

static void make_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	need(master, "/dev/ptmx");
	must(unlockpt(master));
}

static void make_pidfd(void)
{
	must(syscall(SYS_pidfd_open, getpid(), 0));
}

static void make_file_lock(void)
{
	must(flock((int)must(open(victim_path("locked"), O_RDWR | O_CREAT, 0600)), LOCK_EX));
}

static void make_uts_namespace(void)
{
	need(unshare(CLONE_NEWUTS), "UTS namespace");
}

static void make_net_namespace(void)
{
	need(unshare(CLONE_NEWNET), "network namespace");
}

static void make_mount_namespace(void)
{
	need(unshare(CLONE_NEWNS), "mount namespace");
}

static const struct {
	const char *kind;
	void (*make)(void);
} kinds[] = {
	{"io_uring", make_io_uring},
	{"userfaultfd", make_userfaultfd},
	{"memfd_secret", make_memfd_secret},
	{"device-mapping", make_device_mapping},
	{"epoll", make_epoll},
	{"eventfd", make_eventfd},
	{"signalfd", make_signalfd},
	{"timerfd", make_timerfd},
	{"inotify", make_inotify},
	{"unix-socket", make_unix_socket},
	{"tcp-socket", make_tcp_socket},
	{"netlink-socket", make_netlink_socket},
	{"terminal", make_terminal},
	{"pidfd", make_pidfd},
	{"file-lock", make_file_lock},
	{"uts-namespace", make_uts_namespace},
	{"net-namespace", make_net_namespace},
	{"mount-namespace", make_mount_namespace},
};

int main(int argc, char **argv)
{
	const char *kind = argc > 2 ? argv[2] : "";

	if (!strcmp(kind, "list")) {
		for (size_t i = 0; i < array_size(kinds); i++)
			puts(kinds[i].kind);
		return 0;
	}
	victim_begin(argc, argv);
	for (size_t i = 0; i < array_size(kinds); i++)
		if (!strcmp(kinds[i].kind, kind)) {
			kinds[i].make();
			victim_ready();
			while (victim_next())
				;
			return 0;
		}
	victim_die("unknown kind %s", kind);
}
