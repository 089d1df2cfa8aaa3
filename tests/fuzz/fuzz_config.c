/* Any bytes as a configuration file: an error or a job, never a crash. */
#include "cli/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int apply(void *context, const char *name, const char *value, struct error *err)
{
	bool on;
	const struct option_row *row = option_by_name(name, &on);

	return row ? option_apply(row, value, on, context, err) : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of exactly that size, so that ASan sees a read behind the end. */
	char *text = malloc(size ? size : 1);
	struct error err = ERROR_INIT;
	struct job job;
	int rc;

	if (!text)
		return 0;
	memcpy(text, data, size);
	job_init(&job);
	rc = config_parse(text, size, "fuzz", apply, &job, &err);
	if ((rc < 0) != error_is_set(&err))
		abort();
	job_deinit(&job);
	free(text);
	return 0;
}
