/* A robust mutex tells its next owner that the last one died holding it: the kernel knows the list
 * of each thread. Each verification kills the holder and makes a new one. */
#include "victim.h"

static struct shared {
	pthread_mutex_t mutex;
	volatile int held;
} * shared;

static pid_t hold(void)
{
	pid_t pid;

	shared->held = 0;
	pid = (pid_t)must(fork());
	if (pid == 0) {
		pthread_mutex_lock(&shared->mutex);
		shared->held = 1;
		for (;;)
			pause();
	}
	while (!shared->held)
		msleep(1);
	return pid;
}

static void *robust_head(pid_t pid)
{
	void *head = NULL;
	size_t size = 0;

	must(syscall(SYS_get_robust_list, pid, &head, &size));
	return head;
}

int main(int argc, char **argv)
{
	pthread_mutexattr_t attributes;
	void *own, *holders;
	pid_t holder;

	victim_begin(argc, argv);
	shared = must_ptr(
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&shared->mutex, &attributes);
	own = robust_head(0);
	holder = hold();
	holders = robust_head(holder);
	victim_ready();
	if (victim_spoiled())
		must(syscall(SYS_set_robust_list, NULL, 24));
	while (victim_next()) {
		check_int((long long)robust_head(0), (long long)own, "own robust list");
		check_int((long long)robust_head(holder), (long long)holders, "the holder's list");
		check_int(pthread_mutex_trylock(&shared->mutex), EBUSY, "the mutex while held");
		must(kill(holder, SIGKILL));
		must(waitpid(holder, NULL, 0));
		check_int(pthread_mutex_trylock(&shared->mutex), EOWNERDEAD,
			"the mutex after the holder's death");
		pthread_mutex_consistent(&shared->mutex);
		pthread_mutex_unlock(&shared->mutex);
		holder = hold();
	}
	kill(holder, SIGKILL);
	return 0;
}
