#pragma once
/* Printing whole images, in crit's shape: {"magic": "CORE", "entries": [...]}. */
#include "image/dir.h"
#include "image/emit.h"

/* One image of a checkpoint. `name` is its file name. */
int image_show(struct image_dir *dir, const char *name, bool json, FILE *out, struct error *err);
/* An image file anywhere. */
int image_show_file(const char *path, bool json, FILE *out, struct error *err);
