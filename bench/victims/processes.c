/* Processes that all sleep, children of one. */
#include "victim.h"

int main(int argc, char **argv)
{
	size_t n = number(argc, argv);

	/* The parent is one of them. */
	for (size_t i = 1; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid == 0)
			ready_and_wait();
	}
	ready_and_wait();
}
