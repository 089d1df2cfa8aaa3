#pragma once
/*
 * The logger: the only mutable global of the program.
 *
 * Levels and look follow CRIU's, because runc, podman and people's scripts read the log: a line is
 * "(seconds.microseconds) text", errors carry the word Error, warnings the word Warn. The level is
 * 2 (warnings) until -v says otherwise. Before log_open() lines go to standard error.
 */
#include <stdbool.h>

#include "base/util.h"

enum log_level {
	LOG_MESSAGE = 0, /* without time, always */
	LOG_ERROR = 1,
	LOG_WARN = 2,
	LOG_INFO = 3,
	LOG_DEBUG = 4,
};

/* Sends the log to fd (owned by the logger from here on) at the given level. stderr_too repeats
 * warnings and errors there. */
void log_open(int fd, enum log_level level, bool stderr_too);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* The descriptor that is written to, for children that must not close it. */
int log_get_fd(void);
void log_write(enum log_level level, const char *format, ...) _printf_(2, 3);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
