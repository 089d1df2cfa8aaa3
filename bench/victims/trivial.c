/* One process, one thread, nothing of its own: what every dump and restore costs. */
#include "victim.h"

int main(void)
{
	ready_and_wait();
}
