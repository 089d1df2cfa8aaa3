/* Credentials belong to a thread: libc keeps them equal, raw system calls do not. */
#include "victim.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>

static const char *const fields[] = {
	"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"};

static void set_caps(uint32_t effective, uint32_t permitted, uint32_t inheritable)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{effective, permitted, inheritable}, {0, 0, 0}};

	must(syscall(SYS_capset, &header, data));
}

static void spoil(void)
{
	syscall(SYS_setfsuid, 4321);
}

static void watch(void)
{
	watch_status(fields, array_size(fields), spoil);
}

static void root(void *unused)
{
	(void)unused;
	watch();
}

static void other_user(void *unused)
{
	gid_t groups[] = {7, 1001, 70000};

	(void)unused;
	must(syscall(SYS_setgroups, 3, groups));
	must(syscall(SYS_setresgid, 1001, 1002, 1003));
	must(syscall(SYS_setresuid, 1001, 1002, 1003));
	watch();
}

static void few_caps(void *unused)
{
	(void)unused;
	must(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	must(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS));
	set_caps(1 << CAP_KILL | 1 << CAP_CHOWN | 1 << CAP_SETUID,
		1 << CAP_KILL | 1 << CAP_CHOWN | 1 << CAP_SETUID | 1 << CAP_NET_RAW,
		1 << CAP_KILL | 1 << CAP_NET_RAW);
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
	must(syscall(SYS_setresuid, 5, 6, 7));
	watch();
}

static void files_as_other(void *unused)
{
	(void)unused;
	syscall(SYS_setfsuid, 1234);
	syscall(SYS_setfsgid, 1235);
	watch();
}

static void nothing_new(void *unused)
{
	(void)unused;
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	set_caps(0, 0, 0);
	watch();
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	start_thread("root", root, NULL);
	start_thread("other-user", other_user, NULL);
	start_thread("few-caps", few_caps, NULL);
	start_thread("files-as-other", files_as_other, NULL);
	start_thread("nothing-new", nothing_new, NULL);
	victim_ready();
	while (victim_next()) {
		check_part("root");
		check_part("other-user");
		check_part("few-caps");
		check_part("files-as-other");
		check_part("nothing-new");
	}
	return 0;
}
