/*
 * The manifest is JSON, so that people and scripts can read it:
 *
 *	{"format": "stasis-manifest", "version": 1, "parent": "../1",
 *	 "images": [{"name": "core-7.img", "size": 1034, "xxh3": "89ab..."}, ...]}
 *
 * It is as hostile as any other file of the directory: names that are not images are refused, so
 *that no entry can lead out of the directory.
 */
#include "image/manifest.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sys/stat.h>

#include "base/io.h"

#define MANIFEST_FORMAT   "stasis-manifest"
#define MANIFEST_VERSION  1
#define MANIFEST_SIZE_MAX ((off_t)256 << 20)

static void decref_json(json_t **json)
{
	json_decref(*json);
}

struct manifest_item *manifest_add(struct manifest *manifest, enum image_type type, uint64_t id)
{
	struct manifest_item *item;

	if (manifest->count == manifest->capacity) {
		manifest->capacity = manifest->capacity ? manifest->capacity * 2 : 32;
		manifest->items = xreallocarray(
			manifest->items, manifest->capacity, sizeof(*manifest->items));
	}
	item = &manifest->items[manifest->count++];
	*item = (struct manifest_item){.type = type, .id = id};
	image_format_name(type, id, item->name);
	return item;
}

static int compare_items(const void *a, const void *b)
{
	return strcmp(
		((const struct manifest_item *)a)->name, ((const struct manifest_item *)b)->name);
}

int manifest_sort(struct manifest *manifest, struct error *err)
{
	if (manifest->count)
		qsort(manifest->items, manifest->count, sizeof(*manifest->items), compare_items);
	for (size_t i = 1; i < manifest->count; i++)
		if (streq(manifest->items[i - 1].name, manifest->items[i].name))
			return error_refuse(err, ERROR_BAD_IMAGE, "%s is listed twice in %s",
				manifest->items[i].name, MANIFEST_NAME);
	return 0;
}

const struct manifest_item *manifest_find(const struct manifest *manifest, const char *name)
{
	struct manifest_item key = {};

	if (!manifest->count || strlen(name) >= sizeof(key.name))
		return NULL;
	strcpy(key.name, name);
	return bsearch(&key, manifest->items, manifest->count, sizeof(key), compare_items);
}

static json_t *item_to_json(const struct manifest_item *item)
{
	json_t *object = json_object();

	json_object_set_new(object, "name", json_string(item->name));
	json_object_set_new(object, "size", json_integer((json_int_t)item->size));
	if (item->has_checksum) {
		char digits[17];

		snprintf(digits, sizeof(digits), "%016" PRIx64, item->checksum);
		json_object_set_new(object, "xxh3", json_string(digits));
	}
	return object;
}

int manifest_write(const struct manifest *manifest, int dirfd, int *ret_fd, struct error *err)
{
	_cleanup_(close_fd) int fd = -1;
	_cleanup_(decref_json) json_t *root = json_object();
	_cleanup_(free_ptr) char *text = NULL;
	json_t *images = json_array();
	int rc;

	json_object_set_new(root, "format", json_string(MANIFEST_FORMAT));
	json_object_set_new(root, "version", json_integer(MANIFEST_VERSION));
	/* A path that is not UTF-8 cannot be told in JSON; the link itself is what counts. */
	if (manifest->parent)
		json_object_set_new(
			root, "parent", json_string(manifest->parent) ?: json_string("?"));
	json_object_set_new(root, "images", images);
	for (size_t i = 0; i < manifest->count; i++)
		json_array_append_new(images, item_to_json(&manifest->items[i]));
	text = json_dumps(root, JSON_INDENT(1));
	if (!text)
		out_of_memory(0);
	fd = openat(dirfd, MANIFEST_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, errno, "cannot create %s", MANIFEST_NAME);
	rc = write_full(fd, text, strlen(text));
	if (rc < 0)
		return error_set(err, -rc, "cannot write %s", MANIFEST_NAME);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int damaged(struct error *err, const char *what)
{
	error_refuse(err, ERROR_BAD_IMAGE, "%s is damaged: %s", MANIFEST_NAME, what);
	error_hint(err, "if the images themselves are trusted, remove %s and try again",
		MANIFEST_NAME);
	return -EINVAL;
}

static int read_item(struct manifest *manifest, const json_t *object, struct error *err)
{
	const json_t *name = json_object_get(object, "name");
	const json_t *size = json_object_get(object, "size");
	const json_t *checksum = json_object_get(object, "xxh3");
	struct manifest_item *item;
	enum image_type type;
	uint64_t id;
	char *end;

	if (!json_is_string(name) || !json_is_integer(size) || json_integer_value(size) < 0 ||
		!image_type_of_name(json_string_value(name), &type, &id))
		return damaged(err, "it lists what is no image");
	item = manifest_add(manifest, type, id);
	item->size = (uint64_t)json_integer_value(size);
	if (!checksum)
		return 0;
	if (!json_is_string(checksum) || json_string_length(checksum) != 16)
		return damaged(err, "a checksum is not one");
	item->checksum = strtoull(json_string_value(checksum), &end, 16);
	if (*end)
		return damaged(err, "a checksum is not one");
	item->has_checksum = true;
	return 0;
}

static int read_json(struct manifest *manifest, const json_t *root, struct error *err)
{
	const json_t *images = json_object_get(root, "images");
	const json_t *parent = json_object_get(root, "parent");
	const char *format = json_string_value(json_object_get(root, "format"));

	if (!format || !streq(format, MANIFEST_FORMAT) || !json_is_array(images))
		return damaged(err, "it is no manifest");
	if (json_integer_value(json_object_get(root, "version")) != MANIFEST_VERSION)
		return error_refuse(
			err, ERROR_BAD_IMAGE, "%s is of an unknown version", MANIFEST_NAME);
	if (json_is_string(parent))
		manifest->parent = xstrdup(json_string_value(parent));
	for (size_t i = 0; i < json_array_size(images); i++) {
		int rc = read_item(manifest, json_array_get(images, i), err);

		if (rc < 0)
			return rc;
	}
	return manifest_sort(manifest, err);
}

int manifest_read(int dirfd, struct manifest *ret_manifest, struct error *err)
{
	_cleanup_(close_fd) int fd =
		openat(dirfd, MANIFEST_NAME, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	_cleanup_(free_ptr) char *text = NULL;
	_cleanup_(decref_json) json_t *root = NULL;
	struct manifest manifest = {};
	struct stat st;
	ssize_t n;
	int rc;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, errno, "cannot open %s", MANIFEST_NAME);
	if (!S_ISREG(st.st_mode) || st.st_size > MANIFEST_SIZE_MAX)
		return damaged(err, "it is no file, or too large");
	text = xcalloc(1, (size_t)st.st_size + 1);
	n = read_full(fd, text, (size_t)st.st_size);
	if (n < 0)
		return error_set(err, (int)-n, "cannot read %s", MANIFEST_NAME);
	root = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	if (!root)
		return damaged(err, "it is not JSON");
	rc = read_json(&manifest, root, err);
	if (rc < 0) {
		manifest_deinit(&manifest);
		return rc;
	}
	*ret_manifest = manifest;
	return 1;
}

void manifest_deinit(struct manifest *manifest)
{
	free(manifest->items);
	free(manifest->parent);
	*manifest = (struct manifest){};
}
