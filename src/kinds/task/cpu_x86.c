/*
 * General and extended registers, TLS descriptors (x86-64).
 *
 * PTRACE_GETREGS and PTRACE_GETREGSET(NT_X86_XSTATE) give the registers, FS and GS bases included;
 * PTRACE_GET_THREAD_AREA the three TLS descriptors of the GDT, which only 32-bit code can set. In a
 * restore the restore room sets the registers with ptrace at the very end
 * (cpu_x86_registers_from_image).
 *
 * Extended state: see xsave_x86.c. AMX tiles need a permission that a process asks for once
 * (ARCH_REQ_XCOMP_PERM); it is asked for again where a thread has tiles in use.
 *
 * Refused by name: 32-bit tasks and their TLS, local descriptor tables (modify_ldt(2): DOSEMU, Wine
 * for 16-bit programs), shadow stacks, system call user dispatch (Wine).
 */
#include "kinds/task/cpu.h"

#include <asm/ldt.h>
#include <linux/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "kernel/uapi.h"
#include "kinds/task/common.h"
#include "kinds/task/restart.h"
#include "kinds/task/rows.h"

#define USER_CS   0x33
#define USER_CS32 0x23
#define USER_SS   0x2b

#define TLS_FIRST 12 /* GDT entries 12 to 14 */
#define TLS_COUNT 3

#define XSAVE_TILE_DATA     18
#define ARCH_REQ_XCOMP_PERM 0x1023

/* The registers of struct user_regs_struct under the names that the image gives them. */
/* clang-format off */
#define GENERAL_REGISTERS(X)                                                                   \
	X(r15, r15) X(r14, r14) X(r13, r13) X(r12, r12) X(rbp, bp) X(rbx, bx) X(r11, r11)      \
	X(r10, r10) X(r9, r9) X(r8, r8) X(rax, ax) X(rcx, cx) X(rdx, dx) X(rsi, si) X(rdi, di) \
	X(orig_rax, orig_ax) X(rip, ip) X(cs, cs) X(eflags, flags) X(rsp, sp) X(ss, ss)        \
	X(fs_base, fs_base) X(gs_base, gs_base) X(ds, ds) X(es, es) X(fs, fs) X(gs, gs)
/* clang-format on */

int cpu_x86_registers_to_image(struct arena *arena, const struct thread_registers *registers,
	CoreEntry *core, struct error *err)
{
	UserX86RegsEntry *gpregs = arena_new(arena, UserX86RegsEntry);

	user_x86_regs_entry__init(gpregs);
#define X(ptrace_name, image_name) gpregs->image_name = registers->general.ptrace_name;
	GENERAL_REGISTERS(X)
#undef X
	gpregs->has_mode = true;
	gpregs->mode = USER_X86_REGS_MODE__NATIVE;
	core->thread_info->gpregs = gpregs;
	return xsave_to_image(xsave_layout_own(), arena, registers->xsave, registers->xsave_size,
		&core->thread_info->fpregs, err);
}

int cpu_x86_registers_from_image(struct arena *arena, const CoreEntry *core, bool leader,
	struct thread_registers *ret_registers, struct error *err)
{
	const UserX86RegsEntry *gpregs = core->thread_info->gpregs;
	struct thread_registers registers = {0};
	int rc;

#define X(ptrace_name, image_name) registers.general.ptrace_name = gpregs->image_name;
	GENERAL_REGISTERS(X)
#undef X
	restart_from_image(core, &registers.general);
	rc = xsave_from_image(
		xsave_layout_own(), arena, core->thread_info->fpregs, true, &registers.xsave, err);
	if (rc < 0)
		return rc;
	registers.xsave_size = xsave_layout_own()->size;
	if (leader && core->tc)
		registers.signal_mask = core->tc->blk_sigset;
	else if (core->thread_core->has_blk_sigset)
		registers.signal_mask = core->thread_core->blk_sigset;
	*ret_registers = registers;
	return 0;
}

static bool is_empty(const UserDescT *entry)
{
	return !entry->base_addr && !entry->limit && entry->seg_not_present;
}

static void tls_to_image(
	struct dump_context *context, const struct thread_source *source, ThreadInfoX86 *info)
{
	struct arena *arena = context->arena;

	info->tls = arena_array(arena, UserDescT *, TLS_COUNT);
	for (unsigned i = 0; i < TLS_COUNT; i++) {
		UserDescT *entry = arena_new(arena, UserDescT);
		struct user_desc desc = {0};

		user_desc_t__init(entry);
		/* What an empty descriptor reads as, and what remains without CONFIG_IA32. */
		desc.entry_number = TLS_FIRST + i;
		desc.read_exec_only = desc.seg_not_present = 1;
		(void)ptrace(PTRACE_GET_THREAD_AREA, source->tid,
			(void *)(uintptr_t)(TLS_FIRST + i), &desc);
		entry->entry_number = desc.entry_number;
		entry->base_addr = desc.base_addr;
		entry->limit = desc.limit;
		entry->seg_32bit = desc.seg_32bit;
		entry->contents_h = desc.contents & 2;
		entry->contents_l = desc.contents & 1;
		entry->read_exec_only = desc.read_exec_only;
		entry->limit_in_pages = desc.limit_in_pages;
		entry->seg_not_present = desc.seg_not_present;
		entry->usable = desc.useable;
		info->tls[info->n_tls++] = entry;
		if (!is_empty(entry))
			task_obstacle(context, source,
				"has a TLS descriptor (set_thread_area), which is not handled yet");
	}
}

/* Modes of a thread that change what a system call or a return does: an executor cannot work in
 * them, or they cannot be given back. */
static void refuse_modes(struct dump_context *context, const struct thread_source *source)
{
	struct ptrace_sud_config dispatch = {0};

	if (source->registers->general.cs == USER_CS32)
		task_obstacle(context, source, "runs 32-bit code, which is not handled yet");
	else if (source->registers->general.cs != USER_CS)
		task_obstacle(context, source, "runs with the code segment %#llx",
			(unsigned long long)source->registers->general.cs);
	if (ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, source->tid, (void *)sizeof(dispatch),
		    &dispatch) == 0 &&
		dispatch.mode)
		task_obstacle(context, source,
			"has its system calls dispatched to a handler "
			"(PR_SET_SYSCALL_USER_DISPATCH), "
			"which is not handled yet");
}

static int look(struct dump_context *context, struct thread_source *source, struct error *err)
{
	CoreEntry *core = source->thread->core;

	core->mtype = CORE_ENTRY__MARCH__X86_64;
	refuse_modes(context, source);
	tls_to_image(context, source, core->thread_info);
	return cpu_x86_registers_to_image(context->arena, source->registers, core, err);
}

struct answers {
	uint64_t shadow_stack;
	unsigned char ldt[8];
	int shadow_stack_op, ldt_op;
};

#define ARCH_SHSTK_STATUS 0x5005

static int ask(struct dump_context *context, struct thread_source *source, struct batch *batch,
	void **cookie, struct error *err _unused_)
{
	struct answers *answers = arena_new(context->arena, struct answers);

	*cookie = answers;
	answers->shadow_stack_op = batch_op_flags(batch, OP_ASK, "ask for shadow stacks",
		SYS_arch_prctl, VAL(ARCH_SHSTK_STATUS),
		OUT(&answers->shadow_stack, sizeof(answers->shadow_stack)));
	answers->ldt_op = -1;
	if (source->leader)
		answers->ldt_op = batch_op_flags(batch, OP_ASK, "ask for a local descriptor table",
			SYS_modify_ldt, VAL(0), OUT(answers->ldt, sizeof(answers->ldt)),
			VAL(sizeof(answers->ldt)));
	return 0;
}

static int answer(struct dump_context *context, struct thread_source *source,
	const struct batch *batch, void *cookie, struct error *err _unused_)
{
	const struct answers *answers = cookie;

	if (batch_result(batch, answers->shadow_stack_op) == 0 && answers->shadow_stack)
		task_obstacle(context, source, "uses shadow stacks, which are not handled yet");
	if (answers->ldt_op >= 0 && batch_result(batch, answers->ldt_op) > 0)
		task_obstacle(context, source,
			"has a local descriptor table (modify_ldt), which is not handled yet");
	return 0;
}

static bool selector_fits(uint64_t selector)
{
	/* Null, or with user privilege; the kernel refuses others (set_segment_reg). */
	return selector <= UINT16_MAX && (selector == 0 || (selector & 3) == 3);
}

static void check_general(struct restore_context *context, const struct thread *thread,
	const UserX86RegsEntry *gpregs)
{
	if (gpregs->cs == USER_CS32 ||
		(gpregs->has_mode && gpregs->mode == USER_X86_REGS_MODE__COMPAT))
		task_conflict(context, thread, "runs 32-bit code, which is not handled yet");
	else if (gpregs->cs != USER_CS || gpregs->ss != USER_SS)
		task_bad_image(context, thread,
			"the segments cs %#llx, ss %#llx are not those of a program",
			(unsigned long long)gpregs->cs, (unsigned long long)gpregs->ss);
	if (!selector_fits(gpregs->ds) || !selector_fits(gpregs->es) ||
		!selector_fits(gpregs->fs) || !selector_fits(gpregs->gs))
		task_bad_image(context, thread, "a segment register is not that of a program");
	/* Up to 56 bits with five-level page tables; never the kernel's half. What is not mapped is
	 * a matter between the program and the kernel. */
	if (gpregs->ip >> 56 || gpregs->fs_base >> 56 || gpregs->gs_base >> 56)
		task_bad_image(context, thread,
			"ip %#llx, fs base %#llx or gs base %#llx is not an "
			"address of a program",
			(unsigned long long)gpregs->ip, (unsigned long long)gpregs->fs_base,
			(unsigned long long)gpregs->gs_base);
}

static void check_tls(
	struct restore_context *context, const struct thread *thread, const ThreadInfoX86 *info)
{
	for (size_t i = 0; i < info->n_tls; i++) {
		uint32_t number = info->tls[i]->entry_number;

		if (number < TLS_FIRST || number >= TLS_FIRST + TLS_COUNT)
			task_bad_image(context, thread, "there is no TLS descriptor %u", number);
		else if (!is_empty(info->tls[i]))
			task_conflict(context, thread,
				"has a TLS descriptor (set_thread_area), which is not handled yet");
	}
}

static int check(struct restore_context *context, const struct task *task _unused_,
	const struct thread *thread, bool leader _unused_, struct error *err _unused_)
{
	const CoreEntry *core = thread->core;
	struct error problem = ERROR_INIT;
	const UserX86CetEntry *cet;
	unsigned char *xsave;

	if (core->mtype != CORE_ENTRY__MARCH__X86_64) {
		task_conflict(
			context, thread, "ran on another kind of processor (%d)", core->mtype);
		return 0;
	}
	if (!core->thread_info || !core->thread_core || !core->thread_info->gpregs ||
		!core->thread_info->fpregs) {
		task_bad_image(context, thread, "registers or thread_core are missing");
		return 0;
	}
	check_general(context, thread, core->thread_info->gpregs);
	cet = core->thread_info->fpregs->xsave ? core->thread_info->fpregs->xsave->cet : NULL;
	if (cet && cet->cet)
		task_conflict(context, thread, "uses shadow stacks, which are not handled yet");
	check_tls(context, thread, core->thread_info);
	if (xsave_from_image(xsave_layout_own(), context->arena, core->thread_info->fpregs,
		    context->job->cpu_cap == CPU_CAP_NONE, &xsave, &problem) < 0) {
		error_wrap(&problem, 0, "task %d, thread %d", task->pid, thread->tid);
		error_about_task(&problem, task->pid);
		error_about_object(&problem, "core-%d.img", thread->tid);
		problems_take(context->problems, &problem);
	}
	return 0;
}

static bool has_tiles(const CoreEntry *core)
{
	const UserX86XsaveEntry *xsave = core->thread_info->fpregs->xsave;

	return xsave && xsave->xstate_bv >> XSAVE_TILE_DATA & 1;
}

static int plan(struct restore_context *context _unused_, struct thread_plan *plan,
	struct error *err _unused_)
{
	struct batch *state = plan->phases[PHASE_STATE];
	const CoreEntry *core = plan_core(plan);

	if (has_tiles(core))
		batch_op(state, "ask for permission to use AMX tiles", SYS_arch_prctl,
			VAL(ARCH_REQ_XCOMP_PERM), VAL(XSAVE_TILE_DATA));
	return 0;
}

const struct task_kind cpu_x86_kind = {
	.name = "registers",
	.limits =
		"32-bit tasks, local descriptor tables, shadow stacks, system call user dispatch: "
		"refused; I/O port permissions: not kept",
	.look = look,
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan,
};
