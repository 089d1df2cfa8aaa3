/* The plainest one: a number in memory that goes on counting. */
#include "victim.h"

int main(int argc, char **argv)
{
	volatile unsigned long count = 1, check_sum = 3;

	victim_begin(argc, argv);
	victim_ready();
	if (victim_spoiled())
		check_sum++;
	while (victim_next()) {
		for (int i = 0; i < 1000; i++) {
			count++;
			check_sum += 3;
		}
		check_int((long long)check_sum, (long long)(count * 3), "the sum at %lu", count);
	}
	return 0;
}
