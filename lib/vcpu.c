/* SPDX-License-Identifier: MIT */
/*
 * Entry and exit of a virtual processor; see vcpu.h. Where registers meet
 * struct kvm_run, and what an exit left pending (exit.h) is drained.
 */
#include "vcpu.h"

#include "kvm.h"
#include "layout.h"
#include "machine.h"
#include "segments.h"
#include "util.h"
#include "x86.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SYNCED (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS)

/* Exits that a vCPU may still make while it is drained; a store across two pages makes one. */
#define DRAIN_LIMIT 16

/* On hardware the stub runs in ring 0: no trace, no interrupts, string direction and AC as ABI. */
#define RING0_FLAG_MASK (RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_AC | RFLAGS_NT)

#define SYSRET_ADDRESS (LAYOUT_KERNEL_TEXT + LAYOUT_KERNEL_SYSCALL + 2)

static bool lstar_in_ring3(const struct vcpu *vcpu)
{
	return vcpu->machine->entry == KVMSB_ENTRY_RING3;
}

static uint64_t lstar(const struct vcpu *vcpu)
{
	return lstar_in_ring3(vcpu) ? LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_SYSCALL
	                            : LAYOUT_KERNEL_TEXT + LAYOUT_KERNEL_SYSCALL;
}

static uint64_t flag_mask(const struct vcpu *vcpu)
{
	/* Left in ring 3, flags masked away would not come back: JMP restores none. */
	return vcpu->machine->host->syscall_enters_ring0 ? RING0_FLAG_MASK : 0;
}

/* No exception on its way, no interrupt shadow after MOV SS. */
static int clear_events(struct vcpu *vcpu)
{
	struct kvm_vcpu_events none = {.flags = KVM_VCPUEVENT_VALID_SHADOW};

	return kvm_vcpu_set_events(vcpu->fd, &none);
}

/* Everything that runs do not change, and what a failure may have changed. */
static int configure(struct vcpu *vcpu)
{
	struct kvm_msr_entry entries[SEGMENTS_MSR_COUNT];
	int result = kvm_vcpu_set_runnable(vcpu->fd);

	if (result == 0)
		result = clear_events(vcpu);
	if (result == 0)
		result = kvm_vcpu_set_sregs(vcpu->fd, &vcpu->user_sregs);
	if (result == 0)
		result = kvm_vcpu_set_xcr0(vcpu->fd, vcpu->machine->host->features.xcr0);
	if (result < 0)
		return result;
	vcpu->cached.cr3 = vcpu->user_sregs.cr3;
	vcpu->run->s.regs.sregs = vcpu->user_sregs;
	segments_set_msrs(entries, lstar(vcpu), flag_mask(vcpu));
	return kvm_vcpu_set_msrs(vcpu->fd, entries, SEGMENTS_MSR_COUNT);
}

static int configure_first(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->machine;
	uint64_t tss = LAYOUT_KERNEL_VCPU + vcpu->index * (uint64_t)LAYOUT_KERNEL_VCPU_STRIDE;
	int result = kvm_vcpu_set_cpuid(vcpu->fd, machine->host->cpuid);

	if (result == 0)
		result = kvm_vcpu_get_sregs(vcpu->fd, &vcpu->user_sregs);
	if (result < 0)
		return result;
	segments_set_user(&vcpu->user_sregs, tss, machine->host->tss_type,
	                  machine->host->features.cr4);
	vcpu->user_sregs.cr3 = machine->kernel_table.root.value;
	result = configure(vcpu);
	if (result < 0)
		return result;
	/* Where there is no such control the guest's TSC is the host's. */
	result = kvm_vcpu_set_tsc_offset(vcpu->fd, 0);
	return result == -ENXIO || result == -EINVAL || result == -ENOTTY ? 0 : result;
}

void vcpu_init(struct vcpu *vcpu, struct machine *machine, unsigned index)
{
	uint8_t *pages = machine_vcpu_pages(machine, index);

	*vcpu = (struct vcpu){
		.machine = machine, .index = index, .fd = -1, .counters = &machine->counters[index]};
	vcpu->interrupt_stack_end = (const uint64_t *)(const void *)(pages + 2 * PAGE_SIZE);
}

/* What the one before it here may have left. */
static void begin_life(struct vcpu *vcpu)
{
	const struct machine *machine = vcpu->machine;

	vcpu->broken = false;
	vcpu->thread = 0;
	vcpu->left = (struct exit_left){.unclean = false};
	vcpu->cached = (struct cached_translations){.index = vcpu->index};
	vcpu->time_limit = (struct time_limit){.signal = machine->timeout_signal};
	segments_write_tss(machine_vcpu_pages(machine, vcpu->index),
	                   LAYOUT_KERNEL_VCPU + vcpu->index * (uint64_t)LAYOUT_KERNEL_VCPU_STRIDE +
	                           2 * PAGE_SIZE,
	                   machine->entry != KVMSB_ENTRY_EXCEPTION);
}

/* KVM takes each identifier once, also when what had it is gone. */
static int create(struct machine *machine)
{
	unsigned long id = machine->next_vcpu_id++;
	unsigned long next = id + 1;
	int fd = kvm_vcpu_create(machine->vm, id);

	/* It has not been taken: a host that fails for a while must not use them all up. */
	if (fd < 0)
		atomic_compare_exchange_strong(&machine->next_vcpu_id, &next, id);
	return fd;
}

int vcpu_create(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->machine;
	void *run;
	int result, fd;

	begin_life(vcpu);
	result = kvm_vcpu_map_size(machine->kvm, &vcpu->run_size);
	if (result < 0)
		return result;
	fd = create(machine);
	if (fd < 0)
		return fd;
	vcpu->fd = fd;
	run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED) {
		result = -errno;
		goto destroy;
	}
	vcpu->run = run;
	result = configure_first(vcpu);
	if (result < 0)
		goto destroy;
	vcpu->run->kvm_valid_regs = SYNCED;
	return 0;

destroy:
	vcpu_destroy(vcpu);
	return result;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	/* A forked child inherits no timer: its identifier would be somebody else's. */
	if (machine_is_ours(vcpu->machine))
		time_limit_forget(&vcpu->time_limit);
	if (vcpu->run != NULL)
		munmap(vcpu->run, vcpu->run_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	vcpu->run = NULL;
	vcpu->fd = -1;
}

/* By way of the entry text: guest/kernel.S at LAYOUT_ENTRY_START. */
void vcpu_context_begin(struct vcpu_context *context, const struct machine *machine, uint64_t rip,
                        const struct kvmsb_registers *arguments)
{
	context->registers = (struct kvmsb_registers){
		.rip = LAYOUT_ENTRY_TEXT + (machine->host->selectors_stay ? LAYOUT_ENTRY_START_SELECTORS
	                                                                  : LAYOUT_ENTRY_START),
		.rflags = RFLAGS_FIXED,
		.rax = UINT32_MAX,
		.rdx = UINT32_MAX,
		.r11 = rip,
		.r10 = arguments->rdx,
		.rdi = arguments->rdi,
		.rsi = arguments->rsi,
		.rcx = arguments->rcx,
		.r8 = arguments->r8,
		.r9 = arguments->r9,
		.rsp = arguments->rsp,
		.fs_base = arguments->fs_base,
		.gs_base = arguments->gs_base,
	};
	context->fresh = true;
}

/* By way of guest/kernel.S at LAYOUT_ENTRY_RESUME. */
struct resume_frame vcpu_context_resume(struct vcpu_context *context, const struct machine *machine,
                                        const struct kvmsb_registers *at)
{
	struct resume_frame frame = {
		.address = at->rsp - LAYOUT_RED_ZONE - sizeof(frame.values),
		.values = {at->rdx, at->rax, at->rip},
	};

	context->registers = *at;
	context->registers.rip = LAYOUT_ENTRY_TEXT + (machine->host->selectors_stay
	                                                      ? LAYOUT_ENTRY_RESUME_SELECTORS
	                                                      : LAYOUT_ENTRY_RESUME);
	context->registers.rax = UINT32_MAX;
	context->registers.rdx = UINT32_MAX;
	context->registers.rsp = frame.address;
	context->fresh = true;
	return frame;
}

void vcpu_context_destroy(struct vcpu_context *context)
{
	free(context->saved_state);
	context->saved_state = NULL;
	context->state_saved = false;
}

/* Blocks the time signal in this thread, and tells KVM what is blocked but for that. */
static int set_signal_mask(struct vcpu *vcpu)
{
	uint64_t mask;
	int result = time_limit_block(&vcpu->time_limit, &mask);

	return result < 0 ? result : kvm_vcpu_set_signal_mask(vcpu->fd, mask);
}

int vcpu_adopt(struct vcpu *vcpu, uint64_t thread)
{
	int result;

	/* Whatever fails, the thread before must not find it as it was. */
	vcpu->thread = 0;
	time_limit_forget(&vcpu->time_limit);
	result = set_signal_mask(vcpu);
	if (result < 0)
		return result;
	vcpu->thread_id = gettid();
	vcpu->thread = thread;
	return 0;
}

/* What depends on the time, before an entry. *now: when it was done. */
static int arm(struct vcpu *vcpu, uint64_t deadline, uint64_t *now)
{
	int result;

	*now = time_now();
	timekeeper_tick(&vcpu->machine->timekeeper, *now);
	if (time_limit_armed(&vcpu->time_limit, deadline, *now))
		return 0;
	/* A signal that the thread has unblocked meanwhile would be dropped when it is sent. */
	result = set_signal_mask(vcpu);
	if (result == 0)
		result = time_limit_arm(&vcpu->time_limit, deadline);
	*now = time_now();
	return result;
}

static void count_run(struct vcpu *vcpu, uint64_t *kvm_runs)
{
	++*kvm_runs;
	vcpu_count(vcpu, COUNTER_kvm_runs, 1);
}

/*
 * Completes what the last exit left: KVM does so at the start of a KVM_RUN, after
 * it took the registers in `dirty`, and then, because of immediate_exit, stops. No
 * guest instruction runs.
 */
static int drain(struct vcpu *vcpu, uint64_t dirty, uint64_t *kvm_runs)
{
	int result = 0;

	vcpu->run->kvm_dirty_regs = dirty;
	vcpu->run->immediate_exit = 1;
	for (int i = 0; i < DRAIN_LIMIT && result == 0; i++) {
		result = kvm_vcpu_run(vcpu->fd);
		count_run(vcpu, kvm_runs);
		vcpu_count(vcpu, COUNTER_cleaning_runs, 1);
	}
	vcpu->run->immediate_exit = 0;
	vcpu->left.pending_out = 0;
	vcpu_count(vcpu, COUNTER_drains, 1);
	if (result == -EINTR)
		return 0;
	vcpu->left.unclean = vcpu->left.failed = true;
	return -EIO;
}

/*
 * Makes an unclean vCPU fit for another context, or breaks it. KVM completes an
 * INS by a walk of the tables of its own, and writes: the tables that the guest
 * left may be another's by now, its memory reset, and no flush helps. In the
 * kernel's tables, of which ring 3 may write nothing, it comes to nothing.
 */
static int clean(struct vcpu *vcpu, uint64_t *kvm_runs)
{
	int result;

	vcpu->run->s.regs.sregs = vcpu->user_sregs;
	vcpu->cached.cr3 = vcpu->user_sregs.cr3;
	result = drain(vcpu, KVM_SYNC_X86_SREGS, kvm_runs);
	/* What cannot be drained is pending still, whatever registers are set. */
	if (result == 0)
		result = vcpu->left.failed ? configure(vcpu) : clear_events(vcpu);
	vcpu->left.at_sysret = false;
	vcpu->cached.serial = 0;
	if (result < 0) {
		vcpu->broken = true;
		return result;
	}
	vcpu->left.unclean = vcpu->left.failed = false;
	return 0;
}

static bool same_segment(const struct kvm_segment *a, const struct kvm_segment *b)
{
	return a->selector == b->selector && a->dpl == b->dpl;
}

/* But for CR3. */
static bool sregs_in_place(const struct vcpu *vcpu, const struct kvm_sregs *want)
{
	const struct kvm_sregs *have = &vcpu->run->s.regs.sregs;

	return same_segment(&have->cs, &want->cs) && same_segment(&have->ss, &want->ss) &&
	       have->ds.selector == want->ds.selector && have->es.selector == want->es.selector &&
	       have->fs.selector == want->fs.selector && have->gs.selector == want->gs.selector &&
	       have->fs.base == want->fs.base && have->gs.base == want->gs.base;
}

static void load_general(struct kvm_regs *to, const struct kvmsb_registers *from)
{
	*to = (struct kvm_regs){
		.rax = from->rax,
		.rbx = from->rbx,
		.rcx = from->rcx,
		.rdx = from->rdx,
		.rsi = from->rsi,
		.rdi = from->rdi,
		.rsp = from->rsp,
		.rbp = from->rbp,
		.r8 = from->r8,
		.r9 = from->r9,
		.r10 = from->r10,
		.r11 = from->r11,
		.r12 = from->r12,
		.r13 = from->r13,
		.r14 = from->r14,
		.r15 = from->r15,
		.rip = from->rip,
		.rflags = (from->rflags & RFLAGS_USER) | RFLAGS_FIXED | RFLAGS_IF,
	};
}

static void store_general(struct kvmsb_registers *to, const struct kvm_regs *from)
{
	*to = (struct kvmsb_registers){
		.rax = from->rax,
		.rbx = from->rbx,
		.rcx = from->rcx,
		.rdx = from->rdx,
		.rsi = from->rsi,
		.rdi = from->rdi,
		.rsp = from->rsp,
		.rbp = from->rbp,
		.r8 = from->r8,
		.r9 = from->r9,
		.r10 = from->r10,
		.r11 = from->r11,
		.r12 = from->r12,
		.r13 = from->r13,
		.r14 = from->r14,
		.r15 = from->r15,
		.rip = from->rip,
		.rflags = from->rflags,
	};
}

/* As SYSCALL left it; and R11, which SYSRET makes RFLAGS, holds nothing that ring 3 may not have. */
static bool returns_by_sysret(const struct kvmsb_registers *registers)
{
	return registers->rip == registers->rcx && registers->rflags == registers->r11 &&
	       (registers->r11 & ~(RFLAGS_USER | RFLAGS_FIXED | RFLAGS_IF | RFLAGS_RF)) == 0;
}

static void load(struct vcpu *vcpu, const struct vcpu_context *context)
{
	struct kvm_sync_regs *sync = &vcpu->run->s.regs;
	struct kvm_sregs want = vcpu->user_sregs;
	uint64_t stub_flags = sync->regs.rflags;
	uint64_t cr3 = vcpu->cached.cr3, serial = vcpu->cached.serial;
	bool same_cr3, same_space;

	want.cr3 = invalidate_entry(&vcpu->machine->invalidator, &vcpu->cached,
	                            context->translations);
	same_cr3 = want.cr3 == cr3;
	same_space = same_cr3 && serial == vcpu->cached.serial;
	want.fs.base = context->registers.fs_base;
	want.gs.base = context->registers.gs_base;
	load_general(&sync->regs, &context->registers);
	vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	if (vcpu->left.at_sysret && same_space && returns_by_sysret(&context->registers) &&
	    sync->sregs.fs.base == want.fs.base && sync->sregs.gs.base == want.gs.base) {
		/* SYSRET does the rest; loading segments costs as much as the exit. */
		sync->regs.rip = SYSRET_ADDRESS;
		sync->regs.rflags = stub_flags;
	} else if (!same_cr3 || !sregs_in_place(vcpu, &want)) {
		sync->sregs = want;
		vcpu->run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
	}
	vcpu->left.at_sysret = false;
}

static bool is_canonical(uint64_t address)
{
	return address + (UINT64_C(1) << 47) < UINT64_C(1) << 48;
}

/* Nothing of a hostile guest's choosing may make KVM_RUN itself fail. */
static bool loadable(const struct kvmsb_registers *registers)
{
	return registers->rip < UINT64_C(1) << 47 && is_canonical(registers->fs_base) &&
	       is_canonical(registers->gs_base);
}

static int prepare(struct vcpu *vcpu, struct vcpu_context *context, uint64_t *kvm_runs)
{
	int result = 0;

	if (vcpu->left.unclean)
		result = clean(vcpu, kvm_runs);
	else if (vcpu->left.pending_out != 0 && vcpu->left.pending_out == context->registers.rip)
		/* KVM would take the OUT there for the one it has pending, and skip it. */
		result = drain(vcpu, 0, kvm_runs);
	if (result == 0 && context->state_saved) {
		result = kvm_vcpu_set_xsave(vcpu->fd, context->saved_state);
		context->state_saved = false;
	}
	return result;
}

/* One KVM_RUN, timed from `now` on. */
static int run_timed(struct vcpu *vcpu, uint64_t now, uint64_t *kvm_runs)
{
	int result = kvm_vcpu_run(vcpu->fd);

	vcpu_count(vcpu, COUNTER_guest_ns, time_now() - now);
	count_run(vcpu, kvm_runs);
	if (result < 0 && result != -EINTR && result != -EAGAIN)
		vcpu_count(vcpu, COUNTER_failures, 1);
	return result;
}

/* One KVM_RUN, more only if signals come in. 1 when the deadline is over. */
static int run(struct vcpu *vcpu, uint64_t deadline, uint64_t *kvm_runs)
{
	for (;;) {
		uint64_t now;
		int result = arm(vcpu, deadline, &now);

		if (result < 0)
			return result;
		/* A timer whose time has passed may still be late: nothing of the guest runs then. */
		vcpu->run->immediate_exit = now >= deadline;
		/* KVM clears what it has taken of kvm_dirty_regs: a second try goes on from there. */
		result = run_timed(vcpu, now, kvm_runs);
		vcpu->run->immediate_exit = 0;
		if (result != -EINTR && result != -EAGAIN)
			return result;
		if (time_limit_over(&vcpu->time_limit, deadline))
			return 1;
		vcpu_count(vcpu, COUNTER_interruptions, 1);
		/* The thread may have blocked this signal since KVM was told what is blocked. */
		result = set_signal_mask(vcpu);
		if (result < 0)
			return result;
	}
}

static void store(const struct vcpu *vcpu, struct vcpu_context *context)
{
	const struct kvm_sync_regs *sync = &vcpu->run->s.regs;

	store_general(&context->registers, &sync->regs);
	context->registers.fs_base = sync->sregs.fs.base;
	context->registers.gs_base = sync->sregs.gs.base;
}

static struct exit_rules rules_of(const struct vcpu *vcpu)
{
	const struct host_behaviour *host = vcpu->machine->host;

	return (struct exit_rules){.rip_past_out = host->rip_past_out,
	                           .syscall_faults = host->syscall_faults,
	                           .lstar = lstar(vcpu),
	                           .interrupt_stack_end = vcpu->interrupt_stack_end};
}

/* In, out, and what it was. */
static int enter(struct vcpu *vcpu, struct vcpu_context *context, uint64_t deadline,
                 struct vcpu_exit *exit, uint64_t *kvm_runs)
{
	const struct exit_rules rules = rules_of(vcpu);
	int result;

	load(vcpu, context);
	result = run(vcpu, deadline, kvm_runs);
	/* -EFAULT: of memory that an instruction of the guest used, and it can go on there. */
	if (result >= 0 || result == -EFAULT)
		store(vcpu, context);
	if (result < 0) {
		vcpu->left.unclean = vcpu->left.failed = true;
		return result;
	}
	if (result == 0)
		exit_decode(vcpu->run, &rules, &context->registers, exit, &vcpu->left);
	else
		exit_interrupted(vcpu->run, &rules, &context->registers, exit, &vcpu->left);
	return 0;
}

int vcpu_pass_out(struct vcpu *vcpu, struct vcpu_context *context, unsigned length, uint64_t *kvm_runs)
{
	int result;

	if (length != 0) {
		context->registers.rip += length;
		return 0;
	}
	result = drain(vcpu, 0, kvm_runs);
	if (result == 0)
		store(vcpu, context);
	else
		vcpu_count(vcpu, COUNTER_failures, 1);
	return result;
}

/*
 * Selectors are the last one's who ran on this thread, where hosts leave them.
 * A context that begins clears them on its way; one that goes on needs it done.
 */
static bool needs_clearing(const struct vcpu *vcpu, const struct vcpu_context *context, uint64_t turn)
{
	return vcpu->machine->host->selectors_stay && !context->fresh &&
	       (context->thread != vcpu->thread || context->turn != turn);
}

static int clear_selectors(struct vcpu *vcpu, const struct vcpu_context *context, uint64_t deadline,
                           struct vcpu_exit *exit, uint64_t *kvm_runs)
{
	struct vcpu_context stub = {
		.translations = context->translations,
		.registers = {.rip = LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_CLEAR_SELECTORS,
	                      .rflags = RFLAGS_FIXED,
	                      .fs_base = context->registers.fs_base,
	                      .gs_base = context->registers.gs_base},
	};

	int result = enter(vcpu, &stub, deadline, exit, kvm_runs);

	if (result == 0 && exit->kind != VCPU_EXIT_INTERRUPTED)
		vcpu_count(vcpu, COUNTER_cleaning_runs, 1);
	return result;
}

int vcpu_run(struct vcpu *vcpu, struct vcpu_context *context, uint64_t deadline,
             struct vcpu_exit *exit, uint64_t *kvm_runs)
{
	/* Entries of this thread, whichever program's. */
	static _Thread_local uint64_t turn;
	int result;

	*exit = (struct vcpu_exit){.kind = VCPU_EXIT_EXCEPTION, .vector = VECTOR_GP};
	if (!loadable(&context->registers))
		return 0;
	result = prepare(vcpu, context, kvm_runs);
	if (result == 0 && needs_clearing(vcpu, context, turn)) {
		result = clear_selectors(vcpu, context, deadline, exit, kvm_runs);
		/* The stub's OUT may be pending just where the context goes on. */
		if (result == 0 && exit->kind != VCPU_EXIT_INTERRUPTED)
			result = prepare(vcpu, context, kvm_runs);
	}
	if (result == 0 && exit->kind != VCPU_EXIT_INTERRUPTED)
		result = enter(vcpu, context, deadline, exit, kvm_runs);
	context->fresh = false;
	context->thread = vcpu->thread;
	context->turn = ++turn;
	return result;
}

int vcpu_save(struct vcpu *vcpu, struct vcpu_context *context)
{
	if (context->saved_state == NULL)
		context->saved_state = calloc(1, sizeof(*context->saved_state));
	if (context->saved_state == NULL)
		return -ENOMEM;
	return kvm_vcpu_get_xsave(vcpu->fd, context->saved_state);
}

int vcpu_read_state(struct vcpu *vcpu, struct kvm_xsave *state)
{
	return kvm_vcpu_get_xsave(vcpu->fd, state);
}
