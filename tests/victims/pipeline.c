/* Three tasks in a row, connected by pipes, through which numbers run all the time: none is lost, none comes
 * twice. */
#include "victim.h"

static struct counters {
	volatile uint64_t received;
	volatile uint64_t errors;
} * counters;

static int first[2], second[2];

static void write_numbers(int fd)
{
	for (uint64_t n = 0;; n++)
		if (write(fd, &n, sizeof(n)) != sizeof(n))
			_exit(1);
}

/* Signals and checkpoints may split a read: the bytes count, not the calls. */
static bool read_number(int fd, uint64_t *ret_number)
{
	for (size_t done = 0; done < sizeof(*ret_number);) {
		ssize_t n = read(fd, (char *)ret_number + done, sizeof(*ret_number) - done);

		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static void pass_on(int in, int out)
{
	uint64_t n;

	while (read_number(in, &n))
		if (write(out, &n, sizeof(n)) != sizeof(n))
			_exit(1);
}

static void count(int in)
{
	uint64_t n;

	while (read_number(in, &n)) {
		if (n != counters->received)
			counters->errors++;
		counters->received = n + 1;
	}
}

static pid_t fork_stage(int stage)
{
	pid_t pid = (pid_t)must(fork());

	if (pid)
		return pid;
	close(stage == 0 ? first[0] : first[1]);
	close(stage == 2 ? second[1] : second[0]);
	if (stage == 0)
		write_numbers(first[1]);
	else if (stage == 1)
		pass_on(first[0], second[1]);
	else
		count(second[0]);
	_exit(0);
}

int main(int argc, char **argv)
{
	pid_t pids[3];

	victim_begin(argc, argv);
	counters = must_ptr(
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	must(pipe(first));
	must(pipe(second));
	for (int i = 0; i < 3; i++)
		pids[i] = fork_stage(i);
	for (int i = 0; i < 2; i++) {
		close(first[i]);
		close(second[i]);
	}
	victim_ready();
	if (victim_spoiled())
		counters->errors++;
	while (victim_next()) {
		uint64_t before = counters->received;
		uint64_t limit = now_ns(CLOCK_MONOTONIC) + 5000000000;

		while (counters->received < before + 1000 && now_ns(CLOCK_MONOTONIC) < limit)
			msleep(1);
		check(counters->received >= before + 1000, "the pipeline stands still at %lu",
			before);
		check_int((long long)counters->errors, 0, "numbers lost or repeated");
	}
	for (int i = 0; i < 3; i++)
		kill(pids[i], SIGKILL);
	return 0;
}
