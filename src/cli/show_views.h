#pragma once
/* Views across the images of a checkpoint: who runs, with which files and which memory. */
#include "image/dir.h"

struct show_view {
	const char *name;
	int (*print)(struct image_dir *dir, bool json, struct error *err);
};

/* Ends with a NULL name. */
extern const struct show_view show_views[];

/* What `stasis show DIR` prints. */
int show_summary(struct image_dir *dir, bool json, struct error *err);
