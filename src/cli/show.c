#include "cli/show.h"

#include <sys/stat.h>

#include "cli/show_views.h"
#include "image/show.h"

static const struct show_view *find_view(const char *what)
{
	for (const struct show_view *view = show_views; view->name; view++)
		if (streq(view->name, what))
			return view;
	return NULL;
}

static int show_image(struct image_dir *dir, const char *what, bool json, struct error *err)
{
	_cleanup_(free_ptr) char *with_suffix = NULL;
	enum image_type type;
	uint64_t id;

	if (asprintf(&with_suffix, "%s.img", what) < 0)
		out_of_memory(strlen(what));
	if (!image_type_of_name(what, &type, &id) && image_type_of_name(with_suffix, &type, &id))
		what = with_suffix;
	return image_show(dir, what, json, stdout, err);
}

int cmd_show(const char *path, const char *what, bool json, struct error *err)
{
	_cleanup_(image_dir_cleanup) struct image_dir *dir = NULL;
	const struct show_view *view = what ? find_view(what) : NULL;
	struct stat st;
	int rc;

	if (!what && stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
		rc = image_show_file(path, json, stdout, err);
	} else {
		rc = image_dir_open(path, &dir, err);
		if (rc < 0)
			return rc;
		if (!what)
			rc = show_summary(dir, json, err);
		else if (view)
			rc = view->print(dir, json, err);
		else
			rc = show_image(dir, what, json, err);
	}
	if ((fflush(stdout) != 0 || ferror(stdout)) && rc == 0)
		rc = error_set(err, errno ?: EIO, "cannot write the output");
	return rc;
}
