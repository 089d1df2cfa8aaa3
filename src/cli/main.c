#include "base/log.h"

int main(void)
{
	log_error("nothing is built yet");
	return 1;
}
