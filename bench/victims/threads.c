/* Threads that all sleep. */
#include <pthread.h>

#include "victim.h"

static __attribute__((noreturn)) void *run(void *barrier)
{
	pthread_barrier_wait(barrier);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	size_t n = number(argc, argv);
	pthread_barrier_t barrier;
	pthread_attr_t attr;
	pthread_t thread;

	/* The main thread is one of them. */
	pthread_barrier_init(&barrier, NULL, (unsigned)n);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (size_t i = 1; i < n; i++)
		if (pthread_create(&thread, &attr, run, &barrier))
			errx(1, "pthread_create");
	pthread_barrier_wait(&barrier);
	ready_and_wait();
}
