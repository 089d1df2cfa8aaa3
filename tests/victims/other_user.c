/* A whole tree of an ordinary user, without any privilege. */
#include "victim.h"

#include <grp.h>

static const char *const fields[] = {
	"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};

static void spoil(void)
{
	umask(0111);
}

static void watch(void *unused)
{
	(void)unused;
	watch_status(fields, array_size(fields), spoil);
}

int main(int argc, char **argv)
{
	gid_t groups[] = {1000, 1001};
	mode_t mask;

	victim_begin(argc, argv);
	must(setgroups(2, groups));
	must(setresgid(1000, 1000, 1000));
	must(setresuid(1000, 1000, 1000));
	umask(0027);
	start_task("child", watch, NULL);
	start_thread("thread", watch, NULL);
	victim_ready();
	while (victim_next()) {
		umask(mask = umask(0));
		check_int(mask, 0027, "umask");
		check_str(status_field("Uid"), "1000\t1000\t1000\t1000", "uids");
		check_str(status_field("CapPrm"), "0000000000000000", "permitted capabilities");
		check_int(access("/etc/shadow", R_OK), -1, "access to /etc/shadow");
		check_part("child");
		check_part("thread");
	}
	return 0;
}
