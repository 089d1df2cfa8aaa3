/* The program that a task runs, where it is a copy elsewhere, a renamed one, or deleted. */
#include "victim.h"

static void copy_myself(const char *path)
{
	char block[65536];
	int from = (int)must(open("/proc/self/exe", O_RDONLY));
	int to = (int)must(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755));
	ssize_t n;

	while ((n = must(read(from, block, sizeof(block)))) > 0)
		must(write(to, block, (size_t)n));
	close(from);
	close(to);
}

static void spawn_copy(const char *name, char **argv)
{
	char path[600];

	snprintf(path, sizeof(path), "%s", victim_path(name));
	copy_myself(path);
	if (must(fork()) == 0) {
		execl(path, path, argv[1], victim_spoiled() ? "spoil" : "", name, NULL);
		_exit(1);
	}
	await_part(name);
}

/* The copy: waits for its file's fate, then watches the link. */
static int be_copy(const char *name)
{
	char before[600] = "", now[600];

	victim_become(name);
	victim_ready();
	await_file("settled");
	must(readlink("/proc/self/exe", before, sizeof(before) - 1));
	if (victim_spoiled())
		before[1] ^= 1;
	while (victim_next()) {
		memset(now, 0, sizeof(now));
		must(readlink("/proc/self/exe", now, sizeof(now) - 1));
		if (strstr(before, "(deleted)"))
			check(strstr(now, "(deleted)"), "the program is %s, was deleted", now);
		else
			check_str(now, before, "the program");
	}
	return 0;
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	if (argc > 3)
		return be_copy(argv[3]);
	spawn_copy("copied", argv);
	spawn_copy("renamed", argv);
	spawn_copy("deleted", argv);
	must(rename(victim_path("renamed"), victim_path("renamed-now")));
	must(unlink(victim_path("deleted")));
	write_file(victim_path("settled"), "", 0);
	msleep(20);
	victim_ready();
	while (victim_next()) {
		check_part("copied");
		check_part("renamed");
		check_part("deleted");
	}
	return 0;
}
