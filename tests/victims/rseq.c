/*
 * Restartable sequences: two threads on one processor add to one number without atomic
 * instructions, inside critical sections long enough that most interruptions hit one. A restart
 * that is lost loses an addition.
 */
#include "victim.h"

#include <linux/rseq.h>
#include <sys/rseq.h>

enum { THREADS = 2 };

static volatile uint64_t total;
static volatile uint64_t done[THREADS];
static volatile bool rest;
static volatile bool resting[THREADS];

/* One addition; false where it was interrupted and must be tried again. */
static __attribute__((noinline)) bool add_one(struct rseq *area)
{
	uint64_t delay = 20000, value;

	__asm__ volatile goto(
		".pushsection __rseq_cs, \"aw\"\n"
		".balign 32\n"
		"9: .long 0, 0\n"
		".quad 1f, 2f - 1f, 4f\n"
		".popsection\n"
		"leaq 9b(%%rip), %%rax\n"
		"movq %%rax, %c[cs](%[area])\n"
		"1:\n"
		"movq %[total], %[value]\n"
		"3: decq %[delay]\n"
		"jnz 3b\n"
		"incq %[value]\n"
		"movq %[value], %[total]\n"
		"2:\n"
		".pushsection __rseq_abort, \"ax\"\n"
		".byte 0x0f, 0xb9, 0x3d\n" /* ud1: the signature is its operand */
		".long 0x53053053\n"
		"4: jmp %l[aborted]\n"
		".popsection\n"
		: [delay] "+r"(delay), [value] "=&r"(value)
		: [area] "r"(area), [cs] "i"(offsetof(struct rseq, rseq_cs)), [total] "m"(total)
		: "rax", "memory", "cc"
		: aborted);
	return true;
aborted:
	return false;
}

static struct rseq *own_area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static void *run(void *argument)
{
	intptr_t i = (intptr_t)argument;
	struct rseq *area = own_area();

	for (;;) {
		while (!add_one(area))
			;
		done[i]++;
		resting[i] = rest;
		while (rest)
			msleep(1);
		resting[i] = false;
	}
	return NULL;
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set));
}

int main(int argc, char **argv)
{
	pthread_t thread;

	victim_begin(argc, argv);
	if (__rseq_size == 0)
		victim_skip("libc has not registered rseq");
	stay_on(sched_getcpu());
	for (intptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, run, (void *)i))
			victim_die("pthread_create");
	while (!done[0] || !done[1])
		msleep(1);
	victim_ready();
	if (victim_spoiled())
		must(syscall(SYS_rseq, own_area(), 32, RSEQ_FLAG_UNREGISTER, 0x53053053));
	while (victim_next()) {
		uint64_t before = total;

		while (total < before + 100)
			msleep(1);
		check(syscall(SYS_rseq, own_area(), 32, 0, 0x53053053) == -1 && errno == EBUSY,
			"rseq is not registered any more");
		check(own_area()->cpu_id < 4096, "rseq's cpu_id is %u", own_area()->cpu_id);
		rest = true;
		while (!resting[0] || !resting[1])
			msleep(1);
		check_int((long long)total, (long long)(done[0] + done[1]), "the sum");
		rest = false;
		while (resting[0] || resting[1])
			msleep(1);
	}
	return 0;
}
