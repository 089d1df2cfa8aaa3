#include "puppet/transfer.h"

#include "base/log.h"
#include "kernel/syscall_names.h"

#define ALIGN16(x) (((x) + 15) & ~(size_t)15)

static size_t op_data_size(const struct op *op)
{
	size_t size = 0;

	for (int i = 0; i < 6; i++)
		if (op->args[i].kind == OP_ARG_DATA)
			size += ALIGN16(op->args[i].data.size);
	for (struct op_nested *nested = op->nested; nested; nested = nested->next)
		size += ALIGN16(nested->data.size);
	return size;
}

static uint64_t ring_address(struct ring_place place, uint64_t index)
{
	return place.first.v + index * RING_SIZE;
}

/* Copies one piece of data to the ring; returns its address in the puppet. */
static uint64_t put_data(
	struct ring *ring, struct ring_place place, size_t *used, const struct op_data *data)
{
	size_t offset = *used;

	if (data->in && data->size)
		memcpy(ring->data + offset, data->bytes, data->size);
	else if (data->size)
		memset(ring->data + offset, 0, data->size);
	*used += ALIGN16(data->size);
	return ring_address(place, place.index) + RING_DATA + offset;
}

static void load_op(struct ring *ring, struct ring_place place, const struct batch *batch,
	size_t first, size_t index, size_t *used)
{
	const struct op *op = &batch->ops[index];
	struct ring_op *out = &ring->ops[index - first];
	size_t data_offset[6] = {};

	*out = (struct ring_op){.nr = (uint64_t)op->nr, .expected = op->expected};
	if (op->flags & (OP_ADVISORY | OP_ASK))
		out->flags |= RING_OP_CONTINUE;
	if (op->flags & OP_EXPECT)
		out->flags |= RING_OP_EXPECT;
	if (op->flags & OP_CLONE)
		out->flags |= RING_OP_CLONE;
	for (int i = 0; i < 6; i++) {
		const struct op_arg *arg = &op->args[i];

		switch (arg->kind) {
		case OP_ARG_VALUE:
			out->args[i] = arg->value;
			break;
		case OP_ARG_RING:
			out->args[i] = ring_address(place, arg->value);
			break;
		case OP_ARG_DATA:
			data_offset[i] = *used;
			out->args[i] = put_data(ring, place, used, &arg->data);
			break;
		case OP_ARG_RESULT:
			/* Of an op in this piece: resolved by the executor; of an earlier one: known. */
			if (arg->value >= first) {
				out->args[i] = arg->value - first;
				out->results |= 1u << i;
			} else {
				out->args[i] = (uint64_t)batch->ops[arg->value].result;
			}
			break;
		}
	}
	for (struct op_nested *nested = op->nested; nested; nested = nested->next) {
		uint64_t address = put_data(ring, place, used, &nested->data);

		memcpy(ring->data + data_offset[nested->arg] + nested->offset, &address,
			sizeof(address));
	}
}

int ring_load(struct ring *ring, struct ring_place place, const struct batch *batch, size_t from,
	size_t *ret_end, struct error *err)
{
	size_t used = 0, end = from;

	for (; end < batch->count && end - from < RING_OP_COUNT; end++) {
		if (op_data_size(&batch->ops[end]) > sizeof(ring->data) - used)
			break;
		load_op(ring, place, batch, from, end, &used);
	}
	if (end == from && end < batch->count)
		return error_set(err, E2BIG, "%s: the data of one operation exceed the ring",
			batch->ops[end].what);
	ring->count = (uint32_t)(end - from);
	*ret_end = end;
	return 0;
}

static void take_data(const struct ring *ring, size_t *used, const struct op_data *data)
{
	if (data->out && data->size)
		memcpy(data->bytes, ring->data + *used, data->size);
	*used += ALIGN16(data->size);
}

static int op_failed(const struct op *op, pid_t pid, struct error *err)
{
	int rc;

	if (op->result < 0 && op->result >= -4095)
		rc = error_set(err, (int)-op->result, "task %d: %s (%s)", pid, op->what,
			syscall_name(op->nr));
	else
		rc = error_set(err, EIO, "task %d: %s (%s returned %lld instead of %lld)", pid,
			op->what, syscall_name(op->nr), (long long)op->result,
			(long long)op->expected);
	error_about_task(err, pid);
	return rc;
}

int ring_collect(const struct ring *ring, struct batch *batch, size_t from, size_t end, pid_t pid,
	struct error *err)
{
	size_t used = 0, run = ring->failed ? from + ring->failed : end;

	if (run > end)
		return error_set(err, EPROTO, "task %d answered rubbish", pid);
	for (size_t i = from; i < end; i++) {
		struct op *op = &batch->ops[i];

		for (int k = 0; k < 6; k++)
			if (op->args[k].kind == OP_ARG_DATA)
				take_data(ring, &used, &op->args[k].data);
		for (struct op_nested *nested = op->nested; nested; nested = nested->next)
			take_data(ring, &used, &nested->data);
		if (i >= run)
			continue;
		op->result = ring->ops[i - from].result;
		op->done = true;
		if ((op->flags & OP_ADVISORY) && op->result < 0 && op->result >= -4095)
			log_warn("task %d: %s (%s): %s; going on without", pid, op->what,
				syscall_name(op->nr), strerrordesc_np((int)-op->result));
	}
	return ring->failed ? op_failed(&batch->ops[run - 1], pid, err) : 0;
}
