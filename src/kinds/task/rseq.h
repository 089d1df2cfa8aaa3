#pragma once
/*
 * Restartable sequences (rseq.c): what the dump room and the restore room have to do themselves.
 */
#include "model/checkpoint.h"

/* Behind base/util.h: both define PAGE_SIZE. */
#include <sys/user.h>

/* The instruction pointer with which a stopped thread would really go on, if the descriptor of its
 * sequence is at rseq_cs in its memory: `ip` itself where that is not within. In a dump look() of the
 * row does it all. In a restore it is needed for images that name a sequence (rseq_cs_pointer; some
 * of CRIU's do), when the memory is filled. `pid` is any thread of the task. */
void rseq_ip_of_sequence(pid_t pid, uint64_t rseq_cs, uint64_t ip, uint64_t *ret_ip);
