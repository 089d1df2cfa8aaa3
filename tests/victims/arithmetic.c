/* Threads that never stop computing, with integers, SSE and x87; each result is known beforehand,
 * and a register lost at any instant makes it wrong. */
#include "victim.h"

enum { THREADS = 3, ROUNDS = 200000 };

static volatile unsigned long done[THREADS], wrong[THREADS];
/* Volatile, so that nothing is computed once and for all. */
static volatile uint64_t seed = 1;
static volatile uint64_t expected_sum;
static volatile double expected_double;
static volatile long double expected_x87;

static uint64_t integers(void)
{
	uint64_t a = seed, b = 2, c = 3, d = 4;

	for (int i = 0; i < ROUNDS; i++) {
		a = a * 6364136223846793005u + b;
		b ^= c >> 7;
		c += d << 3 | a >> 61;
		d = d * 3 + a;
	}
	return a ^ b ^ c ^ d;
}

static double doubles(void)
{
	double a = 1.5 * (double)seed, b = 0.25, c = 3;

	for (int i = 0; i < ROUNDS; i++) {
		a = a * 1.0000001 + b;
		b = b * 0.9999 + c / 1e6;
		c = c + a * 1e-9;
	}
	return a + b + c;
}

static long double x87(void)
{
	long double a = 1.5L * (long double)seed, b = 0.25L;

	for (int i = 0; i < ROUNDS; i++) {
		a = a * 1.0000001L + b;
		b = b * 0.9999L + a / 1e9L;
	}
	return a + b;
}

static void *compute(void *argument)
{
	intptr_t i = (intptr_t)argument;

	for (;;) {
		if (integers() != expected_sum || doubles() != expected_double ||
			x87() != expected_x87)
			wrong[i]++;
		done[i]++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	victim_begin(argc, argv);
	expected_sum = integers();
	expected_double = doubles();
	expected_x87 = x87();
	for (intptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, compute, (void *)i))
			victim_die("pthread_create");
	for (int i = 0; i < THREADS; i++)
		while (!done[i])
			msleep(1);
	victim_ready();
	if (victim_spoiled())
		expected_double = 1;
	while (victim_next()) {
		for (int i = 0; i < THREADS; i++) {
			unsigned long before = done[i];

			while (done[i] < before + 2)
				msleep(2);
			check_int((long long)wrong[i], 0, "wrong results of thread %d", i);
		}
	}
	return 0;
}
