/*
 * The executor: everything of stasis that ever runs inside a target.
 *
 * No stack and no FP register is used, so that the thread's stack pointer and FP state stay what they
 * are, and clone3(2) without a stack works. Registers while running a batch:
 *
 *	r15 ring	r14 current op	r13d ops in the batch	ebp index of the current op
 *	r12 the child's ring (restore) or the role (dump)	rbx scratch
 *
 * All code is position-independent; nothing here is executed where it is linked.
 */
#include "puppet/ring.h"

#define FUTEX_WAIT    0
#define FUTEX_WAKE    1
#define FUTEX_WAKE_OP 5
#define FUTEX_OWNER_DIED 0x40000000
#define EAGAIN	      11
#define EFAULT	      14
#define ETIMEDOUT     110

#define NR_mmap		  9
#define NR_munmap	  11
#define NR_rt_sigprocmask 14
#define NR_futex	  202
#define NR_exit_group	  231
#define SIG_SETMASK	  2

	.section .rodata
	.balign 16

/* Runs the ops of the ring in r15. A clone's child leaves at child_label with its own ring in r12;
 * it must not look at its parent's ring, which may already hold another batch. */
.macro RUN_OPS child_label, died_label
	mov	RING_COUNT(%r15), %r13d
	lea	RING_OPS(%r15), %r14
	xor	%ebp, %ebp
.Lnext\@:
	cmp	%r13d, %ebp
	jae	.Lall\@
	mov	RING_OP_RESULTS(%r14), %ebx
	test	%ebx, %ebx
	jz	.Lload\@
	lea	RING_OP_ARGS(%r14), %rsi
.Lresolve\@:
	shr	$1, %ebx
	jnc	.Lplain\@
	imul	$RING_OP_SIZE, (%rsi), %rax
	mov	(RING_OPS + RING_OP_RESULT)(%r15,%rax), %rax
	mov	%rax, (%rsi)
.Lplain\@:
	add	$8, %rsi
	test	%ebx, %ebx
	jnz	.Lresolve\@
.Lload\@:
	mov	RING_OP_ARGS(%r14), %rdi
	mov	(RING_OP_ARGS + 8)(%r14), %rsi
	mov	(RING_OP_ARGS + 16)(%r14), %rdx
	mov	(RING_OP_ARGS + 24)(%r14), %r10
	mov	(RING_OP_ARGS + 32)(%r14), %r8
	mov	(RING_OP_ARGS + 40)(%r14), %r9
.ifnb \child_label
	xor	%r12d, %r12d
	testb	$RING_OP_CLONE, RING_OP_FLAGS(%r14)
	cmovnz	%rdx, %r12
.endif
	mov	RING_OP_NR(%r14), %rax
.ifnb \died_label
	testl	$FUTEX_OWNER_DIED, RING_OWNER(%r15)
	jnz	\died_label
.endif
	syscall
.ifnb \child_label
	test	%rax, %rax
	jnz	.Lparent\@
	test	%r12, %r12
	jnz	\child_label
.Lparent\@:
.endif
	mov	%rax, RING_OP_RESULT(%r14)
	mov	RING_OP_FLAGS(%r14), %ebx
	test	$RING_OP_CONTINUE, %bl
	jnz	.Lgood\@
	test	$RING_OP_EXPECT, %bl
	jz	.Lerror\@
	cmp	%rax, RING_OP_EXPECTED(%r14)
	jne	.Lfailed\@
	jmp	.Lgood\@
.Lerror\@:
	cmp	$-4095, %rax
	jae	.Lfailed\@
.Lgood\@:
	inc	%ebp
	add	$RING_OP_SIZE, %r14
	jmp	.Lnext\@
.Lfailed\@:
	inc	%ebp
	jmp	.Lreport\@
.Lall\@:
	xor	%ebp, %ebp
.Lreport\@:
	mov	%ebp, RING_FAILED(%r15)
	/* xchg is the full barrier between storing done and reading waiting. */
	mov	RING_GO(%r15), %eax
	xchg	%eax, RING_DONE(%r15)
	cmpl	$0, RING_WAITING(%r15)
	je	.Lquiet\@
	lea	RING_DONE(%r15), %rdi
	mov	$FUTEX_WAKE, %esi
	mov	$1, %edx
	mov	$NR_futex, %eax
	syscall
.Lquiet\@:
.endm

/* Loads every register but rsp (which was never changed) from slot N and goes where it says. OF comes
 * from an addition, the other flags from sahf: popfq would need the stack. */
.macro LEAVE slot
	testb	$ROLE_NO_SYSCALLS, %r12b
	jnz	.Lload_slot\@
	mov	$SIG_SETMASK, %edi
	lea	(dump_executor_slots + \slot * SLOT_SIZE + SLOT_MASK)(%rip), %rsi
	xor	%edx, %edx
	mov	$8, %r10d
	mov	$NR_rt_sigprocmask, %eax
	syscall
.Lload_slot\@:
	lea	(dump_executor_slots + \slot * SLOT_SIZE)(%rip), %r15
	cld
	cmpb	$0, SLOT_DOWN(%r15)
	je	.Lup\@
	std
.Lup\@:
	movzwl	SLOT_FLAGS(%r15), %eax
	add	$0x7f, %al
	sahf
	mov	SLOT_RAX(%r15), %rax
	mov	SLOT_RBX(%r15), %rbx
	mov	SLOT_RCX(%r15), %rcx
	mov	SLOT_RDX(%r15), %rdx
	mov	SLOT_RSI(%r15), %rsi
	mov	SLOT_RDI(%r15), %rdi
	mov	SLOT_RBP(%r15), %rbp
	mov	SLOT_R8(%r15), %r8
	mov	SLOT_R9(%r15), %r9
	mov	SLOT_R10(%r15), %r10
	mov	SLOT_R11(%r15), %r11
	mov	SLOT_R12(%r15), %r12
	mov	SLOT_R13(%r15), %r13
	mov	SLOT_R14(%r15), %r14
	mov	SLOT_R15(%r15), %r15
	jmp	*(dump_executor_slots + \slot * SLOT_SIZE + SLOT_RIP)(%rip)
.endm

/*
 * The dump executor. Two threads of a process may be in it: the holder (its leader), as long as the
 * arena is mapped, and one visitor after the other. The conductor holds the robust futex `owner`; when
 * it dies, the kernel sets FUTEX_OWNER_DIED there before it lets the tracees go (exit_mm comes before
 * exit_notify in do_exit), and whoever is here finds its own way back. A visitor may come to run after
 * the holder unmapped the arena: outside RUN_OPS it touches the ring through futex(2) only, which
 * answers EFAULT.
 *
 * Entered at `start` with the registers of the mmap(2) or munmap(2) of the arena and the role in r12; at
 * `visit` with r15 = ring, r12 = role, r13 = the value of owner while the conductor lives.
 */
	.globl	dump_executor_start, dump_executor_mapped, dump_executor_visit
	.globl	dump_executor_slots, dump_executor_end
dump_executor_start:
	syscall
dump_executor_mapped:
	/* The conductor stops us here by PTRACE_SYSCALL and moves us on; who runs on by itself has lost
	 * it, and undoes the mapping. After the munmap(2) by which the conductor ends an intrusion rax
	 * is 0. */
	testb	$ROLE_NO_SYSCALLS, %r12b
	jnz	.Lleave_holder
	test	%rax, %rax
	jle	.Lleave_holder
	mov	%rax, %r15
.Lunmap:
	mov	%r15, %rdi
	mov	$RING_SIZE, %esi
	mov	$NR_munmap, %eax
	syscall
.Lleave_holder:
	LEAVE	0

dump_executor_visit:
	/* RUN_OPS needs r13: the owner's value moves to the upper half of r12. */
	shl	$32, %r13
	or	%r13, %r12
	testb	$ROLE_NO_SYSCALLS, %r12b
	jnz	.Lrun
	lea	.Lzero_time(%rip), %r10
	lea	RING_OWNER(%r15), %rdi
	mov	$FUTEX_WAIT, %esi
	mov	%r12, %rdx
	shr	$32, %rdx
	mov	$NR_futex, %eax
	syscall
	cmp	$-ETIMEDOUT, %rax
	jne	.Lowner_died
.Lrun:
	/* Nothing more is done for a conductor that is dead; under a seccomp filter it would be fatal. */
	RUN_OPS	, .Lowner_died
.Lidle:
	lea	RING_OWNER(%r15), %rdi
	mov	$FUTEX_WAIT, %esi
	mov	%r12, %rdx
	shr	$32, %rdx
	xor	%r10d, %r10d
	mov	$NR_futex, %eax
	syscall
	testb	$ROLE_NO_SYSCALLS, %r12b
	jnz	.Lowner_died
	cmp	$-EAGAIN, %rax
	je	.Lowner_died
	cmp	$-EFAULT, %rax
	jne	.Lidle
.Lowner_died:
	testb	$ROLE_VISITOR, %r12b
	jnz	.Lvisitor_leaves
	testb	$ROLE_NO_SYSCALLS, %r12b
	jnz	.Lleave_holder2
	cmpl	$VISITING_UNKNOWN, RING_VISITING(%r15)
	je	.Lleave_holder2
	/* The kernel wakes one waiter: it wakes the other. */
	lea	RING_OWNER(%r15), %rdi
	mov	$FUTEX_WAKE, %esi
	mov	$0x7fffffff, %edx
	mov	$NR_futex, %eax
	syscall
.Lwait_visitor:
	lea	RING_VISITING(%r15), %rdi
	mov	$FUTEX_WAIT, %esi
	mov	$1, %edx
	xor	%r10d, %r10d
	mov	$NR_futex, %eax
	syscall
	cmp	$-EAGAIN, %rax
	jne	.Lwait_visitor
	jmp	.Lunmap
.Lleave_holder2:
	jmp	.Lleave_holder
.Lvisitor_leaves:
	testb	$ROLE_NO_SYSCALLS, %r12b
	jnz	.Lleave_visitor
	/* visiting = 0, and wake everyone on both words: FUTEX_OP_SET 0, compare always true (== 1 or
	 * not, both words are woken when the comparison `old >= 0` holds). */
	lea	RING_OWNER(%r15), %rdi
	mov	$FUTEX_WAKE_OP, %esi
	mov	$0x7fffffff, %edx
	mov	$0x7fffffff, %r10d
	lea	RING_VISITING(%r15), %r8
	mov	$0x05000000, %r9d	/* FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_GE, 0) */
	mov	$NR_futex, %eax
	syscall
.Lleave_visitor:
	LEAVE	1
	.balign 8
.Lzero_time:
	.quad	0, 0
dump_executor_slots:
	.skip	2 * SLOT_SIZE
dump_executor_end:

/*
 * The restore executor: waits for batches for as long as the conductor lives (PTRACE_O_EXITKILL ends it
 * with the conductor). Entered at `wait` with r15 = ring; a thread or process that an op cloned arrives
 * at `child`.
 */
	.balign 16
	.globl	restore_executor_start, restore_executor_wait, restore_executor_end
restore_executor_start:
.Lchild:
	mov	%r12, %r15
restore_executor_wait:
	mov	RING_DONE(%r15), %ebx
	mov	$64, %ecx
.Lspin:
	cmp	%ebx, RING_GO(%r15)
	jne	.Lgo
	pause
	dec	%ecx
	jnz	.Lspin
	lea	RING_GO(%r15), %rdi
	mov	$FUTEX_WAIT, %esi
	mov	%ebx, %edx
	xor	%r10d, %r10d
	mov	$NR_futex, %eax
	syscall
	jmp	restore_executor_wait
.Lgo:
	RUN_OPS	.Lchild
	jmp	restore_executor_wait
restore_executor_end:

/*
 * Landing: the way from a puppet to a free task. A thread stands here, stopped, from the moment when
 * PTRACE_O_EXITKILL is taken from it until it is detached. It runs this code in two cases: the
 * conductor has died (then the commit word tells whether the whole tree lives or dies), or it is a
 * leader that is let go, last of its process, and unmaps our pages on its way.
 *
 * rdx = address of the commit word, r10 = LAND_UNMAP and what (rdi, rsi), or LAND_NO_SYSCALLS under a
 * seccomp filter; rsp = the landing record below the thread's red zone. All other registers have their
 * final values.
 */
	.balign 16
	.globl	landing_start, landing_unmap, landing_end
landing_start:
	cmpl	$1, (%rdx)
	je	.Llive
	mov	$1, %edi
	mov	$NR_exit_group, %eax
	syscall
	/* A seccomp filter may refuse even that. */
	hlt
.Llive:
	test	$LAND_NO_SYSCALLS, %r10b
	jnz	.Lload
	test	$LAND_UNMAP, %r10b
	jz	.Lmask
	mov	$NR_munmap, %eax
landing_unmap:
	syscall
	test	$LAND_NO_SYSCALLS, %r10b
	jnz	.Lload
.Lmask:
	mov	$SIG_SETMASK, %edi
	lea	LAND_MASK(%rsp), %rsi
	xor	%edx, %edx
	mov	$8, %r10d
	mov	$NR_rt_sigprocmask, %eax
	syscall
.Lload:
	cld
	cmpb	$0, LAND_DOWN(%rsp)
	je	.Lland_up
	std
.Lland_up:
	movzwl	LAND_FLAGS(%rsp), %eax
	add	$0x7f, %al
	sahf
	mov	LAND_RAX(%rsp), %rax
	mov	LAND_RDI(%rsp), %rdi
	mov	LAND_RSI(%rsp), %rsi
	mov	LAND_RDX(%rsp), %rdx
	mov	LAND_R10(%rsp), %r10
	mov	LAND_RCX(%rsp), %rcx
	mov	LAND_R11(%rsp), %r11
	/* One instruction takes rip and puts rsp right: a signal handler that comes before it finds the
	 * record above the stack pointer, one that comes after finds the thread at home. */
	ret	$(LAND_SIZE - 8 + RED_ZONE)
landing_end:

/*
 * The stub: what a puppet is born with, the only program segment of a tiny ELF (puppet/stage.c). Maps
 * what `params` say and enters the executor.
 */
	.balign 16
	.globl	stub_start, stub_end
stub_start:
	lea	.Lparams(%rip), %rbx
	mov	0(%rbx), %rdi		/* executor's address */
	mov	$4096, %esi
	mov	$5, %edx		/* PROT_READ | PROT_EXEC */
	mov	$0x11, %r10d		/* MAP_SHARED | MAP_FIXED */
	mov	8(%rbx), %r8		/* its memfd */
	xor	%r9d, %r9d
	mov	$NR_mmap, %eax
	syscall
	mov	16(%rbx), %rdi		/* arena's address */
	mov	24(%rbx), %rsi		/* its size */
	mov	$3, %edx		/* PROT_READ | PROT_WRITE */
	mov	$0x11, %r10d
	mov	32(%rbx), %r8		/* its memfd */
	xor	%r9d, %r9d
	mov	$NR_mmap, %eax
	syscall
	mov	16(%rbx), %r15
	jmp	*40(%rbx)
	.balign 8
.Lparams:
stub_end:
	.section .note.GNU-stack,"",@progbits
