#include "base/log.h"

#include <stdarg.h>
#include <time.h>

static struct {
	int fd;
	enum log_level level;
	bool stderr_too;
	struct timespec start;
} logger = {.fd = STDERR_FILENO, .level = LOG_WARN};

void log_open(int fd, enum log_level level, bool stderr_too)
{
	if (logger.fd > STDERR_FILENO && logger.fd != fd)
		close(logger.fd);
	logger.fd = fd;
	logger.level = level;
	logger.stderr_too = stderr_too && fd != STDERR_FILENO;
}

void log_set_level(enum log_level level)
{
	logger.level = level;
}

enum log_level log_get_level(void)
{
	return logger.level;
}

int log_get_fd(void)
{
	return logger.fd;
}

void log_write(enum log_level level, const char *format, ...)
{
	static const char *const words[] = {"", "Error: ", "Warn: ", "", ""};
	char line[2048];
	size_t used = 0;
	struct timespec now;
	va_list ap;
	int saved = errno;

	if (level > logger.level)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!logger.start.tv_sec)
		logger.start = now;
	if (level != LOG_MESSAGE) {
		long us = (now.tv_sec - logger.start.tv_sec) * 1000000 +
			  (now.tv_nsec - logger.start.tv_nsec) / 1000;

		used = (size_t)snprintf(line, sizeof(line), "(%02ld.%06ld) %s", us / 1000000,
			us % 1000000, words[level]);
	}
	va_start(ap, format);
	used += (size_t)vsnprintf(line + used, sizeof(line) - used, format, ap);
	va_end(ap);
	used = MIN(used, sizeof(line) - 2);
	line[used++] = '\n';
	/* A log that cannot be written must not fail the operation. */
	if (write(logger.fd, line, used) < 0)
		errno = 0;
	if (logger.stderr_too && level <= LOG_WARN && write(STDERR_FILENO, line, used) < 0)
		errno = 0;
	errno = saved;
}
