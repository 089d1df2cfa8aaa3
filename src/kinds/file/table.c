/* The table of contents of what can be open in a task. Order: of recognition. */
#include "kinds/file_kind.h"

extern const struct file_kind fifo_kind, memfd_kind, pipe_kind, regular_kind;

const struct file_kind *const file_kinds[] = {
	&pipe_kind,
	&fifo_kind,
	&memfd_kind,
	&regular_kind, /* takes whatever has a path: last */
	NULL,
};

const struct file_kind *file_kind_of_type(FdTypes type)
{
	for (size_t i = 0; file_kinds[i]; i++)
		if (file_kinds[i]->type == type)
			return file_kinds[i];
	return NULL;
}
