/* The registers that AVX-512 adds: zmm0 to zmm31 whole, and the mask registers k0 to k7. */
#include "victim.h"

struct file {
	volatile uint32_t asked; /* 0 */
	uint32_t pad[15];
	uint64_t masks[8]; /* 64 */
	uint8_t zmm[32][64]; /* 128 */
};
_Static_assert(__builtin_offsetof(struct file, masks) == 64, "offset");
_Static_assert(__builtin_offsetof(struct file, zmm) == 128, "offset");

/* Loads everything from *in, waits until in->asked, stores everything to *out. */
void hold_avx512(struct file *in, struct file *out);

#define EACH_ZMM(op)                                                                            \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) \
		op(14) op(15) op(16) op(17) op(18) op(19) op(20) op(21) op(22) op(23) op(24)    \
			op(25) op(26) op(27) op(28) op(29) op(30) op(31)
#define EACH_MASK(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7)
#define LOAD_ZMM(n)   "vmovdqu64 128+64*" #n "(%rdi), %zmm" #n "\n"
#define STORE_ZMM(n)  "vmovdqu64 %zmm" #n ", 128+64*" #n "(%rsi)\n"
#define LOAD_MASK(n)  "kmovq 64+8*" #n "(%rdi), %k" #n "\n"
#define STORE_MASK(n) "kmovq %k" #n ", 64+8*" #n "(%rsi)\n"

__asm__(".text\n.globl hold_avx512\n.type hold_avx512, @function\nhold_avx512:\n" EACH_ZMM(
	LOAD_ZMM) EACH_MASK(LOAD_MASK) "1: pause\ntestl $-1, (%rdi)\njz 1b\n" EACH_ZMM(STORE_ZMM)
		EACH_MASK(STORE_MASK) "vzeroupper\nret\n.size hold_avx512, .-hold_avx512\n");

static struct file in, out;
static volatile bool finished;

static void *hold(void *unused)
{
	(void)unused;
	for (;;) {
		hold_avx512(&in, &out);
		finished = true;
		while (finished)
			msleep(1);
	}
	return NULL;
}

static void fill(uint64_t seed)
{
	fill_pattern(in.masks, sizeof(in.masks), seed);
	fill_pattern(in.zmm, sizeof(in.zmm), seed + 1);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	victim_begin(argc, argv);
	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw"))
		victim_skip("the processor has no AVX-512");
	fill(1);
	if (pthread_create(&thread, NULL, hold, NULL))
		victim_die("pthread_create");
	msleep(20);
	victim_ready();
	for (uint64_t round = 1; victim_next(); round++) {
		if (victim_spoiled())
			in.zmm[20][50] ^= 1;
		in.asked = 1;
		while (!finished)
			msleep(1);
		for (int n = 0; n < 32; n++)
			check_bytes(out.zmm[n], in.zmm[n], 64, "zmm%d", n);
		for (int n = 0; n < 8; n++)
			check_int((long long)out.masks[n], (long long)in.masks[n], "k%d", n);
		in.asked = 0;
		fill(round * 10);
		finished = false;
		msleep(10);
	}
	return 0;
}
