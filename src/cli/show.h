#pragma once
/* stasis show DIR [WHAT] [--json] */
#include "base/error.h"

/* Prints to standard output. `what` is NULL (a summary of the checkpoint), the name of an image
 * with or without .img, or one of the views ps, fds, mems, rss. `dir` may also be an image file
 * itself. */
int cmd_show(const char *dir, const char *what, bool json, struct error *err);
