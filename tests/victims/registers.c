/*
 * The register file of a thread: general, x87, MXCSR, SSE, AVX and AVX-512 where the processor has
 * it. Each thread fills all of them with numbers, waits (one computing, one in nanosleep) without
 * touching any, and stores them when asked.
 */
#include "victim.h"

enum { THREADS = 4, GENERAL = 13 };

/* The offsets are known to the assembly below. */
struct file {
	volatile uint32_t asked; /* 0 */
	uint32_t sleeps; /* 4 */
	uint64_t general[GENERAL]; /* 8: rbx rbp r12-r15 rdx r8-r10 rax rsi rcx (the last three:
				      computing) */
	uint32_t mxcsr; /* 112 */
	uint16_t control, pad; /* 116 */
	struct timespec nap; /* 120 */
	uint8_t x87[8][16]; /* 136 */
	uint8_t ymm[16][32]; /* 264 */
	uint64_t flags; /* 776 */
};
_Static_assert(__builtin_offsetof(struct file, mxcsr) == 112, "offset");
_Static_assert(__builtin_offsetof(struct file, nap) == 120, "offset");
_Static_assert(__builtin_offsetof(struct file, x87) == 136, "offset");
_Static_assert(__builtin_offsetof(struct file, ymm) == 264, "offset");
_Static_assert(__builtin_offsetof(struct file, flags) == 776, "offset");

/* Loads everything from *in, waits until in->asked, stores everything to *out. */
void hold_registers(struct file *in, struct file *out);

#define EACH_YMM(op)                                                                            \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) \
		op(14) op(15)
#define LOAD_YMM(n)  "vmovdqu 264+32*" #n "(%rdi), %ymm" #n "\n"
#define STORE_YMM(n) "vmovdqu %ymm" #n ", 264+32*" #n "(%rdi)\n"
#define LOAD_X87(n)  "fldt 136+16*" #n "(%rdi)\n"
#define STORE_X87(n) "fstpt 136+16*" #n "(%rdi)\n"

__asm__(".text\n.globl hold_registers\n.type hold_registers, @function\nhold_registers:\n"
	"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"sub $16, %rsp\nstmxcsr (%rsp)\nfnstcw 4(%rsp)\n"
	"push %rsi\npush %rdi\n"
	"fninit\nfldcw 116(%rdi)\nldmxcsr 112(%rdi)\n" /* */
	LOAD_X87(7) LOAD_X87(6) LOAD_X87(5) LOAD_X87(4) LOAD_X87(3) LOAD_X87(2) LOAD_X87(1)
		LOAD_X87(0) EACH_YMM(
			LOAD_YMM) "mov 8(%rdi), %rbx\nmov 16(%rdi), %rbp\n"
				  "mov 24(%rdi), %r12\nmov 32(%rdi), %r13\nmov 40(%rdi), %r14\nmov "
				  "48(%rdi), %r15\n"
				  "mov 56(%rdi), %rdx\nmov 64(%rdi), %r8\nmov 72(%rdi), %r9\nmov "
				  "80(%rdi), %r10\n"
				  "mov 88(%rdi), %rax\nmov 96(%rdi), %rsi\nmov 104(%rdi), %rcx\n"
				  "std\nstc\n"
				  "1: cmpl $0, 4(%rdi)\njne 3f\n"
				  "2: pause\ntestl $-1, (%rdi)\njz 2b\nstc\njmp 4f\n"
				  "3: mov $35, %eax\nlea 120(%rdi), %rdi\nxor %esi, "
				  "%esi\nsyscall\nmov (%rsp), %rdi\n"
				  "testl $-1, (%rdi)\njz 3b\n"
				  "mov 88(%rdi), %rax\nmov 96(%rdi), %rsi\nmov 104(%rdi), %rcx\n"
				  "4: mov 8(%rsp), %rdi\n"
				  "mov %rbx, 8(%rdi)\nmov %rbp, 16(%rdi)\nmov %r12, 24(%rdi)\nmov "
				  "%r13, 32(%rdi)\n"
				  "mov %r14, 40(%rdi)\nmov %r15, 48(%rdi)\nmov %rdx, 56(%rdi)\nmov "
				  "%r8, 64(%rdi)\n"
				  "mov %r9, 72(%rdi)\nmov %r10, 80(%rdi)\nmov %rax, 88(%rdi)\nmov "
				  "%rsi, 96(%rdi)\n"
				  "mov %rcx, 104(%rdi)\nfnstcw 116(%rdi)\nstmxcsr 112(%rdi)\n"
				  "pushf\npop %rax\nmov %rax, 776(%rdi)\ncld\n" STORE_X87(
					  0) STORE_X87(1) STORE_X87(2) STORE_X87(3) STORE_X87(4)
					  STORE_X87(5) STORE_X87(6) STORE_X87(7) EACH_YMM(
						  STORE_YMM) "vzeroupper\nfninit\n"
							     "add $16, %rsp\nldmxcsr (%rsp)\nfldcw "
							     "4(%rsp)\nadd $16, %rsp\n"
							     "pop %r15\npop %r14\npop %r13\npop "
							     "%r12\npop %rbp\npop %rbx\nret\n"
							     ".size hold_registers, "
							     ".-hold_registers\n");

static struct file in[THREADS], out[THREADS];
static volatile bool finished[THREADS], leaving;
static pthread_t threads[THREADS];

static void fill(struct file *file, uint64_t seed)
{
	fill_pattern(file->general, sizeof(file->general), seed);
	fill_pattern(file->ymm, sizeof(file->ymm), seed + 1);
	file->mxcsr = 0x1f80 | (uint32_t)(seed % 4) << 13; /* all rounding modes */
	file->control = (uint16_t)(0x37f | (seed % 4) << 10);
	for (int i = 0; i < 8; i++) {
		long double value = 1.0L / (long double)(3 + i) + (long double)seed;

		memset(file->x87[i], 0, 16);
		memcpy(file->x87[i], &value, 10);
	}
	file->nap = (struct timespec){0, 3000000};
}

static void *hold(void *argument)
{
	int i = (int)(intptr_t)argument;

	while (!leaving) {
		hold_registers(&in[i], &out[i]);
		finished[i] = true;
		while (finished[i] && !leaving)
			msleep(1);
	}
	return NULL;
}

static void compare(int i)
{
	static const char *const names[GENERAL] = {"rbx", "rbp", "r12", "r13", "r14", "r15", "rdx",
		"r8", "r9", "r10", "rax", "rsi", "rcx"};

	for (int n = 0; n < GENERAL; n++)
		check_int((long long)out[i].general[n], (long long)in[i].general[n], "thread %d %s",
			i, names[n]);
	check_int(out[i].mxcsr & ~0x3fu, in[i].mxcsr, "thread %d mxcsr", i);
	check_int(out[i].control, in[i].control, "thread %d x87 control word", i);
	check(out[i].flags & 0x400, "thread %d: the direction flag is gone", i);
	for (int n = 0; n < 8; n++)
		check_bytes(out[i].x87[n], in[i].x87[n], 10, "thread %d st%d", i, n);
	for (int n = 0; n < 16; n++)
		check_bytes(out[i].ymm[n], in[i].ymm[n], 32, "thread %d ymm%d", i, n);
}

int main(int argc, char **argv)
{
	victim_begin(argc, argv);
	if (!__builtin_cpu_supports("avx"))
		victim_skip("the processor has no AVX");
	for (int i = 0; i < THREADS; i++) {
		fill(&in[i], (uint64_t)i + 1);
		in[i].sleeps = i > 0; /* one alone keeps computing */
		if (pthread_create(&threads[i], NULL, hold, (void *)(intptr_t)i))
			victim_die("pthread_create");
	}
	msleep(20);
	victim_ready();
	for (uint64_t round = 1; victim_next(); round++) {
		for (int i = 0; i < THREADS; i++) {
			if (victim_spoiled())
				in[i].ymm[9][17] ^= 1;
			in[i].asked = 1;
			while (!finished[i])
				msleep(1);
			compare(i);
			fill(&in[i], round * 100 + (uint64_t)i);
			in[i].asked = 0;
			finished[i] = false;
		}
		msleep(10);
	}
	leaving = true;
	for (int i = 0; i < THREADS; i++)
		in[i].asked = 1;
	return 0;
}
