/*
 * The image room from the command line, for tests/e2e/test_images.py:
 *
 *	image_front show PATH [WHAT] [--json]	what `stasis show` does
 *	image_front samples DIR			a checkpoint with an image of every kind
 */
#include "cli/show.h"
#include "image_samples.h"

static int write_samples(const char *path, struct error *err)
{
	_cleanup_(image_dir_cleanup) struct image_dir *dir = NULL;
	int rc = image_dir_create(path, &dir, err);

	for (enum image_type type = 0; rc == 0 && type < IMAGE_TYPE_COUNT; type++)
		rc = sample_write(dir, type, strchr(image_info(type)->name, '%') ? 10 : 0, err);
	return rc < 0 ? rc : image_dir_commit(dir, err);
}

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	bool json = argc > 3 && streq(argv[argc - 1], "--json");
	int rc;

	if (argc < 3)
		return 2;
	rc = streq(argv[1], "samples")
		     ? write_samples(argv[2], &err)
		     : cmd_show(argv[2], argc - json > 3 ? argv[3] : NULL, json, &err);
	if (rc < 0)
		fprintf(stderr, "Error: %s\n", err.message);
	return rc < 0 ? (int)err.class : 0;
}
