#include "base/error.h"

#include <stdarg.h>

static void append(char *buffer, size_t size, const char *text)
{
	size_t used = strlen(buffer);

	snprintf(buffer + used, size - used, "%s", text);
}

int error_set(struct error *err, int errnum, const char *format, ...)
{
	va_list ap;
	enum error_class class = ERROR_INTERNAL;

	*err = ERROR_INIT;
	err->class = class;
	err->errnum = errnum;
	va_start(ap, format);
	vsnprintf(err->message, sizeof(err->message), format, ap);
	va_end(ap);
	if (errnum) {
		append(err->message, sizeof(err->message), ": ");
		append(err->message, sizeof(err->message),
			strerrordesc_np(errnum) ?: "unknown error");
	}
	return errnum ? -errnum : -EINVAL;
}

int error_refuse(struct error *err, enum error_class class, const char *format, ...)
{
	va_list ap;

	*err = ERROR_INIT;
	err->class = class;
	va_start(ap, format);
	vsnprintf(err->message, sizeof(err->message), format, ap);
	va_end(ap);
	return -EINVAL;
}

int error_wrap(struct error *err, int rc, const char *format, ...)
{
	char context[sizeof(err->message)];
	char old[sizeof(err->message)];
	va_list ap;

	va_start(ap, format);
	vsnprintf(context, sizeof(context), format, ap);
	va_end(ap);
	memcpy(old, err->message, sizeof(old));
	snprintf(err->message, sizeof(err->message), "%.500s: %.520s", context, old);
	return rc;
}

void error_hint(struct error *err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(err->hint, sizeof(err->hint), format, ap);
	va_end(ap);
}

void error_class(struct error *err, enum error_class class)
{
	err->class = class;
}

void error_about_task(struct error *err, pid_t pid)
{
	err->pid = pid;
}

void error_about_fd(struct error *err, pid_t pid, int fd)
{
	err->pid = pid;
	err->fd = fd;
}

void error_about_object(struct error *err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(err->object, sizeof(err->object), format, ap);
	va_end(ap);
}

const char *error_class_name(enum error_class class)
{
	static const char *const names[] = {
		[ERROR_NONE] = "none",
		[ERROR_INTERNAL] = "internal",
		[ERROR_USAGE] = "usage",
		[ERROR_CANNOT_DUMP] = "cannot-dump",
		[ERROR_KERNEL_LACKS] = "kernel-lacks",
		[ERROR_BAD_IMAGE] = "bad-image",
		[ERROR_CONFLICT] = "conflict",
		[ERROR_GONE] = "gone",
		[ERROR_TIMEOUT] = "timeout",
	};

	return (size_t) class < ARRAY_SIZE(names) ? names[class] : "internal";
}

struct error *problems_add(struct problems *problems)
{
	problems->items =
		xreallocarray(problems->items, problems->count + 1, sizeof(*problems->items));
	problems->items[problems->count] = ERROR_INIT;
	return &problems->items[problems->count++];
}

void problems_take(struct problems *problems, const struct error *err)
{
	*problems_add(problems) = *err;
}

int problems_to_error(const struct problems *problems, struct error *err)
{
	if (!problems->count)
		return 0;
	*err = problems->items[0];
	if (problems->count > 1) {
		err->message[0] = '\0';
		snprintf(err->message, sizeof(err->message), "%zu obstacles", problems->count);
		for (size_t i = 0; i < problems->count; i++) {
			append(err->message, sizeof(err->message), "\n  ");
			append(err->message, sizeof(err->message), problems->items[i].message);
			if (problems->items[i].hint[0]) {
				append(err->message, sizeof(err->message), " (");
				append(err->message, sizeof(err->message), problems->items[i].hint);
				append(err->message, sizeof(err->message), ")");
			}
		}
		err->hint[0] = '\0';
	}
	return err->errnum ? -err->errnum : -EINVAL;
}

void problems_deinit(struct problems *problems)
{
	free(problems->items);
	*problems = (struct problems){};
}
