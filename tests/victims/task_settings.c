/* The small settings of a task: personality, dumpable, OOM score, core dump filter, login uid,
 * membarrier registrations, transparent huge pages switched off. */
#include "victim.h"

#include <linux/membarrier.h>
#include <sys/personality.h>

#ifndef MEMBARRIER_CMD_GET_REGISTRATIONS
#define MEMBARRIER_CMD_GET_REGISTRATIONS (1 << 9)
#endif

static const char *const files[] = {
	"/proc/self/oom_score_adj", "/proc/self/coredump_filter", "/proc/self/loginuid"};

/* Returns false where there is no such file or it may not be written. */
static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

struct settings {
	int personality, dumpable, registrations, thp_disabled;
	char *files[array_size(files)];
};

static struct settings look(void)
{
	struct settings s = {.personality = personality(0xffffffff),
		.dumpable = prctl(PR_GET_DUMPABLE),
		.registrations =
			(int)syscall(SYS_membarrier, MEMBARRIER_CMD_GET_REGISTRATIONS, 0, 0),
		.thp_disabled = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0)};

	for (size_t i = 0; i < array_size(files); i++)
		s.files[i] = read_file(files[i]);
	return s;
}

static void watch(void)
{
	struct settings before = look(), now;

	victim_ready();
	if (victim_spoiled()) {
		personality(0x0400000);
		put(files[0], "17");
	}
	while (victim_next()) {
		now = look();
		check_int(now.personality, before.personality, "personality");
		check_int(now.dumpable, before.dumpable, "dumpable");
		check_int(now.registrations, before.registrations, "membarrier registrations");
		check_int(now.thp_disabled, before.thp_disabled, "THP disabled");
		for (size_t i = 0; i < array_size(files); i++) {
			check_str(now.files[i], before.files[i], "%s", files[i]);
			free(now.files[i]);
		}
	}
}

static void unusual(void *unused)
{
	(void)unused;
	must(personality(ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC | STICKY_TIMEOUTS));
	must(prctl(PR_SET_DUMPABLE, 0));
	put(files[0], "321");
	put(files[1], "0x5");
	put(files[2], "1234");
	must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	must(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	must(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
	watch();
}

static void another(void *unused)
{
	(void)unused;
	put(files[0], "5");
	put(files[1], "0x7f");
	must(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0));
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0);
	watch();
}

static void usual(void *unused)
{
	(void)unused;
	watch();
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	start_task("unusual", unusual, NULL);
	start_task("another", another, NULL);
	start_task("usual", usual, NULL);
	victim_ready();
	while (victim_next()) {
		check_part("unusual");
		check_part("another");
		check_part("usual");
	}
	return 0;
}
