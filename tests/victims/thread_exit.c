/* A thread that ends clears its tid in memory and wakes those who join it (clear_child_tid). */
#include "victim.h"

static volatile bool leave;

static void *run(void *ret_address)
{
	must(prctl(PR_GET_TID_ADDRESS, ret_address));
	while (!leave)
		msleep(2);
	return (void *)0x1234;
}

static pthread_t begin(int **ret_address)
{
	pthread_t thread;

	*ret_address = NULL;
	leave = false;
	if (pthread_create(&thread, NULL, run, ret_address))
		victim_die("pthread_create");
	while (!*(int *volatile *)ret_address)
		msleep(1);
	return thread;
}

int main(int argc, char **argv)
{
	static int *address, *own, *now, elsewhere;
	pthread_t thread;

	victim_begin(argc, argv);
	must(prctl(PR_GET_TID_ADDRESS, &own));
	thread = begin(&address);
	victim_ready();
	if (victim_spoiled())
		syscall(SYS_set_tid_address, &elsewhere);
	while (victim_next()) {
		struct timespec limit;
		void *value = NULL;
		int error;

		must(prctl(PR_GET_TID_ADDRESS, &now));
		check_int((long long)now, (long long)own, "clear_child_tid of the main thread");
		leave = true;
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec += 10;
		error = pthread_timedjoin_np(thread, &value, &limit);
		check(!error, "pthread_join: %s", strerror(error));
		check_int((long long)value, 0x1234, "what the thread returned");
		thread = begin(&address);
	}
	leave = true;
	return 0;
}
