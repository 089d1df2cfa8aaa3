/*
 * Blocked signals that wait, for a thread and for the process, in their order and with all that
 * came with them. A verification takes them one by one and queues the same ones again.
 */
#include "victim.h"

#include <sys/time.h>

enum { MOST = 16 };

struct queue {
	sigset_t signals;
	int count;
	siginfo_t infos[MOST];
};

static void block_all(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static int take(const struct queue *queue, siginfo_t *ret_infos)
{
	const struct timespec now = {0, 0};
	int n = 0;

	while (n < MOST && sigtimedwait(&queue->signals, &ret_infos[n], &now) > 0)
		n++;
	return n;
}

/* To oneself any siginfo may be sent, also one that says it is the kernel's. */
static void put_back(const siginfo_t *infos, int count, bool private)
{
	for (int i = 0; i < count; i++) {
		siginfo_t info = infos[i];

		if (private)
			must(syscall(
				SYS_rt_tgsigqueueinfo, getpid(), get_tid(), info.si_signo, &info));
		else
			must(syscall(SYS_rt_sigqueueinfo, getpid(), info.si_signo, &info));
	}
}

static void verify(const struct queue *queue, bool private)
{
	siginfo_t infos[MOST];
	unsigned long long mask = strtoull(status_field(private ? "SigPnd" : "ShdPnd"), NULL, 16);
	int n;

	for (int i = 0; i < queue->count; i++)
		check(mask >> (queue->infos[i].si_signo - 1) & 1,
			"signal %d is not pending for the %s", queue->infos[i].si_signo,
			private ? "thread" : "process");
	memset(infos, 0, sizeof(infos));
	n = take(queue, infos);
	check_int(n, queue->count, "number of signals");
	for (int i = 0; i < n && i < queue->count; i++) {
		check_int(infos[i].si_signo, queue->infos[i].si_signo, "signal %d", i);
		check_int(infos[i].si_code, queue->infos[i].si_code, "code of signal %d", i);
		check_bytes(&infos[i], &queue->infos[i], sizeof(siginfo_t), "siginfo %d", i);
	}
	put_back(queue->infos, queue->count, private);
}

static void remember(struct queue *queue, bool private)
{
	memset(queue->infos, 0, sizeof(queue->infos));
	queue->count = take(queue, queue->infos);
	put_back(queue->infos, queue->count, private);
}

static void send_value(int signal, int value, bool private)
{
	siginfo_t info = {.si_signo = signal, .si_code = SI_QUEUE};

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_ptr = (void *)(0x1234567800000000 + (long)value);
	put_back(&info, 1, private);
}

static void thread(void *unused)
{
	struct queue queue = {0};

	(void)unused;
	sigaddset(&queue.signals, SIGUSR2);
	sigaddset(&queue.signals, SIGRTMIN + 3);
	sigaddset(&queue.signals, SIGRTMIN + 4);
	must(syscall(SYS_tgkill, getpid(), get_tid(), SIGUSR2));
	for (int i = 1; i <= 3; i++)
		send_value(SIGRTMIN + 3, i, true);
	send_value(SIGRTMIN + 4, 99, true);
	remember(&queue, true);
	victim_ready();
	if (victim_spoiled())
		send_value(SIGRTMIN + 3, 4, true);
	while (victim_next())
		verify(&queue, true);
}

static struct queue shared_queue(void)
{
	struct itimerval soon = {.it_value.tv_usec = 1};
	struct queue queue = {0};
	pid_t child;

	sigaddset(&queue.signals, SIGUSR1);
	sigaddset(&queue.signals, SIGALRM);
	sigaddset(&queue.signals, SIGCHLD);
	sigaddset(&queue.signals, SIGTERM);
	sigaddset(&queue.signals, SIGRTMIN + 5);
	sigaddset(&queue.signals, SIGRTMAX);
	must(kill(getpid(), SIGUSR1));
	must(kill(getpid(), SIGTERM));
	must(setitimer(ITIMER_REAL, &soon, NULL));
	for (int i = 1; i <= 4; i++)
		send_value(SIGRTMIN + 5, 10 * i, false);
	send_value(SIGRTMAX, 7, false);
	child = (pid_t)must(fork());
	if (child == 0)
		_exit(3);
	must(waitpid(child, NULL, 0));
	msleep(20);
	remember(&queue, false);
	return queue;
}

int main(int argc, char **argv)
{
	struct queue queue;

	victim_begin(argc, argv);
	block_all();
	start_thread("thread", thread, NULL);
	queue = shared_queue();
	if (queue.count != 9)
		victim_die("%d signals are pending, not 9", queue.count);
	victim_ready();
	while (victim_next()) {
		verify(&queue, false);
		check_part("thread");
	}
	return 0;
}
