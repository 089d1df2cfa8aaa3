#pragma once
/*
 * What the files of this room share and no other room sees.
 */
#include <pthread.h>
#include <sys/stat.h>

#include "image/dir.h"
#include "image/manifest.h"

/* Where a checkpoint is while it is written ... */
#define PARTIAL_NAME ".stasis-partial"
/* ... and where the whole of it is while it moves into place (docs/images.md). */
#define COMMIT_NAME ".stasis-commit"
#define PARENT_NAME "parent"

struct image_dir {
	char *path;
	int fd;
	int staging_fd; /* PARTIAL_NAME when writing, COMMIT_NAME (if there) when reading, or -1 */
	bool writing;
	bool durable;
	bool has_manifest; /* when reading */
	bool listed_only; /* when reading: what the manifest does not list is another's */
	struct manifest manifest; /* what is in the checkpoint, or has been written so far */
	pthread_mutex_t mutex; /* of the manifest while writing: page files are made in parallel */
	/* This directory and those that led here as `parent`, to notice circles. */
	struct dir_identity {
		dev_t dev;
		ino_t ino;
	} * chain;
	size_t chain_length;
};

/* Opens DIRFD/NAME as a directory. -1 and errno when it cannot be had. */
int open_subdir(int dirfd, const char *name);
/* Removes a flat directory and what is in it. It is fine when it is not there. 0 or -errno. */
int remove_flat_dir(int dirfd, const char *name);
/* Runs `each` for every name in a directory until it returns a negative errno. */
int for_each_name(int dirfd, int (*each)(void *context, const char *name), void *context);
/* Opens one image file for reading, wherever a commit that was cut short has left it. Regular files
 * only. Returns the descriptor or -errno. */
int open_image_file(const struct image_dir *dir, const char *name, struct stat *ret_stat);
/* Completes a commit that has passed its point of decision. */
int finish_commit(struct image_dir *dir, struct error *err);
/* xxh3 of the first `size` bytes of a file. 0 or -errno. */
int checksum_file(int fd, uint64_t size, uint64_t *ret_checksum);
/* The same for a file that nobody else can shorten, by mapping it: reads of tmpfs cost four times as
 * much (1 GiB in 1.2 s instead of 0.3 s). A disk that cannot give back what was just written ends the
 * process with SIGBUS, which leaves the old checkpoint as every death before the decision does. */
int checksum_own_file(int fd, uint64_t size, uint64_t *ret_checksum);
/* Unpacks one message into the arena. Returns 0, or -EBADMSG and a word on what is wrong. */
int image_unpack(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t size,
	struct arena *arena, ProtobufCMessage **ret_message, const char **ret_reason);
/* Notes a new image and opens its file. Returns the item's index and the descriptor. */
int create_image_file(struct image_dir *dir, enum image_type type, uint64_t id, size_t *ret_index,
	int *ret_fd, struct error *err);
