/*
 * What ps shows: command line (also one written over, as servers do, and one that lies in another
 * place), environment, auxiliary vector, name, and the link to the program.
 */
#include "victim.h"

#include <linux/prctl.h>
#include <sys/auxv.h>

static const char *const files[] = {
	"/proc/self/cmdline", "/proc/self/environ", "/proc/self/auxv", "/proc/self/comm"};

static char *read_binary(const char *path, size_t *ret_size)
{
	char *content = must_ptr(calloc(1, 65536));
	int fd = (int)must(open(path, O_RDONLY | O_CLOEXEC));

	*ret_size = (size_t)must(read(fd, content, 65536));
	close(fd);
	return content;
}

static void watch(bool spoiling, char *victim_of_spoiling)
{
	char *before[array_size(files)], exe[512] = "", now[512] = "";
	size_t sizes[array_size(files)];

	for (size_t i = 0; i < array_size(files); i++)
		before[i] = read_binary(files[i], &sizes[i]);
	must(readlink("/proc/self/exe", exe, sizeof(exe) - 1));
	victim_ready();
	if (spoiling)
		victim_of_spoiling[0] ^= 1;
	while (victim_next()) {
		for (size_t i = 0; i < array_size(files); i++) {
			size_t size;
			char *content = read_binary(files[i], &size);

			check_int((long long)size, (long long)sizes[i], "size of %s", files[i]);
			check_bytes(content, before[i], sizes[i], "%s", files[i]);
			free(content);
		}
		memset(now, 0, sizeof(now));
		must(readlink("/proc/self/exe", now, sizeof(now) - 1));
		check_str(now, exe, "the program");
	}
}

static char **arguments;

static void titled(void *unused)
{
	(void)unused;
	memset(arguments[0], 'T', strlen(arguments[0]));
	prctl(PR_SET_NAME, "a title");
	watch(false, NULL);
}

/* The fields of /proc/self/stat from the 45th on. */
static void stat_fields(unsigned long *ret_values, int first, int count)
{
	char *text = read_file("/proc/self/stat"), *word = strrchr(text, ')') + 2;

	for (int i = 3; i < first; i++)
		word = strchr(word, ' ') + 1;
	for (int i = 0; i < count; i++)
		ret_values[i] = strtoul(word, &word, 10);
	free(text);
}

/* Arguments and environment moved to memory of its own, as systemd and CRIU's users do. */
static void moved(void *unused)
{
	static char words[] = "moved\0to\0another\0place", variables[] = "A=1\0B=2";
	unsigned long code[3], data[7];
	struct prctl_mm_map map = {0};

	(void)unused;
	stat_fields(code, 26, 3);
	stat_fields(data, 45, 7);
	map = (struct prctl_mm_map){.start_code = code[0],
		.end_code = code[1],
		.start_data = data[0],
		.end_data = data[1],
		.start_brk = data[2],
		.brk = (unsigned long)sbrk(0),
		.start_stack = code[2],
		.arg_start = (unsigned long)words,
		.arg_end = (unsigned long)words + sizeof(words),
		.env_start = (unsigned long)variables,
		.env_end = (unsigned long)variables + sizeof(variables),
		.exe_fd = (uint32_t)-1};
	must(prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0));
	watch(false, NULL);
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	arguments = argv;
	start_task("titled", titled, NULL);
	start_task("moved", moved, NULL);
	victim_become("main");
	if (fork() == 0) {
		watch(victim_spoiled(), argv[1] + 1);
		exit(0);
	}
	victim_become("");
	await_part("main");
	victim_ready();
	while (victim_next()) {
		check_part("titled");
		check_part("moved");
		check_part("main");
	}
	return 0;
}
