/* Credentials of tasks: users, groups, the five capability sets, securebits, no_new_privs,
 * keep-caps. */
#include "victim.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>

static const char *const fields[] = {
	"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"};

static void set_caps(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
		{(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
			(uint32_t)(inheritable >> 32)}};

	must(syscall(SYS_capset, &header, data));
}

static void spoil(void)
{
	if (setgid(4321) == -1)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void watch(void)
{
	watch_status(fields, array_size(fields), spoil);
}

static void many_groups(void *unused)
{
	gid_t groups[100];

	(void)unused;
	for (unsigned i = 0; i < array_size(groups); i++)
		groups[i] = 5000 + i * 3;
	must(setgroups(20, groups));
	must(setresgid(11, 12, 13));
	must(setresuid(21, 22, 23));
	watch();
}

static void keep_caps(void *unused)
{
	(void)unused;
	must(prctl(PR_SET_KEEPCAPS, 1));
	must(setresuid(1000, 1000, 1000));
	must(prctl(PR_SET_KEEPCAPS, 1));
	set_caps(1ull << CAP_NET_ADMIN, 1ull << CAP_NET_ADMIN | 1ull << CAP_SYSLOG,
		1ull << CAP_SYSLOG | 1ull << CAP_BPF);
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYSLOG, 0, 0));
	watch();
}

static void securebits(void *unused)
{
	const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
				   SECBIT_KEEP_CAPS | SECBIT_NO_CAP_AMBIENT_RAISE;

	(void)unused;
	must(prctl(PR_SET_SECUREBITS, bits));
	victim_ready();
	while (victim_next())
		check_int(prctl(PR_GET_SECUREBITS), (long)bits, "securebits");
}

static void keeping(void *unused)
{
	(void)unused;
	must(prctl(PR_SET_KEEPCAPS, 1));
	victim_ready();
	while (victim_next())
		check_int(prctl(PR_GET_KEEPCAPS), 1, "keep-caps");
}

static void bounded(void *unused)
{
	(void)unused;
	must(prctl(PR_CAPBSET_DROP, CAP_SYS_MODULE));
	must(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME));
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	watch();
}

int main(int argc, char **argv)
{
	static const char *const parts[] = {
		"many-groups", "keep-caps", "securebits", "keeping", "bounded"};

	victim_begin(argc, argv);
	start_task("many-groups", many_groups, NULL);
	start_task("keep-caps", keep_caps, NULL);
	start_task("securebits", securebits, NULL);
	start_task("keeping", keeping, NULL);
	start_task("bounded", bounded, NULL);
	victim_ready();
	while (victim_next())
		for (size_t i = 0; i < array_size(parts); i++)
			check_part(parts[i]);
	return 0;
}
