/*
 * Dump: shared memory objects (shared anonymous memory, memfds, SysV segments), each found once,
 * by device and inode, whoever maps it.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include "kinds/file_kind.h"
#include "memory/internal.h"

#ifndef MFD_HUGETLB
#define MFD_HUGETLB 0x0004U
#endif

static int describe_memfd(struct dump_context *context, struct shared_object *object, int fd,
	const struct stat *st, const struct smaps_area *smaps, struct error *err)
{
	struct dump_memory *memory = context->memory;
	MemfdInodeEntry *memfd = arena_new(context->arena, MemfdInodeEntry);
	const char *name = smaps->name + strlen("/memfd:"), *deleted;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return error_set(err, errno,
			"asking for the seals of the memfd %s that task %d maps", name,
			object->pid);
	memfd_inode_entry__init(memfd);
	memfd->name = arena_strdup(context->arena, name);
	/* All of them are deleted, as the kernel sees it. */
	deleted = " (deleted)";
	if (strlen(name) >= strlen(deleted) &&
		streq(name + strlen(name) - strlen(deleted), deleted))
		memfd->name[strlen(name) - strlen(deleted)] = '\0';
	memfd->uid = st->st_uid;
	memfd->gid = st->st_gid;
	memfd->size = (uint64_t)st->st_size;
	memfd->seals = (uint32_t)seals;
	memfd->inode_id = memory->object_count + 1;
	memfd->has_mode = true;
	memfd->mode = st->st_mode;
	if (smaps->flags & SMAPS_HUGETLB) {
		memfd->has_hugetlb_flag = true;
		memfd->hugetlb_flag =
			MFD_HUGETLB | (uint32_t)__builtin_ctzll(smaps->page_size * 1024)
					      << MAP_HUGE_OFFSET;
	}
	object->memfd = memfd;
	return 0;
}

/* The inode number of a segment is its id. */
static int describe_sysv(struct dump_context *context, struct shared_object *object,
	const struct smaps_area *smaps, struct error *err)
{
	IpcShmEntry *shm = arena_new(context->arena, IpcShmEntry);
	IpcDescEntry *desc = arena_new(context->arena, IpcDescEntry);
	struct shmid_ds ds;

	if (shmctl((int)object->inode, IPC_STAT, &ds) < 0)
		return error_set(err, errno,
			"asking about the SysV shared memory segment %llu that task %d maps",
			(unsigned long long)object->inode, object->pid);
	ipc_shm_entry__init(shm);
	ipc_desc_entry__init(desc);
	desc->key = (uint32_t)ds.shm_perm.__key;
	desc->uid = ds.shm_perm.uid;
	desc->gid = ds.shm_perm.gid;
	desc->cuid = ds.shm_perm.cuid;
	desc->cgid = ds.shm_perm.cgid;
	/* with SHM_DEST when it goes away with the last attachment, and SHM_LOCKED */
	desc->mode = ds.shm_perm.mode;
	desc->id = (uint32_t)object->inode;
	shm->desc = desc;
	shm->size = ds.shm_segsz;
	shm->has_in_pagemaps = shm->in_pagemaps = true;
	if (smaps->flags & SMAPS_HUGETLB) {
		shm->has_hugetlb_flag = true;
		shm->hugetlb_flag = SHM_HUGETLB | (uint32_t)__builtin_ctzll(smaps->page_size * 1024)
							  << MAP_HUGE_OFFSET;
	}
	object->sysv = shm;
	return 0;
}

static int describe(struct dump_context *context, struct shared_object *object, int map_files,
	const struct smaps_area *smaps, struct error *err)
{
	_cleanup_(close_fd) int fd = map_files_open(map_files, smaps, O_RDONLY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, fd < 0 ? -fd : errno,
			"opening the shared memory at %llx of task %d",
			(unsigned long long)smaps->start, object->pid);
	object->size = (uint64_t)st.st_size;
	if (object->type == AREA_MEMFD)
		return describe_memfd(context, object, fd, &st, smaps, err);
	if (object->type == AREA_SYSV)
		return describe_sysv(context, object, smaps, err);
	return 0;
}

/* The file that areas of a memfd refer to, as CRIU has it: one for each way of opening. */
static uint32_t memfd_file(
	struct dump_context *context, struct shared_object *object, bool may_write)
{
	struct file *file;
	MemfdFileEntry *memfd;
	FownEntry *owner;

	if (object->file_ids[may_write])
		return object->file_ids[may_write];
	file = checkpoint_add_file(context->checkpoint);
	memfd = arena_new(context->arena, MemfdFileEntry);
	owner = arena_new(context->arena, FownEntry);
	file->kind = file_kind_of_type(FD_TYPES__MEMFD);
	file->entry = arena_new(context->arena, FileEntry);
	file_entry__init(file->entry);
	memfd_file_entry__init(memfd);
	fown_entry__init(owner);
	file->entry->type = FD_TYPES__MEMFD;
	file->entry->id = file->id;
	file->entry->memfd = memfd;
	memfd->id = file->id;
	memfd->flags = may_write ? O_RDWR : O_RDONLY;
	memfd->fown = owner;
	memfd->inode_id = (uint32_t)object->memfd->inode_id;
	object->file_ids[may_write] = file->id;
	return file->id;
}

int shared_object_look(struct dump_context *context, struct dumped_space *space, int map_files,
	const struct smaps_area *smaps, struct area *area, struct error *err)
{
	struct dump_memory *memory = context->memory;
	struct table_key key = {(uint64_t)smaps->major << 32 | smaps->minor, smaps->inode, 0};
	struct shared_object *object = table_get(&memory->objects, key);
	bool may_write = smaps->flags & SMAPS_SHARED;
	int rc;

	if (!object) {
		object = arena_new(context->arena, struct shared_object);
		object->type = area->type;
		object->device = key.a;
		object->inode = smaps->inode;
		object->pid = space->pid;
		object->start = smaps->start;
		object->end = smaps->end;
		rc = describe(context, object, map_files, smaps, err);
		if (rc < 0) {
			error_about_task(err, space->pid);
			return rc;
		}
		table_put(&memory->objects, context->arena, key, object);
		*memory->last_object = object;
		memory->last_object = &object->next;
		memory->object_count++;
	}
	area->object = object;
	if (area->type == AREA_MEMFD)
		area->vma->shmid = memfd_file(context, object, may_write);
	if (area->type != AREA_SHARED_ANON) {
		area->vma->has_fdflags = true;
		area->vma->fdflags = may_write ? O_RDWR : O_RDONLY;
	}
	return 0;
}

/* SysV segments keep their own ids. The others have the inode's number, as in CRIU's images, or the
 * next that is free. */
void shared_objects_number(struct dump_context *context)
{
	struct dump_memory *memory = context->memory;
	struct table taken = {};

	for (struct shared_object *o = memory->first_object; o; o = o->next) {
		if (o->type != AREA_SYSV)
			continue;
		o->id = o->sysv->desc->id;
		table_put(&taken, context->arena, (struct table_key){o->id}, o);
	}
	for (struct shared_object *o = memory->first_object; o; o = o->next) {
		if (o->type == AREA_SYSV)
			continue;
		o->id = (uint32_t)o->inode;
		while (!o->id || table_get(&taken, (struct table_key){o->id}))
			o->id++;
		table_put(&taken, context->arena, (struct table_key){o->id}, o);
		if (o->memfd)
			o->memfd->shmid = o->id;
	}
	for (size_t i = 0; i < memory->space_count; i++) {
		struct dumped_space *space = memory->spaces[i];

		for (size_t j = 0; j < space->area_count; j++) {
			struct area *area = &space->areas[j];

			if (area->object && area->type != AREA_MEMFD)
				area->vma->shmid = area->object->id;
		}
	}
}
