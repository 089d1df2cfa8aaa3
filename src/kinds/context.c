#include "kinds/context.h"

#include <fcntl.h>

#include "kinds/file/state.h"

int dump_writer(struct dump_context *context, enum image_type type,
	struct image_writer **ret_writer, struct error *err)
{
	int rc;

	if (!context->writers[type]) {
		rc = image_writer_open(context->dir, type, 0, &context->writers[type], err);
		if (rc < 0)
			return rc;
	}
	*ret_writer = context->writers[type];
	return 0;
}

int dump_writers_close(struct dump_context *context, struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < IMAGE_TYPE_COUNT; i++) {
		struct error failure = ERROR_INIT;
		int rc;

		if (!context->writers[i])
			continue;
		rc = image_writer_close(take_ptr(context->writers[i]), &failure);
		if (rc < 0 && result == 0) {
			*err = failure;
			result = rc;
		}
	}
	return result;
}

void dump_writers_abandon(struct dump_context *context)
{
	for (size_t i = 0; i < IMAGE_TYPE_COUNT; i++) {
		image_writer_cleanup(&context->writers[i]);
		context->writers[i] = NULL;
	}
}

struct undo_journal *dump_undo(struct dump_context *context)
{
	if (!context->undo)
		context->undo = undo_create(NULL);
	return context->undo;
}

struct undo_journal *restore_undo(struct restore_context *context)
{
	if (!context->undo)
		context->undo = undo_create(NULL);
	return context->undo;
}

int restore_inherit(struct restore_context *context, int fd, const char *what, struct error *err)
{
	int number = files_reserve_number(context, what);
	int rc = files_place(number, fd, what, err);

	if (rc < 0)
		return rc;
	context->inherited[number - context->inherited_base].fd = number;
	return number;
}

int restore_file_fd(const struct restore_context *context, uint32_t file_id)
{
	const struct file *file = checkpoint_file(context->checkpoint, file_id);

	if (!file || !context->file_fds)
		return -ENOENT;
	return context->file_fds[file - context->checkpoint->files];
}
