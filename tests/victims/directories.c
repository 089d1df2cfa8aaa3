/* Working directory, umask and root directory of each task. */
#include "victim.h"

static void check_cwd(const char *expected)
{
	char path[512];

	check_str(getcwd(path, sizeof(path)), expected, "working directory");
}

static void check_umask(mode_t expected)
{
	mode_t now;

	umask(now = umask(0));
	check_int(now, expected, "umask");
}

static void elsewhere(void *unused)
{
	(void)unused;
	must(chdir("/usr/lib"));
	umask(0137);
	victim_ready();
	while (victim_next()) {
		check_cwd("/usr/lib");
		check_umask(0137);
	}
}

/* The victim's directory becomes the root; a file beside it must not be in reach. */
static void in_root(void *unused)
{
	struct stat root, outer;

	(void)unused;
	must(stat(victim_path("."), &outer));
	must(mkdir(victim_path("inside"), 0777));
	must(chroot(victim_path(".")));
	must(chdir("/inside"));
	victim_set_dir("");
	victim_ready();
	while (victim_next()) {
		must(stat("/", &root));
		check_int((long long)root.st_ino, (long long)outer.st_ino, "inode of the root");
		check_cwd("/inside");
		check(access("/usr", F_OK) == -1, "/usr is in reach");
		check(access("/../usr", F_OK) == -1, "/../usr is in reach");
	}
}

int main(int argc, char **argv)
{
	char *path;

	victim_begin(argc, argv);
	path = must_ptr(realpath(victim_path("."), NULL));
	start_task("elsewhere", elsewhere, NULL);
	start_task("in-root", in_root, NULL);
	must(chdir(path));
	umask(0);
	victim_ready();
	if (victim_spoiled())
		must(chdir("/"));
	while (victim_next()) {
		check_cwd(path);
		check_umask(0);
		check_part("elsewhere");
		check_part("in-root");
	}
	return 0;
}
