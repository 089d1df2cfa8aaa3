/*
 * Restore: SysV shared memory segments of the host's IPC namespace.
 *
 * They outlive processes. A segment that is still there, the same by id, key, size and owner, and
 * that nobody else is attached to, is used again and gets its content back. One that is gone is
 * made again with the same id (kernel.shm_next_id). Anything else is somebody else's.
 */
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "base/io.h"
#include "base/log.h"
#include "memory/restore.h"
#include "undo/journal.h"

/* <linux/shm.h> */
#ifndef SHM_DEST
#define SHM_DEST 01000
#endif
#define SHM_LOCKED_BIT 02000
#define NEXT_ID        "/proc/sys/kernel/shm_next_id"

static bool same_segment(const IpcShmEntry *shm, const struct shmid_ds *ds)
{
	const IpcDescEntry *desc = shm->desc;
	uint32_t key = (uint32_t)ds->shm_perm.__key;

	/* A segment that is marked for removal has lost its key. */
	return (key == desc->key || ds->shm_perm.mode & SHM_DEST) && ds->shm_segsz == shm->size &&
	       ds->shm_perm.cuid == desc->cuid && ds->shm_perm.cgid == desc->cgid;
}

static void conflict(struct restore_context *context, const IpcShmEntry *shm, const char *what)
{
	struct error *problem = problems_add(context->problems);

	error_refuse(problem, ERROR_CONFLICT, "the SysV shared memory segment %u %s", shm->desc->id,
		what);
	error_hint(problem, "see ipcs -m -i %u; remove it with ipcrm if nobody needs it",
		shm->desc->id);
}

int sysv_check(
	struct restore_context *context, struct restored_object *object, struct error *err _unused_)
{
	const IpcShmEntry *shm = object->sysv;
	struct shmid_ds ds;

	if (shm->desc->id > INT32_MAX || !shm->size || shm->size > TASK_END) {
		bad_image(context, "ipcns-shm", "the segment %u of %llu bytes makes no sense",
			shm->desc->id, (unsigned long long)shm->size);
		return 0;
	}
	if (shmctl((int)shm->desc->id, IPC_STAT, &ds) == 0) {
		if (!same_segment(shm, &ds))
			conflict(context, shm, "is another one now");
		else if (ds.shm_nattch)
			conflict(context, shm, "is in use by other processes");
		return 0;
	}
	if (shm->desc->key != IPC_PRIVATE && shmget((key_t)shm->desc->key, 0, 0) >= 0)
		conflict(context, shm, "is gone, and its key belongs to another one now");
	return 0;
}

static int create_segment(
	struct restore_context *context, const IpcShmEntry *shm, struct error *err)
{
	char text[32];
	uint32_t record;
	int rc, id;
	uint32_t flags = (shm->desc->mode & 0777) | IPC_CREAT | IPC_EXCL |
			 (shm->has_hugetlb_flag ? shm->hugetlb_flag : 0);

	snprintf(text, sizeof(text), "%u", shm->desc->id);
	rc = write_text_file(-1, NEXT_ID, text);
	if (rc < 0) {
		error_set(err, -rc, "asking for the id %u in " NEXT_ID, shm->desc->id);
		error_hint(err, "needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE");
		return rc;
	}
	rc = undo_record(
		restore_undo(context), UNDO_ON_FAILURE, UNDO_SHM_REMOVE, text, NULL, &record, err);
	if (rc < 0)
		return rc;
	id = shmget((key_t)shm->desc->key, shm->size, (int)flags);
	if (id < 0 || (uint32_t)id != shm->desc->id)
		undo_forget(restore_undo(context), record);
	if (id < 0)
		return error_set(
			err, errno, "making the SysV shared memory segment %u", shm->desc->id);
	if ((uint32_t)id != shm->desc->id) {
		shmctl(id, IPC_RMID, NULL);
		return error_refuse(err, ERROR_CONFLICT, "the SysV shared memory id %u is taken",
			shm->desc->id);
	}
	return id;
}

/* Owner, mode and locking; IPC_RMID only once it is attached, see plan_objects(). */
static int set_segment(int id, const IpcShmEntry *shm, struct error *err)
{
	struct shmid_ds ds;

	if (shmctl(id, IPC_STAT, &ds) < 0)
		return error_set(err, errno, "asking about the segment %d", id);
	ds.shm_perm.uid = shm->desc->uid;
	ds.shm_perm.gid = shm->desc->gid;
	ds.shm_perm.mode = shm->desc->mode & 0777;
	if (shmctl(id, IPC_SET, &ds) < 0)
		return error_set(
			err, errno, "giving the segment %d to user %u", id, shm->desc->uid);
	if (shm->desc->mode & SHM_LOCKED_BIT && shmctl(id, SHM_LOCK, NULL) < 0)
		log_warn("Locking the SysV shared memory segment %d: %s", id, strerror(errno));
	return 0;
}

int sysv_open(
	struct restore_context *context _unused_, struct restored_object *object, struct error *err)
{
	const IpcShmEntry *shm = object->sysv;
	struct shmid_ds ds;
	int id = (int)shm->desc->id, rc = 0;
	bool created = false;
	void *mapping;

	if (shmctl(id, IPC_STAT, &ds) < 0) {
		id = create_segment(context, shm, err);
		if (id < 0)
			return id;
		created = true;
		rc = set_segment(id, shm, err);
	}
	if (rc >= 0) {
		mapping = shmat(id, NULL, 0);
		if (mapping == (void *)-1) {
			rc = error_set(err, errno, "attaching the segment %d to fill it", id);
		} else {
			/* Of what is in a segment that is used again, nothing stays. */
			if (!created && madvise(mapping, PAGE_UP(shm->size), MADV_REMOVE) < 0)
				memset(mapping, 0, shm->size);
			rc = object_fill(object, mapping, PAGE_UP(shm->size), err);
			shmdt(mapping);
		}
	}
	object->fd = id;
	return rc;
}
