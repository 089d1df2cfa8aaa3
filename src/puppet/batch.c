#include "puppet/batch.h"

#include "kernel/syscall_names.h"

struct batch *batch_create(struct arena *arena)
{
	struct batch *batch = arena_new(arena, struct batch);

	batch->arena = arena;
	return batch;
}

int batch_add(
	struct batch *batch, const char *what, long nr, uint32_t flags, const struct op_arg args[6])
{
	struct op *op;

	batch->ops = arena_grow(
		batch->arena, batch->ops, &batch->capacity, batch->count + 1, sizeof(*batch->ops));
	op = &batch->ops[batch->count];
	*op = (struct op){.what = what, .nr = nr, .flags = flags};
	memcpy(op->args, args, sizeof(op->args));
	return (int)batch->count++;
}

void batch_expect(struct batch *batch, int op, int64_t expected)
{
	batch->ops[op].flags |= OP_EXPECT;
	batch->ops[op].expected = expected;
}

void batch_nest(struct batch *batch, int op, int arg, uint32_t offset, void *bytes, uint32_t size,
	bool in, bool out)
{
	struct op_nested *nested = arena_new(batch->arena, struct op_nested);

	*nested = (struct op_nested){
		.next = batch->ops[op].nested,
		.arg = arg,
		.offset = offset,
		.data = {.bytes = bytes, .size = size, .in = in, .out = out},
	};
	batch->ops[op].nested = nested;
}

static void print_arg(const struct op_arg *arg, FILE *out)
{
	switch (arg->kind) {
	case OP_ARG_RESULT:
		fprintf(out, "=#%llu", (unsigned long long)arg->value);
		break;
	case OP_ARG_DATA:
		fprintf(out, "%s%u bytes", arg->data.out ? "&" : "", arg->data.size);
		break;
	case OP_ARG_RING:
		fprintf(out, "ring %llu", (unsigned long long)arg->value);
		break;
	case OP_ARG_VALUE:
		fprintf(out, arg->value < 4096 ? "%llu" : "%#llx", (unsigned long long)arg->value);
		break;
	}
}

void batch_print_op(const struct op *op, FILE *out)
{
	int last = 5;

	while (last >= 0 && op->args[last].kind == OP_ARG_VALUE && !op->args[last].value)
		last--;
	fprintf(out, "%s(", syscall_name(op->nr));
	for (int i = 0; i <= last; i++) {
		if (i)
			fputs(", ", out);
		print_arg(&op->args[i], out);
	}
	fprintf(out, ")  # %s\n", op->what);
}
