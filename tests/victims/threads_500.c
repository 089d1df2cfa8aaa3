/* Five hundred threads, each with a name, a tid and a number on its stack, waiting on one
 * condition. */
#include "victim.h"

enum { THREADS = 500 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked = PTHREAD_COND_INITIALIZER, answered = PTHREAD_COND_INITIALIZER;
static unsigned question;
static int answers;
static char complaint[THREADS][80];
static _Thread_local int own_number;

static void look_at_myself(int i, pid_t tid, volatile const uint64_t *numbers)
{
	char name[32], expected[32];

	snprintf(expected, sizeof(expected), "thread %d", i);
	pthread_getname_np(pthread_self(), name, sizeof(name));
	complaint[i][0] = '\0';
	if (get_tid() != tid)
		snprintf(complaint[i], 80, "tid is %d, was %d", get_tid(), tid);
	else if (strcmp(name, expected))
		snprintf(complaint[i], 80, "name is %s, was %s", name, expected);
	else if (own_number != i)
		snprintf(complaint[i], 80, "thread-local %d, was %d", own_number, i);
	for (int n = 0; n < 64; n++)
		if (numbers[n] != (uint64_t)i * 1000003 + (uint64_t)n)
			snprintf(complaint[i], 80, "number %d on the stack differs", n);
}

static void *run(void *argument)
{
	int i = (int)(intptr_t)argument;
	volatile uint64_t numbers[64];
	pid_t tid = get_tid();
	unsigned seen = 0;
	char name[32];

	for (int n = 0; n < 64; n++)
		numbers[n] = (uint64_t)i * 1000003 + (uint64_t)n;
	own_number = i;
	snprintf(name, sizeof(name), "thread %d", i);
	pthread_setname_np(pthread_self(), name);
	pthread_mutex_lock(&lock);
	for (;;) {
		answers++;
		pthread_cond_signal(&answered);
		while (question == seen)
			pthread_cond_wait(&asked, &lock);
		seen = question;
		look_at_myself(i, tid, numbers);
		if (victim_spoiled() && i == 77)
			snprintf(complaint[i], 80, "spoiled");
	}
	return NULL;
}

static void await_answers(void)
{
	while (answers < THREADS)
		pthread_cond_wait(&answered, &lock);
	answers = 0;
}

int main(int argc, char **argv)
{
	pthread_attr_t attributes;
	pthread_t thread;

	victim_begin(argc, argv);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, &attributes, run, (void *)(intptr_t)i))
			victim_skip("no more than %d threads can be had", i);
	pthread_mutex_lock(&lock);
	await_answers();
	pthread_mutex_unlock(&lock);
	victim_ready();
	while (victim_next()) {
		pthread_mutex_lock(&lock);
		question++;
		pthread_cond_broadcast(&asked);
		await_answers();
		pthread_mutex_unlock(&lock);
		for (int i = 0; i < THREADS; i++)
			check(!complaint[i][0], "thread %d: %s", i, complaint[i]);
	}
	return 0;
}
