#pragma once
/*
 * A batch: system calls that a puppet makes for us.
 *
 * A batch is built in the conductor's own memory and knows no puppet; puppet_run() copies it, piece
 *by piece where it is long, into the page that it shares with the puppet, and brings results back.
 *An argument is a plain number, the address of a piece of our data (copied in, out, or both), or
 *the result of an earlier op of the same batch:
 *
 *	int fd = batch_op(b, "open the terminal", __NR_openat, VAL(AT_FDCWD), IN(path, strlen(path)
 *+ 1), VAL(O_RDWR)); batch_op(b, "make it controlling", __NR_ioctl, RESULT(fd), VAL(TIOCSCTTY),
 *VAL(0));
 *
 * Data given with IN/OUT/INOUT must stay where it is until the batch has run (use the arena).
 * By default an op that returns an error ends the batch, and puppet_run() fails naming the op.
 */
#include "base/arena.h"
#include "base/error.h"

enum op_arg_kind {
	OP_ARG_VALUE,
	OP_ARG_DATA, /* the puppet is given the address of a copy of our bytes */
	OP_ARG_RESULT, /* the result of op number `value` of this batch */
	OP_ARG_RING, /* the address of the ring of puppet number `value` (executor's own use) */
};

/* Bytes that travel. `nested` says that at `offset` of its parent's bytes stands its address
 * (struct sock_fprog and the like). */
struct op_data {
	void *bytes;
	uint32_t size;
	bool in, out;
};

struct op_nested {
	struct op_nested *next;
	int arg; /* whose data holds the pointer */
	uint32_t offset; /* where in it */
	struct op_data data;
};

struct op_arg {
	enum op_arg_kind kind;
	uint64_t value;
	struct op_data data;
};

enum op_flags {
	OP_ADVISORY = 1, /* an error is a warning in the log: the batch goes on */
	OP_ASK = 2, /* an error is an answer (result < 0): the batch goes on silently */
	OP_EXPECT = 4, /* any result but `expected` is a failure */
	OP_CLONE = 8, /* a clone3 whose child gets the ring named by the third argument */
	OP_FORK = 16, /* with OP_CLONE: the child is a process; ptrace tells us of it */
};

struct op {
	const char *what; /* "set the alternate signal stack": for errors and for --dry-run */
	long nr;
	uint32_t flags;
	struct op_arg args[6];
	struct op_nested *nested;
	int64_t expected;
	int64_t result; /* after the run: the raw return value, negative errno on failure */
	bool done;
};

struct batch {
	struct arena *arena;
	struct op *ops;
	size_t count, capacity;
};

#define VAL(v)      ((struct op_arg){.kind = OP_ARG_VALUE, .value = (uint64_t)(v)})
#define RESULT(op)  ((struct op_arg){.kind = OP_ARG_RESULT, .value = (uint64_t)(op)})
#define RING(index) ((struct op_arg){.kind = OP_ARG_RING, .value = (uint64_t)(index)})
#define IN(p, n)                              \
	((struct op_arg){.kind = OP_ARG_DATA, \
		.data = {.bytes = (void *)(uintptr_t)(p), .size = (uint32_t)(n), .in = true}})
#define OUT(p, n)         \
	((struct op_arg){ \
		.kind = OP_ARG_DATA, .data = {.bytes = (p), .size = (uint32_t)(n), .out = true}})
#define INOUT(p, n)                           \
	((struct op_arg){.kind = OP_ARG_DATA, \
		.data = {.bytes = (p), .size = (uint32_t)(n), .in = true, .out = true}})

struct batch *batch_create(struct arena *arena);

/* Appends a call; missing arguments are 0. `what` is a static or arena string. Returns the op's
 * number in this batch, for RESULT() and batch_result(). A single piece of data is at most
 * BATCH_DATA_MAX bytes. */
#define batch_op(batch, what, nr, ...) \
	batch_add((batch), (what), (nr), 0, (struct op_arg[6]){__VA_ARGS__})
#define batch_op_flags(batch, flags, what, nr, ...) \
	batch_add((batch), (what), (nr), (flags), (struct op_arg[6]){__VA_ARGS__})
int batch_add(struct batch *batch, const char *what, long nr, uint32_t flags,
	const struct op_arg args[6]);

/* The op fails unless it returns just this (read and write counts, addresses). */
void batch_expect(struct batch *batch, int op, int64_t expected);
/* Lets the pointer at `offset` of the data of argument `arg` point to more of our bytes. */
void batch_nest(struct batch *batch, int op, int arg, uint32_t offset, void *bytes, uint32_t size,
	bool in, bool out);

static inline int64_t batch_result(const struct batch *batch, int op)
{
	return batch->ops[op].result;
}

#define BATCH_DATA_MAX (24 * 1024)

/* One line for an op, as --dry-run prints it: "mmap(0x7f.., 4096, ...)  # map the stack". */
void batch_print_op(const struct op *op, FILE *out);
