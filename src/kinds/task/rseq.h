#pragma once
/*
 * Restartable sequences (rseq.c): what the dump room and the restore room have to do themselves.
 */
#include "model/checkpoint.h"

/* Behind base/util.h: both define PAGE_SIZE. */
#include <sys/user.h>

/* The instruction pointer with which a stopped thread would really go on. The kernel aborts a
 * sequence in which a thread was stopped before it runs again; an executor in between hides that
 * from it, so it is done by hand:
 *
 *  - in a dump, after the stop and before anything is injected: look() of the row does it, for the
 *    image and for the registers to be given back.
 *  - in a restore, for images that name a sequence (rseq_cs_pointer; CRIU writes such), when the
 *    memory is filled: rseq_ip_of_sequence().
 *
 * *ret_ip is `ip` itself where the thread is in no sequence. A thread whose area cannot be read is
 * left as it is: the kernel will kill it for that. */
void rseq_resume_ip(pid_t pid, pid_t tid, uint64_t ip, uint64_t *ret_ip);

/* The same where the descriptor of the sequence is known. `pid` is any thread of the puppet. */
void rseq_ip_of_sequence(pid_t pid, uint64_t rseq_cs, uint64_t ip, uint64_t *ret_ip);
