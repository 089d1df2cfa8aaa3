#pragma once
/*
 * The journal of side effects outside the puppets.
 *
 * Whatever a dump or a restore changes in the system besides the tasks themselves (a file that
 * exists for a moment, a link that keeps a deleted file alive, later: mounts, rules, cgroups) is
 * written down before it is done, in a file of /run/stasis that outlives a SIGKILL. On failure the
 * journal is replayed backwards; on success it is forgotten. The owner holds a lock on the file: a
 * journal without an owner is what a killed run left behind, and the next run or `stasis cleanup`
 * replays it.
 */
#include <sys/stat.h>

#include "base/error.h"

struct undo_journal;

enum undo_action {
	UNDO_UNLINK, /* remove a file */
	UNDO_RMDIR, /* remove an empty directory */
	UNDO_SHM_REMOVE, /* remove a SysV shared memory segment; the path is its id */
	UNDO_ACTION_COUNT,
};

enum undo_when {
	UNDO_ON_FAILURE,
	UNDO_ON_SUCCESS, /* not an undoing: what only a success may do (undo_commit) */
};

/* A journal in `directory` (NULL: /run/stasis). Nothing is on disk before the first record. */
struct undo_journal *undo_create(const char *directory);

/* Records what undoes an effect that is about to happen (or has to happen on success). With an
 * identity the action applies only to the very inode; without one, to whatever has that name (for
 * names that nobody else uses). *ret_id, which may be NULL, is for undo_forget(). */
int undo_record(struct undo_journal *journal, enum undo_when when, enum undo_action action,
	const char *path, const struct stat *identity, uint32_t *ret_id, struct error *err);

/* The effect has been taken back, or did not happen. */
void undo_forget(struct undo_journal *journal, uint32_t id);

/* The operation has succeeded: does what was recorded for success, forgets the rest. The journal
 * is empty afterwards and can be used again. What could not be done is an error, but everything was
 * tried. NULL is fine, for undo_rollback() as well. */
int undo_commit(struct undo_journal *journal, struct error *err);

/* The operation has failed: everything recorded for failure is undone, the latest first. */
int undo_rollback(struct undo_journal *journal, struct error *err);

/* Frees. Records that are neither committed nor rolled back stay on disk (and are replayed by a
 * later run). */
void undo_destroy(struct undo_journal *journal);

/* Replays the journals of dead runs. *ret_count: how many there were. */
int undo_cleanup_stale(const char *directory, unsigned *ret_count, struct error *err);
/* The same before a run of our own: a failure is a warning. */
void undo_cleanup_quietly(void);
