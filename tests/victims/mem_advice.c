/* What madvise has said of an area, as VmFlags tell it, and what fork then does. */
#include "victim.h"

enum { SIZE = 8 * PAGE };

static const struct advice {
	int advice;
	const char *flag, *name;
} advices[] = {
	{MADV_HUGEPAGE, "hg", "HUGEPAGE"},
	{MADV_NOHUGEPAGE, "nh", "NOHUGEPAGE"},
	{MADV_MERGEABLE, "mg", "MERGEABLE"},
	{MADV_DONTDUMP, "dd", "DONTDUMP"},
	{MADV_SEQUENTIAL, "sr", "SEQUENTIAL"},
	{MADV_RANDOM, "rr", "RANDOM"},
	{MADV_DONTFORK, "dc", "DONTFORK"},
	{MADV_WIPEONFORK, "wf", "WIPEONFORK"},
};

static char *areas[array_size(advices)], *plain;
static bool refused[array_size(advices)];

static char *separate(void)
{
	char *area = must_ptr(mmap(
		NULL, SIZE + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	must(munmap(area, PAGE));
	must(munmap(area + PAGE + SIZE, PAGE));
	return area + PAGE;
}

/* In a child: 0 if the area is a copy, 1 if it is wiped, 2 if it is not there. */
static int after_fork(char *area)
{
	int status;
	pid_t pid = (pid_t)must(fork());

	if (pid == 0) {
		unsigned char there;

		if (mincore(area, PAGE, &there) == -1)
			_exit(2);
		_exit(find_mismatch(area, PAGE, 7) < 0 ? 0 : 1);
	}
	must(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	for (size_t i = 0; i < array_size(advices); i++) {
		areas[i] = separate();
		refused[i] = madvise(areas[i], SIZE, advices[i].advice) == -1;
		fill_pattern(areas[i], SIZE, 7);
	}
	plain = separate();
	fill_pattern(plain, SIZE, 7);
	victim_ready();
	if (victim_spoiled())
		must(madvise(areas[6], SIZE, MADV_DOFORK));
	while (victim_next()) {
		for (size_t i = 0; i < array_size(advices); i++) {
			int copied = after_fork(areas[i]);
			int expected = advices[i].advice == MADV_DONTFORK     ? 2
				       : advices[i].advice == MADV_WIPEONFORK ? 1
									      : 0;

			check(refused[i] || vm_flag(areas[i], advices[i].flag), "%s is lost",
				advices[i].name);
			check(!vm_flag(plain, advices[i].flag), "the plain area is %s",
				advices[i].name);
			check_pattern(areas[i], SIZE, 7, advices[i].name);
			check_int(copied, expected, "%s: after fork the area", advices[i].name);
		}
	}
	return 0;
}
