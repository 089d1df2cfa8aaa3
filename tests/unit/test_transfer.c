/* Batches in rings: pieces, data, nested pointers, results, failures. The executor is played by us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/syscall.h>

#include "puppet/transfer.h"

static struct ring ring;
static const struct ring_place place = {.first = {0x10000000}, .index = 2};

static uint64_t data_address(size_t offset)
{
	return place.first.v + 2 * RING_SIZE + RING_DATA + offset;
}

static void *data_at(uint64_t address)
{
	return ring.data + (address - data_address(0));
}

static void test_arguments(void **state)
{
	struct arena arena = {};
	struct batch *batch = batch_create(&arena);
	struct error err = ERROR_INIT;
	char in[5] = "abcd", out[32] = "old", inner[3] = "xy";
	struct {
		uint64_t length, pointer;
	} outer = {3, 0};
	int first, second;
	size_t end;

	(void)state;
	first = batch_op(batch, "first", SYS_openat, VAL(7), IN(in, 5), OUT(out, sizeof(out)));
	second = batch_op(
		batch, "second", SYS_ioctl, RESULT(first), IN(&outer, sizeof(outer)), RING(5));
	batch_nest(batch, second, 1, 8, inner, sizeof(inner), true, false);
	assert_int_equal(ring_load(&ring, place, batch, 0, &end, &err), 0);
	assert_int_equal(end, 2);
	assert_int_equal(ring.count, 2);
	assert_int_equal(ring.ops[0].args[0], 7);
	assert_memory_equal(data_at(ring.ops[0].args[1]), in, 5);
	/* What only comes back starts as zeros: nothing of ours leaks into the puppet. */
	assert_int_equal(*(char *)data_at(ring.ops[0].args[2]), 0);
	assert_int_equal(ring.ops[1].results, 1);
	assert_int_equal(ring.ops[1].args[0], first);
	assert_int_equal(ring.ops[1].args[2], place.first.v + 5 * RING_SIZE);
	memcpy(&outer, data_at(ring.ops[1].args[1]), sizeof(outer));
	assert_memory_equal(data_at(outer.pointer), inner, 3);

	strcpy(data_at(ring.ops[0].args[2]), "new");
	ring.ops[0].result = 3;
	ring.ops[1].result = 4;
	ring.failed = 0;
	assert_int_equal(ring_collect(&ring, batch, 0, end, 1, &err), 0);
	assert_string_equal(out, "new");
	assert_int_equal(batch_result(batch, second), 4);
	arena_deinit(&arena);
}

/* A result of an earlier piece is a plain number in a later one. */
static void test_pieces(void **state)
{
	struct arena arena = {};
	struct batch *batch = batch_create(&arena);
	struct error err = ERROR_INIT;
	size_t from = 0, end, pieces = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		batch_op(batch, "op", SYS_getpid, RESULT(i ? i - 1 : 0), VAL(i));
	for (; from < batch->count; from = end, pieces++) {
		assert_int_equal(ring_load(&ring, place, batch, from, &end, &err), 0);
		assert_true(end > from && end - from <= RING_OP_COUNT);
		for (size_t i = from; i < end; i++) {
			const struct ring_op *op = &ring.ops[i - from];

			assert_int_equal(op->args[1], i);
			if (i == from && from)
				assert_int_equal(op->args[0], 1000 + i - 1);
			else if (i)
				assert_int_equal(op->results, 1);
			ring.ops[i - from].result = 1000 + (int64_t)i;
		}
		ring.failed = 0;
		assert_int_equal(ring_collect(&ring, batch, from, end, 1, &err), 0);
	}
	assert_int_equal(pieces, 3);
	arena_deinit(&arena);
}

static void test_large_data(void **state)
{
	static char block[BATCH_DATA_MAX];
	struct arena arena = {};
	struct batch *batch = batch_create(&arena);
	struct error err = ERROR_INIT;
	size_t end;

	(void)state;
	batch_op(batch, "one", SYS_write, IN(block, sizeof(block)));
	batch_op(batch, "two", SYS_write, IN(block, sizeof(block)));
	assert_int_equal(ring_load(&ring, place, batch, 0, &end, &err), 0);
	assert_int_equal(end, 1);
	batch_op(batch, "three", SYS_write, IN(block, sizeof(block)), IN(block, sizeof(block)));
	assert_int_equal(ring_load(&ring, place, batch, 2, &end, &err), -E2BIG);
	assert_non_null(strstr(err.message, "three"));
	arena_deinit(&arena);
}

static void test_failures(void **state)
{
	struct arena arena = {};
	struct batch *batch = batch_create(&arena);
	struct error err = ERROR_INIT;
	size_t end;
	int expected;

	(void)state;
	batch_op_flags(batch, OP_ASK, "ask", SYS_prctl);
	expected = batch_op(batch, "read pages", SYS_preadv);
	batch_expect(batch, expected, 4096);
	batch_op(batch, "never run", SYS_close);
	assert_int_equal(ring_load(&ring, place, batch, 0, &end, &err), 0);
	assert_int_equal(ring.ops[0].flags, RING_OP_CONTINUE);
	assert_int_equal(ring.ops[1].flags, RING_OP_EXPECT);
	ring.ops[0].result = -EINVAL;
	ring.ops[1].result = 100;
	ring.failed = 2;
	assert_int_equal(ring_collect(&ring, batch, 0, end, 42, &err), -EIO);
	assert_int_equal(err.pid, 42);
	assert_non_null(strstr(err.message, "read pages (preadv returned 100 instead of 4096)"));
	assert_int_equal(batch_result(batch, 0), -EINVAL);
	assert_false(batch->ops[2].done);
	ring.ops[1].result = -ENOSPC;
	assert_int_equal(ring_collect(&ring, batch, 0, end, 42, &err), -ENOSPC);
	assert_non_null(strstr(err.message, "No space left"));
	/* A puppet that says more than it can is not believed. */
	ring.failed = 77;
	assert_int_equal(ring_collect(&ring, batch, 0, end, 42, &err), -EPROTO);
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_large_data),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
