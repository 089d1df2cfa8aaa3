/* Two hundred processes that wait on one condition in shared memory. */
#include "victim.h"

enum { TASKS = 200 };

static struct shared {
	pthread_mutex_t lock;
	pthread_cond_t asked, answered;
	unsigned question;
	int answers;
	bool leave;
	bool wrong[TASKS];
} * shared;

static void run(int i, pid_t parent)
{
	unsigned char own[256];
	pid_t pid = getpid();
	unsigned seen = 0;

	memset(own, i, sizeof(own));
	pthread_mutex_lock(&shared->lock);
	for (;;) {
		shared->answers++;
		pthread_cond_signal(&shared->answered);
		while (shared->question == seen && !shared->leave)
			pthread_cond_wait(&shared->asked, &shared->lock);
		if (shared->leave)
			break;
		seen = shared->question;
		shared->wrong[i] = getpid() != pid || getppid() != parent ||
				   own[seen % sizeof(own)] != (unsigned char)i;
		if (victim_spoiled() && i == 77)
			shared->wrong[i] = true;
	}
	pthread_mutex_unlock(&shared->lock);
	_exit(0);
}

static void await_answers(void)
{
	while (shared->answers < TASKS)
		pthread_cond_wait(&shared->answered, &shared->lock);
	shared->answers = 0;
}

static void share(void)
{
	pthread_mutexattr_t mutex;
	pthread_condattr_t cond;

	shared = must_ptr(mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->lock, &mutex);
	pthread_condattr_init(&cond);
	pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->asked, &cond);
	pthread_cond_init(&shared->answered, &cond);
}

int main(int argc, char **argv)
{
	pid_t parent = getpid();

	victim_begin(argc, argv);
	share();
	for (int i = 0; i < TASKS; i++)
		if (must(fork()) == 0)
			run(i, parent);
	pthread_mutex_lock(&shared->lock);
	await_answers();
	pthread_mutex_unlock(&shared->lock);
	victim_ready();
	while (victim_next()) {
		pthread_mutex_lock(&shared->lock);
		shared->question++;
		pthread_cond_broadcast(&shared->asked);
		await_answers();
		pthread_mutex_unlock(&shared->lock);
		for (int i = 0; i < TASKS; i++)
			check(!shared->wrong[i], "task %d is not what it was", i);
	}
	pthread_mutex_lock(&shared->lock);
	shared->leave = true;
	pthread_cond_broadcast(&shared->asked);
	pthread_mutex_unlock(&shared->lock);
	while (wait(NULL) > 0)
		;
	return 0;
}
