#pragma once
/* The name of a system call for messages and for the printed plan: "mmap", or "syscall_451". The
 * returned string is static (for unknown numbers: overwritten by the next such call). */
const char *syscall_name(long nr);
