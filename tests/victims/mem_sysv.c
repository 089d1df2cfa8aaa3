/* System V shared memory, attached by two tasks, once read-only. */
#include "victim.h"

#include <sys/ipc.h>
#include <sys/shm.h>

enum { SIZE = 16 * PAGE };

static int id;
static char *memory;

static void child(void *unused)
{
	const char *read_only = must_ptr(shmat(id, NULL, SHM_RDONLY));

	(void)unused;
	victim_ready();
	for (uint64_t round = 1; victim_next(); round++) {
		await_file("written");
		check_pattern(memory, PAGE, round, "what the parent wrote");
		check_pattern(read_only, PAGE, round, "the same in the read-only attachment");
	}
}

int main(int argc, char **argv)
{
	struct shmid_ds status;
	uint64_t round = 1;
	long attached;

	victim_begin(argc, argv);
	id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0640);
	if (id < 0)
		victim_skip("shmget: %s", strerror(errno));
	memory = must_ptr(shmat(id, NULL, 0));
	fill_pattern(memory + 2 * PAGE, SIZE - 2 * PAGE, 98);
	start_task("child", child, NULL);
	must(shmctl(id, IPC_STAT, &status));
	attached = (long)status.shm_nattch;
	victim_ready();
	if (victim_spoiled())
		memory[3 * PAGE]++;
	while (victim_next()) {
		fill_pattern(memory, PAGE, round++);
		write_file(victim_path("written"), "", 0);
		check_pattern(memory + 2 * PAGE, SIZE - 2 * PAGE, 98, "the rest of the segment");
		check_part("child");
		if (shmctl(id, IPC_STAT, &status) == -1) {
			victim_fail("segment %d: %s", id, strerror(errno));
		} else {
			check_int((long)status.shm_nattch, attached, "attachments");
			check_int(status.shm_perm.mode & 0777, 0640, "mode");
		}
		must(unlink(victim_path("written")));
	}
	shmctl(id, IPC_RMID, NULL);
	return 0;
}
