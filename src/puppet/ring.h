#pragma once
/*
 * What conductor and executor share, byte by byte: fixed width, offsets, no pointers. Read by C and by
 * the assembler (puppet/arch/ARCH/executor.S).
 *
 * A ring is one batch's worth of ops and their data, in memory that both have mapped. The conductor
 * fills ops, then changes `go`; the executor runs them in order, then stores go's value to `done`.
 */

#define RING_SIZE     65536
#define RING_OP_COUNT 400

/* struct ring */
#define RING_GO       0 /* u32: number of the batch to run; a futex */
#define RING_DONE     4 /* u32: number of the batch that was run; a futex */
#define RING_WAITING  8 /* u32: the conductor sleeps on done and wants to be woken */
#define RING_COUNT    12 /* u32: ops in this batch */
#define RING_FAILED   16 /* u32: 1 + index of the op that ended the batch; 0 if all were run */
#define RING_OWNER    20 /* u32, dump: robust futex held by the conductor: TID | FUTEX_WAITERS */
#define RING_VISITING 24 /* u32, dump: VISITING_*: may another thread be touching the ring? */
#define RING_COMMIT   28 /* u32, restore, in the first ring only: 1 when the tree is to live */
#define RING_OPS      128

/* struct ring_op */
#define RING_OP_SIZE     80
#define RING_OP_NR       0
#define RING_OP_ARGS     8
#define RING_OP_RESULTS  56 /* u32: bit i: args[i] is the index of an op whose result is meant */
#define RING_OP_FLAGS    60 /* u32 */
#define RING_OP_RESULT   64
#define RING_OP_EXPECTED 72

#define RING_OP_CONTINUE 1 /* go on after an error */
#define RING_OP_EXPECT   2 /* any result but `expected` ends the batch */
#define RING_OP_CLONE    4 /* args[2] is the ring of the child (the kernel ignores it) */

#define RING_DATA (RING_OPS + RING_OP_COUNT * RING_OP_SIZE)

/* Values of `visiting`. A visitor under a seccomp filter cannot say that it has left, so in its task the
 * arena is never unmapped by the tasks themselves. */
#define VISITING_NOBODY  0
#define VISITING_ONE     1
#define VISITING_UNKNOWN 2

/* Slots of the dump executor, behind its code: where a thread goes when the conductor dies. */
#define SLOT_MASK  0
#define SLOT_RIP   8
#define SLOT_RAX   16
#define SLOT_RBX   24
#define SLOT_RCX   32
#define SLOT_RDX   40
#define SLOT_RSI   48
#define SLOT_RDI   56
#define SLOT_RBP   64
#define SLOT_R8    72
#define SLOT_R9    80
#define SLOT_R10   88
#define SLOT_R11   96
#define SLOT_R12   104
#define SLOT_R13   112
#define SLOT_R14   120
#define SLOT_R15   128
#define SLOT_FLAGS 136 /* u16: low byte OF, high byte SF..CF, as the executor loads them */
#define SLOT_DOWN  138 /* u8: the direction flag */
#define SLOT_SIZE  144

/* Roles of a thread in the dump executor (r12). */
#define ROLE_VISITOR     1 /* not the thread that keeps the arena */
#define ROLE_NO_SYSCALLS 2 /* under a seccomp filter: heal without system calls */

/* The record below a restored thread's red zone, from which landing loads its registers. */
#define LAND_RIP   0
#define LAND_MASK  8
#define LAND_FLAGS 16
#define LAND_DOWN  18
#define LAND_RAX   24
#define LAND_RDI   32
#define LAND_RSI   40
#define LAND_RDX   48
#define LAND_R10   56
#define LAND_RCX   64
#define LAND_R11   72
#define LAND_SIZE  80
#define RED_ZONE   128

/* How to land (r10). */
#define LAND_UNMAP       1
#define LAND_NO_SYSCALLS 2

#ifndef __ASSEMBLER__
#include <stdint.h>

struct ring_op {
	uint64_t nr;
	uint64_t args[6];
	uint32_t results, flags;
	int64_t result, expected;
};

struct ring {
	uint32_t go, done, waiting, count, failed, owner, visiting, commit;
	uint8_t reserved[RING_OPS - 32];
	struct ring_op ops[RING_OP_COUNT];
	uint8_t data[RING_SIZE - RING_DATA];
};

_Static_assert(sizeof(struct ring_op) == RING_OP_SIZE, "ring op layout");
_Static_assert(sizeof(struct ring) == RING_SIZE, "ring layout");
_Static_assert(__builtin_offsetof(struct ring, ops) == RING_OPS, "ring layout");
_Static_assert(__builtin_offsetof(struct ring, data) == RING_DATA, "ring layout");

/* The pieces of code that executor.S exports. They are position-independent bytes, copied to where
 * they run; entry points are offsets from the start of their piece. */
struct code_piece {
	const unsigned char *start;
	uint32_t size;
};

/* Dump: lives in the zero tail of the target's vdso page, slots behind it. */
extern const unsigned char dump_executor_start[], dump_executor_mapped[], dump_executor_visit[],
	dump_executor_slots[], dump_executor_end[];
/* Restore: a page of its own in the puppet. */
extern const unsigned char restore_executor_start[], restore_executor_wait[],
	restore_executor_end[];
/* Restore: the last instructions, in the zero tail of the vdso page. */
extern const unsigned char landing_start[], landing_unmap[], landing_end[];
/* Restore: the program that a puppet is born with. */
extern const unsigned char stub_start[], stub_end[];
#endif
