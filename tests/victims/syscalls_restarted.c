/* The same calls after a SIGSTOP and SIGCONT: the timed ones are restart_syscall then, and the time
 * that is left is known to the kernel alone. */
#define AFTER_STOP 1
#include "syscalls_blocked.c"
