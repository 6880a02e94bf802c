/* SPDX-License-Identifier: MIT */
/* Decoding of exits; see exit.h. */
#include "exit.h"

#include "layout.h"
#include "x86.h"

/* Words of an exception's frame, from the end of the stack: SDM 3A figure 6-9. */
enum frame_word {
	FRAME_SS = 1,
	FRAME_RSP,
	FRAME_RFLAGS,
	FRAME_CS,
	FRAME_RIP,
	FRAME_ERROR_CODE
};

/* Of every OUT of ours, in guest/kernel.S. */
#define OUT_LENGTH 2u

#define RETURN_OUT (LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_RETURN_OUT)
#define SYSCALL_OUT (LAYOUT_KERNEL_TEXT + LAYOUT_KERNEL_SYSCALL)

/* An exit being decoded. */
struct decoding {
	const struct kvm_run *run;
	const struct exit_rules *rules;
	struct kvmsb_registers *registers;
	struct vcpu_exit *exit;
	struct exit_left *left;
};

static bool in_ring0(const struct kvm_run *run)
{
	return (run->s.regs.sregs.cs.selector & 3) == 0;
}

static void decode_stray(const struct decoding *decoding)
{
	const struct kvm_run *run = decoding->run;
	struct vcpu_exit *exit = decoding->exit;

	exit->kind = VCPU_EXIT_STRAY;
	exit->kvm_reason = run->exit_reason;
	if (run->exit_reason == KVM_EXIT_IO)
		exit->address = run->io.port;
	else if (run->exit_reason == KVM_EXIT_MMIO)
		exit->address = run->mmio.phys_addr;
	decoding->left->unclean = true;
}

static void decode_failure(const struct decoding *decoding)
{
	const struct kvm_run *run = decoding->run;
	struct vcpu_exit *exit = decoding->exit;

	exit->kind = VCPU_EXIT_FAILED;
	exit->kvm_reason = run->exit_reason;
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		exit->kvm_detail = run->internal.suberror;
	else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		exit->kvm_detail = (uint32_t)run->fail_entry.hardware_entry_failure_reason;
	decoding->left->unclean = decoding->left->failed = true;
}

/* After SYSCALL: RCX is where it returns to, R11 what the flags were. */
static void return_from_syscall(struct kvmsb_registers *registers)
{
	registers->rip = registers->rcx;
	registers->rflags = registers->r11;
}

static void decode_syscall(const struct decoding *decoding)
{
	decoding->exit->kind = VCPU_EXIT_SYSCALL;
	return_from_syscall(decoding->registers);
}

static void lift_frame(const struct exit_rules *rules, struct kvmsb_registers *registers)
{
	const uint64_t *end = rules->interrupt_stack_end;

	registers->rip = end[-FRAME_RIP];
	registers->rsp = end[-FRAME_RSP];
	registers->rflags = end[-FRAME_RFLAGS];
}

/* Where SYSCALL stays in ring 3 but LSTAR is ring 0's, this fault is the system call. */
static bool is_faulting_syscall(const struct decoding *decoding)
{
	const struct exit_rules *rules = decoding->rules;
	const struct vcpu_exit *exit = decoding->exit;

	return rules->syscall_faults && exit->vector == VECTOR_PF && !exit->in_kernel &&
	       decoding->registers->rip == rules->lstar && exit->address == rules->lstar;
}

/* Which handler the OUT is in says the vector; the frame lies on the interrupt stack. */
static void decode_exception(const struct decoding *decoding, uint64_t out)
{
	const uint64_t *end = decoding->rules->interrupt_stack_end;
	uint64_t offset = out - (LAYOUT_KERNEL_TEXT + LAYOUT_KERNEL_EXCEPTIONS);
	struct vcpu_exit *exit = decoding->exit;

	exit->kind = VCPU_EXIT_EXCEPTION;
	exit->vector = (uint32_t)(offset / LAYOUT_KERNEL_EXCEPTION_STRIDE);
	if ((VECTORS_WITH_ERROR_CODE >> exit->vector & 1) != 0)
		exit->error_code = (uint32_t)end[-FRAME_ERROR_CODE];
	if (exit->vector == VECTOR_PF)
		exit->address = decoding->run->s.regs.sregs.cr2;
	exit->in_kernel = (end[-FRAME_CS] & 3) != 3;
	lift_frame(decoding->rules, decoding->registers);
	if (is_faulting_syscall(decoding))
		decode_syscall(decoding);
}

static bool is_our_out(const struct kvm_run *run)
{
	return run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT &&
	       run->io.size == 4 && run->io.count == 1;
}

static bool in_exception_handler(uint64_t out)
{
	uint64_t offset = out - (LAYOUT_KERNEL_TEXT + LAYOUT_KERNEL_EXCEPTIONS);

	return offset < VECTOR_COUNT * LAYOUT_KERNEL_EXCEPTION_STRIDE &&
	       offset % LAYOUT_KERNEL_EXCEPTION_STRIDE == 0;
}

/* The ports of the ring-0 stubs count only in ring 0, and only from where our OUTs are. */
static void decode_ring0_out(const struct decoding *decoding, uint64_t out)
{
	unsigned port = decoding->run->io.port;

	if (port == PORT_SYSCALL_RING0 && out == SYSCALL_OUT) {
		decode_syscall(decoding);
		decoding->left->at_sysret = true;
	} else if (port == PORT_EXCEPTION && in_exception_handler(out)) {
		decode_exception(decoding, out);
	} else {
		decode_stray(decoding);
	}
}

/*
 * A hypercall's RIP is to be past the OUT. Ours is two bytes long; the length
 * of a guest's own is not in kvm_run.
 */
static void decode_hypercall(const struct decoding *decoding)
{
	decoding->exit->kind = VCPU_EXIT_HYPERCALL;
	if (decoding->rules->rip_past_out)
		return;
	if (decoding->registers->rip == RETURN_OUT)
		decoding->registers->rip += OUT_LENGTH;
	else
		decoding->exit->at_out = true;
}

/*
 * Whether KVM would do more than move RIP when it completes a guest's own OUT:
 * a trap after it, or the end of an interrupt shadow (MOV SS before it), which
 * the next context must not start in. Interrupts are always enabled in ring 3,
 * so that KVM says that none could be injected means a shadow or an event.
 */
static bool completion_has_effects(const struct kvm_run *run)
{
	return (run->s.regs.regs.rflags & RFLAGS_TF) != 0 || !run->ready_for_interrupt_injection;
}

static void decode_ring3_out(const struct decoding *decoding)
{
	unsigned port = decoding->run->io.port;

	if (port == PORT_HYPERCALL)
		decode_hypercall(decoding);
	else if (port == PORT_SYSCALL_RING3)
		decode_syscall(decoding);
	else
		decode_stray(decoding);
	if (!decoding->rules->rip_past_out && completion_has_effects(decoding->run))
		decoding->left->unclean = true;
}

static void decode_out(const struct decoding *decoding)
{
	bool past = decoding->rules->rip_past_out;
	uint64_t out = decoding->registers->rip - (past ? OUT_LENGTH : 0);

	if (in_ring0(decoding->run))
		decode_ring0_out(decoding, out);
	else
		decode_ring3_out(decoding);
	if (!past && decoding->exit->kind != VCPU_EXIT_STRAY)
		decoding->left->pending_out = out;
}

void exit_decode(const struct kvm_run *run, const struct exit_rules *rules,
                 struct kvmsb_registers *registers, struct vcpu_exit *exit, struct exit_left *left)
{
	const struct decoding decoding = {
		.run = run, .rules = rules, .registers = registers, .exit = exit, .left = left};

	*exit = (struct vcpu_exit){.kind = VCPU_EXIT_FAILED};
	*left = (struct exit_left){.unclean = false};
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		if (is_our_out(run))
			decode_out(&decoding);
		else
			decode_stray(&decoding);
		break;
	case KVM_EXIT_MMIO:
	case KVM_EXIT_HLT:
		decode_stray(&decoding);
		break;
	default:
		decode_failure(&decoding);
		break;
	}
}

void exit_interrupted(const struct kvm_run *run, const struct exit_rules *rules,
                      struct kvmsb_registers *registers, struct vcpu_exit *exit,
                      struct exit_left *left)
{
	*exit = (struct vcpu_exit){.kind = VCPU_EXIT_INTERRUPTED};
	*left = (struct exit_left){.unclean = true};
	if (!in_ring0(run))
		return;
	/* In a stub: the registers are to be the user's. */
	if (registers->rip - LAYOUT_KERNEL_TEXT >= LAYOUT_KERNEL_EXCEPTIONS)
		lift_frame(rules, registers);
	else
		return_from_syscall(registers);
}
