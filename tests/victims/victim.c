/* The shared half of the victims; victim.h says what each function is for. */
#include "victim.h"

#include <stdarg.h>

enum { RESULT_SIZE = 2048, PART_TIMEOUT_MS = 60000, POLL_MS = 4 };

static char dir[512];
static bool spoil;

/* Each thread and each task is a part of its own. */
static _Thread_local char part[64];
static _Thread_local unsigned generation;
static _Thread_local char result[RESULT_SIZE];
static _Thread_local size_t result_length;

const char *victim_path(const char *name)
{
	static _Thread_local char buffers[16][640];
	static _Thread_local unsigned turn;
	char *buffer = buffers[turn++ % 16];

	snprintf(buffer, sizeof(buffers[0]), "%s/%s", dir, name);
	return buffer;
}

void victim_set_dir(const char *path)
{
	snprintf(dir, sizeof(dir), "%s", path);
}

void msleep(unsigned milliseconds)
{
	struct timespec t = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};

	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		;
}

/* Creates DIR/name whole: written aside, then renamed. Only system calls that exist in every state
 * a victim can be in (other credentials may be refused: then the harness sees a timeout). */
static void publish(const char *name, const char *text)
{
	char aside[128];
	int fd;

	snprintf(aside, sizeof(aside), ".%s.tmp", name);
	fd = open(victim_path(aside), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
	close(fd);
	rename(victim_path(aside), victim_path(name));
}

static bool exists(const char *name)
{
	return access(victim_path(name), F_OK) == 0;
}

void victim_begin(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s DIRECTORY [spoil]\n", argv[0]);
		exit(2);
	}
	victim_set_dir(argv[1]);
	spoil = argc > 2 && !strcmp(argv[2], "spoil");
}

bool victim_spoiled(void)
{
	return spoil;
}

void victim_become(const char *name)
{
	snprintf(part, sizeof(part), "%s", name);
	generation = 0;
	result_length = 0;
}

/* "KIND-N" or "KIND-N-PART". */
static void file_name(char *ret_name, size_t size, const char *kind)
{
	if (part[0])
		snprintf(ret_name, size, "%s-%u-%s", kind, generation, part);
	else
		snprintf(ret_name, size, "%s-%u", kind, generation);
}

void victim_ready(void)
{
	char name[128];

	snprintf(name, sizeof(name), part[0] ? "ready-%s" : "ready", part);
	publish(name, "ready\n");
}

static void report(void)
{
	char name[128], text[RESULT_SIZE + 16];

	file_name(name, sizeof(name), "result");
	snprintf(text, sizeof(text), "%s%.*s\n", result_length ? "fail: " : "pass",
		(int)result_length, result);
	publish(name, text);
	result_length = 0;
}

bool victim_next(void)
{
	char name[128];

	if (generation)
		report();
	generation++;
	snprintf(name, sizeof(name), "verify-%u", generation);
	while (!exists(name)) {
		if (exists("stop"))
			return false;
		msleep(POLL_MS);
	}
	return true;
}

static _Noreturn void leave(const char *how, const char *format, va_list args, int status)
{
	char text[RESULT_SIZE];
	int n = snprintf(text, sizeof(text), "%s: ", how);

	vsnprintf(text + n, sizeof(text) - (size_t)n, format, args);
	fprintf(stderr, "%s\n", text);
	publish("result-0", text);
	exit(status);
}

void victim_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	leave("skip", format, args, 77);
}

void victim_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	leave("fail", format, args, 1);
}

static void vfail(const char *format, va_list args)
{
	int n;

	if (result_length + 256 > sizeof(result))
		return;
	if (result_length)
		result[result_length++] = '\n';
	n = vsnprintf(result + result_length, 250, format, args);
	result_length += n < 250 ? (size_t)n : 249;
}

void victim_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfail(format, args);
	va_end(args);
}

void check_int(long long actual, long long expected, const char *format, ...)
{
	char what[128];
	va_list args;

	if (actual == expected)
		return;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	victim_fail(
		"%s is %lld (0x%llx), was %lld (0x%llx)", what, actual, actual, expected, expected);
}

void check_str(const char *actual, const char *expected, const char *format, ...)
{
	char what[128];
	va_list args;

	if (actual && expected && !strcmp(actual, expected))
		return;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	victim_fail("%s is '%.80s', was '%.80s'", what, actual ? actual : "(none)",
		expected ? expected : "(none)");
}

void check_bytes(const void *actual, const void *expected, size_t size, const char *format, ...)
{
	const unsigned char *a = actual, *e = expected;
	char what[128];
	va_list args;
	size_t i = 0;

	while (i < size && a[i] == e[i])
		i++;
	if (i == size)
		return;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	victim_fail("%s: byte %zu of %zu is %02x, was %02x", what, i, size, a[i], e[i]);
}

void await_file(const char *name)
{
	for (unsigned waited = 0; !exists(name); waited += POLL_MS) {
		if (waited > PART_TIMEOUT_MS)
			victim_die("%s did not appear", name);
		if (exists("result-0"))
			exit(1);
		msleep(POLL_MS);
	}
}

void await_part(const char *name)
{
	char file[128];

	snprintf(file, sizeof(file), "ready-%s", name);
	await_file(file);
}

struct part_start {
	const char *name;
	void (*body)(void *);
	void *argument;
};

static void *thread_main(void *argument)
{
	struct part_start start = *(struct part_start *)argument;

	free(argument);
	victim_become(start.name);
	start.body(start.argument);
	return NULL;
}

pthread_t start_thread(const char *name, void (*body)(void *), void *argument)
{
	struct part_start *start = must_ptr(malloc(sizeof(*start)));
	pthread_t thread;
	int error;

	*start = (struct part_start){strdup(name), body, argument};
	error = pthread_create(&thread, NULL, thread_main, start);
	if (error)
		victim_die("pthread_create: %s", strerror(error));
	await_part(name);
	return thread;
}

pid_t start_task(const char *name, void (*body)(void *), void *argument)
{
	pid_t pid = (pid_t)must(fork());

	if (pid == 0) {
		victim_become(name);
		body(argument);
		exit(0);
	}
	await_part(name);
	return pid;
}

void idle_part(void *unused)
{
	(void)unused;
	victim_ready();
	while (victim_next())
		;
}

void check_part(const char *name)
{
	char file[128], *text, *end;

	snprintf(file, sizeof(file), "result-%u-%s", generation, name);
	for (unsigned waited = 0; !exists(file); waited += POLL_MS) {
		if (waited > PART_TIMEOUT_MS) {
			victim_fail("%s does not answer", name);
			return;
		}
		msleep(POLL_MS);
	}
	text = read_file(victim_path(file));
	end = text + strlen(text);
	while (end > text && end[-1] == '\n')
		*--end = '\0';
	if (strncmp(text, "pass", 4) != 0)
		victim_fail("%s: %s", name, strncmp(text, "fail: ", 6) ? text : text + 6);
	free(text);
}

void check_partf(const char *format, ...)
{
	char name[64];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	check_part(name);
}

void await_syscall(pid_t pid, pid_t tid, long nr)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	for (int i = 0; i < 5000; i++) {
		char *text = read_file(path);
		bool there = text[0] >= '0' && text[0] <= '9' && atol(text) == nr;

		free(text);
		if (there)
			return;
		msleep(1);
	}
	victim_die("thread %d of %d does not enter system call %ld", tid, pid, nr);
}

char *read_file(const char *path)
{
	size_t size = 0, capacity = 65536;
	char *text = must_ptr(malloc(capacity));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	while (fd >= 0 && (n = read(fd, text + size, capacity - size - 1)) > 0) {
		size += (size_t)n;
		if (capacity - size < 32768)
			text = must_ptr(realloc(text, capacity *= 2));
	}
	if (fd >= 0)
		close(fd);
	text[size] = '\0';
	return text;
}

char *field_of(const char *text, const char *key)
{
	static _Thread_local char buffers[16][256];
	static _Thread_local unsigned turn;
	size_t key_length = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, key_length) && line[key_length] == ':') {
			char *buffer = buffers[turn++ % 16];
			const char *value = line + key_length + 1;

			value += strspn(value, " \t");
			snprintf(buffer, sizeof(buffers[0]), "%.*s", (int)strcspn(value, "\n"),
				value);
			return buffer;
		}
	}
	return NULL;
}

char *status_field(const char *key)
{
	char *text = read_file("/proc/thread-self/status");
	char *value = field_of(text, key);

	free(text);
	return value;
}

void watch_status(const char *const fields[], size_t count, void (*spoil_state)(void))
{
	char before[16][256];

	for (size_t i = 0; i < count; i++)
		snprintf(before[i], sizeof(before[i]), "%s", status_field(fields[i]));
	victim_ready();
	if (victim_spoiled() && spoil_state)
		spoil_state();
	while (victim_next())
		for (size_t i = 0; i < count; i++)
			check_str(status_field(fields[i]), before[i], "%s", fields[i]);
}

char *smaps_of(const void *address)
{
	char *text = read_file("/proc/self/smaps");
	char start[32];
	size_t length = (size_t)snprintf(start, sizeof(start), "%lx-", (unsigned long)address);

	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, start, length)) {
			char *end = strstr(line, "VmFlags:"), *copy;

			end = end ? strchr(end, '\n') : NULL;
			copy = end ? strndup(line, (size_t)(end - line)) : strdup(line);
			free(text);
			return copy;
		}
	}
	free(text);
	return NULL;
}

bool vm_flag(const void *address, const char *flag)
{
	char *area = smaps_of(address);
	char *flags = area ? field_of(area, "VmFlags") : NULL;
	bool found = false;

	for (char *word = flags; word && *word;
		word += strcspn(word, " "), word += strspn(word, " "))
		found |= !strncmp(word, flag, 2);
	free(area);
	return found;
}

static uint64_t pattern_word(uint64_t seed, size_t i)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15u + i;

	x ^= x >> 31;
	x *= 0xbf58476d1ce4e5b9u;
	return x ^ (x >> 29);
}

void fill_pattern(void *memory, size_t size, uint64_t seed)
{
	uint64_t *words = memory;

	for (size_t i = 0; i < size / 8; i++)
		words[i] = pattern_word(seed, i);
}

long find_mismatch(const void *memory, size_t size, uint64_t seed)
{
	const uint64_t *words = memory;

	for (size_t i = 0; i < size / 8; i++)
		if (words[i] != pattern_word(seed, i))
			return (long)(i * 8);
	return -1;
}

void check_pattern(const void *memory, size_t size, uint64_t seed, const char *what)
{
	long offset = find_mismatch(memory, size, seed);

	check(offset < 0, "%s: content differs from offset 0x%lx of 0x%zx on", what, offset, size);
}

void write_file(const char *path, const void *content, size_t size)
{
	int fd = (int)must(open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0644));

	for (size_t done = 0; done < size;)
		done += (size_t)must(write(fd, (const char *)content + done, size - done));
	close(fd);
}
