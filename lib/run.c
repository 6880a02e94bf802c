/* SPDX-License-Identifier: MIT */
/*
 * Running a sandbox: borrows a vCPU, enters, routes every exit to who answers
 * it (system calls, hypercalls, page faults), and turns what ends the run into
 * an outcome.
 */
#include "sandbox.h"

#include "layout.h"
#include "linux/mm.h"
#include "linux/mm_check.h"
#include "x86.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* SYSCALL with a number from here on is a hypercall: Linux has none there. */
#define HYPERCALL_FIRST 0x10000u
#define HYPERCALL_LAST 0x7fffffffu
/* OUT with a number below this is a Linux system call. */
#define OUT_SYSCALL_END 512u

/* Counting. */

void sandbox_count(struct kvmsb *sandbox, enum counter which)
{
	if (sandbox->vcpu != NULL) {
		vcpu_count(sandbox->vcpu, which, 1);
		return;
	}
	sandbox->counts[which]++;
	machine_count(sandbox->machine, which, 1);
}

void sandbox_count_outcome(struct kvmsb *sandbox, enum kvmsb_outcome outcome)
{
	static const enum counter counters[] = {
		[KVMSB_OUTCOME_NONE] = COUNTER_outcome_other,
		[KVMSB_OUTCOME_RETURNED] = COUNTER_outcome_returned,
		[KVMSB_OUTCOME_READY] = COUNTER_outcome_ready,
		[KVMSB_OUTCOME_EXITED] = COUNTER_outcome_exited,
		[KVMSB_OUTCOME_FAULTED] = COUNTER_outcome_faulted,
		[KVMSB_OUTCOME_TIMED_OUT] = COUNTER_outcome_timed_out,
		[KVMSB_OUTCOME_OUT_OF_MEMORY] = COUNTER_outcome_out_of_memory,
		[KVMSB_OUTCOME_DENIED] = COUNTER_outcome_denied,
		[KVMSB_OUTCOME_HYPERCALL] = COUNTER_outcome_hypercall,
		[KVMSB_OUTCOME_BLOCKED] = COUNTER_outcome_other,
		[KVMSB_OUTCOME_STOPPED] = COUNTER_outcome_other,
		[KVMSB_OUTCOME_INTERNAL] = COUNTER_outcome_internal,
	};

	sandbox_count(sandbox, (size_t)outcome < ARRAY_SIZE(counters) ? counters[outcome]
	                                                              : COUNTER_outcome_other);
}

/* A vCPU's time with the sandbox. */

static int borrow(struct kvmsb *sandbox)
{
	int result = machine_vcpu_acquire(sandbox->machine, sandbox->current,
	                                  sandbox->process.deadline, &sandbox->vcpu);

	if (result < 0)
		sandbox->vcpu = NULL;
	else
		vcpu_count_from_here(sandbox->vcpu);
	return result;
}

/* suspended: it goes on later. */
static void give_back(struct kvmsb *sandbox, bool suspended)
{
	vcpu_counted(sandbox->vcpu, sandbox->counts);
	machine_vcpu_release(sandbox->vcpu, suspended ? sandbox->current : NULL);
	sandbox->vcpu = NULL;
}

/* Ends. */

static bool end(struct kvmsb_result *result, enum kvmsb_outcome outcome)
{
	result->outcome = outcome;
	return true;
}

static bool end_fault(struct kvmsb_result *result, const struct vcpu_exit *exit, uint64_t rip)
{
	result->fault = (struct kvmsb_fault){.vector = exit->vector,
	                                     .error_code = exit->error_code,
	                                     .address = exit->address,
	                                     .rip = rip};
	return end(result, KVMSB_OUTCOME_FAULTED);
}

static bool end_of_process(struct kvmsb *sandbox, struct kvmsb_result *result)
{
	switch (sandbox->process.end) {
	case PROCESS_RUNS:
		return false;
	case PROCESS_EXITED:
		result->exit_status = sandbox->process.exit_status & 0xff;
		return end(result, KVMSB_OUTCOME_EXITED);
	case PROCESS_KILLED:
		result->exit_signal = sandbox->process.exit_signal;
		return end(result, KVMSB_OUTCOME_EXITED);
	case PROCESS_OUT_OF_MEMORY:
		return end(result, KVMSB_OUTCOME_OUT_OF_MEMORY);
	case PROCESS_TIMED_OUT:
		return end(result, KVMSB_OUTCOME_TIMED_OUT);
	case PROCESS_CANCELLED:
		break;
	}
	return end(result, KVMSB_OUTCOME_STOPPED);
}

static bool run_system_call(struct kvmsb *sandbox, struct kvmsb_result *result)
{
	sandbox_count(sandbox, COUNTER_system_calls);
	process_system_call(&sandbox->process);
	return end_of_process(sandbox, result);
}

static bool run_hypercall(struct kvmsb *sandbox, uint32_t number, uint64_t fourth,
                          struct kvmsb_result *result)
{
	struct kvmsb_registers *registers = &sandbox->current->registers;
	const uint64_t arguments[6] = {registers->rdi, registers->rsi, registers->rdx,
	                               fourth,         registers->r8,  registers->r9};
	uint64_t value = registers->rax;

	sandbox_count(sandbox, COUNTER_hypercalls);
	result->hypercall = number;
	switch (hypercalls_run(&sandbox->hypercalls, &sandbox->process, number, arguments, &value)) {
	case HYPERCALL_CONTINUE:
		registers->rax = value;
		return end_of_process(sandbox, result);
	case HYPERCALL_READY:
		return end(result, KVMSB_OUTCOME_READY);
	case HYPERCALL_STOP:
		return end(result, KVMSB_OUTCOME_HYPERCALL);
	case HYPERCALL_DENIED:
		break;
	}
	snprintf(sandbox->detail, sizeof(sandbox->detail), "%s", sandbox->hypercalls.detail);
	return end(result, KVMSB_OUTCOME_DENIED);
}

static bool route_syscall(struct kvmsb *sandbox, struct kvmsb_result *result)
{
	uint64_t number = sandbox->current->registers.rax;

	if (number >= HYPERCALL_FIRST && number <= HYPERCALL_LAST)
		return run_hypercall(sandbox, (uint32_t)number, sandbox->current->registers.r10,
		                     result);
	return run_system_call(sandbox, result);
}

/* By OUT: EAX alone is the number, and the fourth argument of a hypercall is in RCX. */
static bool route_out(struct kvmsb *sandbox, struct kvmsb_result *result)
{
	struct kvmsb_registers *registers = &sandbox->current->registers;
	uint32_t number = (uint32_t)registers->rax;

	if (number == HYPERCALL_RETURN && sandbox->in_call) {
		result->value = registers->rdi;
		result->value_high = registers->rdx;
		return end(result, KVMSB_OUTCOME_RETURNED);
	}
	if (number < OUT_SYSCALL_END) {
		registers->rax = number;
		return run_system_call(sandbox, result);
	}
	return run_hypercall(sandbox, number, registers->rcx, result);
}

static unsigned fault_access(uint32_t error_code)
{
	if ((error_code & FAULT_FETCH) != 0)
		return SPACE_EXECUTE;
	return (error_code & FAULT_WRITE) != 0 ? SPACE_WRITE : SPACE_READ;
}

/*
 * An instruction that faults again may need more pages than one: none of them may
 * go for another. It is another instruction, or another round of it, when any
 * register differs.
 */
static void note_need(struct kvmsb *sandbox, uint64_t address)
{
	const struct kvmsb_registers *registers = &sandbox->current->registers;
	uint64_t page = align_down(address, PAGE_SIZE);

	if (memcmp(registers, &sandbox->faulted, sizeof(*registers)) != 0)
		space_need_nothing(sandbox->space);
	sandbox->faulted = *registers;
	space_need(sandbox->space, page, page + PAGE_SIZE);
}

static bool route_page_fault(struct kvmsb *sandbox, const struct vcpu_exit *exit,
                             struct kvmsb_result *result)
{
	uint64_t rip = sandbox->current->registers.rip;
	int answer;

	sandbox_count(sandbox, COUNTER_page_faults);
	if (exit->in_kernel || (exit->error_code & FAULT_RESERVED) != 0)
		return end_fault(result, exit, rip);
	note_need(sandbox, exit->address);
	answer = mm_fault(&sandbox->process, exit->address, fault_access(exit->error_code), true);
	if (answer == 0) {
		sandbox->process.usage.faults++;
		return false;
	}
	space_need_nothing(sandbox->space);
	if (answer == -ENOMEM)
		return end(result, KVMSB_OUTCOME_OUT_OF_MEMORY);
	return end_fault(result, exit, rip);
}

/* The plain form of a hypercall, OUT %eax, $0, without any prefix. */
#define PLAIN_OUT_LENGTH 2u

static bool is_plain_out(const uint8_t code[PLAIN_OUT_LENGTH])
{
	return code[0] == 0xe7 && code[1] == PORT_HYPERCALL;
}

/*
 * Without exits from ring 3, OUT to a port of ours faults: #GP(0) at the
 * instruction's two bytes. True when it was one; then it is done and passed.
 */
static bool is_faulting_out(struct kvmsb *sandbox, const struct vcpu_exit *exit)
{
	struct kvmsb_registers *registers = &sandbox->current->registers;
	uint8_t code[PLAIN_OUT_LENGTH];

	if (sandbox->machine->entry != KVMSB_ENTRY_EXCEPTION || exit->vector != VECTOR_GP ||
	    exit->error_code != 0 || exit->in_kernel)
		return false;
	if (registers->rip != LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_RETURN_OUT &&
	    (guest_read(&sandbox->process, registers->rip, code, sizeof(code)) < 0 ||
	     !is_plain_out(code)))
		return false;
	registers->rip += PLAIN_OUT_LENGTH;
	return true;
}

/*
 * Length of the OUT at RIP, 0 where only KVM can tell. After OUTSL (0x6f),
 * which counts as a hypercall too, RIP is past the instruction: what is there
 * is the next one, not to be skipped.
 */
static unsigned out_length(struct kvmsb *sandbox)
{
	const uint8_t outsl = 0x6f;
	uint64_t rip = sandbox->current->registers.rip;
	uint8_t code[1 + PLAIN_OUT_LENGTH];

	/* Nothing may be brought in for this, as bytes of another page would have to be. */
	if (rip % PAGE_SIZE == 0 || rip % PAGE_SIZE == PAGE_SIZE - 1 ||
	    guest_read(&sandbox->process, rip - 1, code, sizeof(code)) < 0 || code[0] == outsl ||
	    !is_plain_out(code + 1))
		return 0;
	return PLAIN_OUT_LENGTH;
}

static bool route_exception(struct kvmsb *sandbox, const struct vcpu_exit *exit,
                            struct kvmsb_result *result)
{
	if (exit->vector == VECTOR_PF)
		return route_page_fault(sandbox, exit, result);
	if (is_faulting_out(sandbox, exit))
		return route_out(sandbox, result);
	sandbox_count(sandbox, COUNTER_exceptions);
	return end_fault(result, exit, sandbox->current->registers.rip);
}

static bool route_stray(struct kvmsb *sandbox, const struct vcpu_exit *exit,
                        struct kvmsb_result *result)
{
	const struct vcpu_exit refused = {.vector = VECTOR_GP, .address = exit->address};

	snprintf(sandbox->detail, sizeof(sandbox->detail),
	         "input or output that no guest may do (KVM exit %u, address %#llx)",
	         exit->kvm_reason, (unsigned long long)exit->address);
	sandbox_count(sandbox, COUNTER_stray_accesses);
	return end_fault(result, &refused, sandbox->current->registers.rip);
}

static bool route_failure(struct kvmsb *sandbox, const struct vcpu_exit *exit,
                          struct kvmsb_result *result)
{
	snprintf(sandbox->detail, sizeof(sandbox->detail),
	         "KVM could not go on: exit %u, detail %#x, at %#llx", exit->kvm_reason,
	         exit->kvm_detail, (unsigned long long)sandbox->current->registers.rip);
	result->fault.rip = sandbox->current->registers.rip;
	sandbox_count(sandbox, COUNTER_failures);
	return end(result, KVMSB_OUTCOME_INTERNAL);
}

/* True when the run is over. */
static bool route(struct kvmsb *sandbox, const struct vcpu_exit *exit, struct kvmsb_result *result)
{
	switch (exit->kind) {
	case VCPU_EXIT_SYSCALL:
		return route_syscall(sandbox, result);
	case VCPU_EXIT_HYPERCALL:
		return route_out(sandbox, result);
	case VCPU_EXIT_EXCEPTION:
		return route_exception(sandbox, exit, result);
	case VCPU_EXIT_INTERRUPTED:
		sandbox_count(sandbox, COUNTER_time_limits);
		return end(result, KVMSB_OUTCOME_TIMED_OUT);
	case VCPU_EXIT_STRAY:
		return route_stray(sandbox, exit, result);
	case VCPU_EXIT_FAILED:
		break;
	}
	return route_failure(sandbox, exit, result);
}

/* An edit of its tables could not be made known to the processors: it must not go on. */
static int out_of_memory(struct kvmsb *sandbox, struct kvmsb_result *result)
{
	sandbox_fail(sandbox, -ENOMEM, "the host is out of memory: stale translations may be left");
	end(result, KVMSB_OUTCOME_OUT_OF_MEMORY);
	return 0;
}

/* In and out, with RIP where the guest goes on. */
static int enter(struct kvmsb *sandbox, struct vcpu_exit *exit, uint64_t *kvm_runs)
{
	struct vcpu *vcpu = sandbox->vcpu;
	uint64_t before = counters_value(vcpu->counters, COUNTER_guest_ns);
	int failed;

	space_enter(sandbox->space);
	failed = vcpu_run(vcpu, sandbox->current, sandbox->process.deadline, exit, kvm_runs);
	sandbox->process.usage.time += counters_value(vcpu->counters, COUNTER_guest_ns) - before;
	if (failed == 0 && exit->at_out)
		failed = vcpu_pass_out(vcpu, sandbox->current, out_length(sandbox), kvm_runs);
	return failed;
}

/*
 * KVM_RUN failed with EFAULT. True when a file may be the reason: the guest tries
 * again with copies, or there is no memory for that, and the run is over.
 */
static bool file_failed(struct kvmsb *sandbox, struct kvmsb_result *result, bool *over)
{
	int answer = mm_files_failed(&sandbox->process);

	if (answer < 0)
		*over = end(result, KVMSB_OUTCOME_OUT_OF_MEMORY);
	return answer != 0;
}

/* Enters and routes until the run is over. */
static int loop(struct kvmsb *sandbox, struct kvmsb_result *result)
{
	for (;;) {
		struct vcpu_exit exit;
		bool over = false;
		uint64_t rip;
		int failed;

		if (sandbox->space->poisoned)
			return out_of_memory(sandbox, result);
		mm_check(&sandbox->process, result->kvm_runs == 0);
		rip = sandbox->current->registers.rip;
		failed = enter(sandbox, &exit, &result->kvm_runs);
		if (failed == -EFAULT && file_failed(sandbox, result, &over)) {
			if (over)
				return 0;
			continue;
		}
		if (failed < 0)
			return sandbox_fail(sandbox, failed, "KVM_RUN or its timer: %s",
			                    strerror(-failed));
		if (exit.kind != VCPU_EXIT_INTERRUPTED && exit.kind != VCPU_EXIT_FAILED &&
		    sandbox->current->registers.rip != rip)
			invalidate_went_on(&sandbox->space->translations);
		if (exit.kind != VCPU_EXIT_EXCEPTION || exit.vector != VECTOR_PF)
			space_need_nothing(sandbox->space);
		if (route(sandbox, &exit, result))
			return 0;
		if (sandbox->doomed)
			return sandbox_fail(sandbox, -ECANCELED, "destroyed by its own callback");
		if (sandbox->host_error < 0)
			return sandbox_fail(sandbox, sandbox->host_error,
			                    "no virtual processor after a callback: %s",
			                    strerror(-sandbox->host_error));
	}
}

/*
 * x87 and vector state of the program where it waits: every call starts with
 * it (guest/kernel.S). XRSTOR refuses a component that XCR0 does not have.
 */
static int capture_state(struct kvmsb *sandbox)
{
	struct machine *machine = sandbox->machine;
	struct kvm_xsave *image = (struct kvm_xsave *)(void *)machine->state_image;
	const size_t header = 512;
	uint64_t components;
	int result = vcpu_read_state(sandbox->vcpu, image);

	if (result < 0)
		return sandbox_fail(sandbox, result, "KVM_GET_XSAVE: %s", strerror(-result));
	memcpy(&components, machine->state_image + header, sizeof(components));
	components &= machine->host->features.xcr0;
	memset(machine->state_image + header, 0, 64);
	memcpy(machine->state_image + header, &components, sizeof(components));
	sandbox->start = sandbox->current->registers;
	return 0;
}

static enum sandbox_state state_after(const struct kvmsb *sandbox, enum kvmsb_outcome outcome)
{
	switch (outcome) {
	case KVMSB_OUTCOME_RETURNED:
	case KVMSB_OUTCOME_HYPERCALL:
		return sandbox->state;
	case KVMSB_OUTCOME_READY:
		/* A function called in a program that never waited may do so: only main() makes it ready. */
		return sandbox->state == SANDBOX_NEW ? SANDBOX_READY : sandbox->state;
	case KVMSB_OUTCOME_EXITED:
		if (sandbox->state == SANDBOX_NEW)
			return SANDBOX_EXITED;
		break;
	default:
		break;
	}
	return sandbox->master != NULL ? SANDBOX_FORK_OVER : SANDBOX_OVER;
}

static void count_end(struct kvmsb *sandbox, int failed, enum kvmsb_outcome outcome)
{
	sandbox_count(sandbox, COUNTER_calls);
	if (failed < 0)
		sandbox_count(sandbox, COUNTER_calls_failed);
	else
		sandbox_count_outcome(sandbox, outcome);
}

/* What is not a fork starts its requests, and its forks, where it waited last. */
static bool starts_here(const struct kvmsb *sandbox, enum kvmsb_outcome outcome)
{
	if (sandbox->state == SANDBOX_NEW)
		return outcome == KVMSB_OUTCOME_READY || outcome == KVMSB_OUTCOME_EXITED;
	return sandbox->current == sandbox->loop && sandbox->master == NULL &&
	       outcome == KVMSB_OUTCOME_READY;
}

/* The loop of main() keeps its x87 and vector state from one request to the next. */
static bool goes_on(const struct kvmsb *sandbox, enum kvmsb_outcome outcome)
{
	return sandbox->current == sandbox->loop &&
	       (outcome == KVMSB_OUTCOME_HYPERCALL ||
	        (outcome == KVMSB_OUTCOME_READY && sandbox->master != NULL));
}

static int run_borrowed(struct kvmsb *sandbox, struct kvmsb_result *result)
{
	int failed = loop(sandbox, result);

	if (failed == 0 && sandbox->vcpu != NULL && starts_here(sandbox, result->outcome))
		failed = capture_state(sandbox);
	count_end(sandbox, failed, result->outcome);
	if (sandbox->vcpu != NULL)
		give_back(sandbox, failed == 0 && goes_on(sandbox, result->outcome));
	else
		machine_context_forget(sandbox->machine, sandbox->current);
	return failed;
}

static uint64_t deadline_after(uint64_t timeout_ns)
{
	uint64_t deadline;

	return checked_add(time_now(), timeout_ns, &deadline) && deadline < INT64_MAX ? deadline
	                                                                              : INT64_MAX;
}

int sandbox_run(struct kvmsb *sandbox, uint64_t timeout_ns, struct kvmsb_result *result)
{
	int failed;

	memset(result, 0, sizeof(*result));
	sandbox->detail[0] = '\0';
	sandbox->process.end = PROCESS_RUNS;
	sandbox->process.deadline = deadline_after(timeout_ns);
	sandbox->host_error = 0;
	failed = borrow(sandbox);
	if (failed < 0) {
		count_end(sandbox, failed, KVMSB_OUTCOME_NONE);
		return sandbox_fail(sandbox, failed, "no virtual processor: %s", strerror(-failed));
	}
	sandbox->running = true;
	failed = run_borrowed(sandbox, result);
	sandbox->running = false;
	result->registers = sandbox->current->registers;
	sandbox->state = failed < 0 ? state_after(sandbox, KVMSB_OUTCOME_NONE)
	                            : state_after(sandbox, result->outcome);
	return failed;
}

/*
 * While a host's function runs, the vCPU is anybody's: a function that runs
 * another sandbox cannot wait for one that its caller holds.
 */
void sandbox_callback_begin(struct process *process)
{
	struct kvmsb *sandbox = container_of(process, struct kvmsb, process);

	if (sandbox->vcpu == NULL)
		return;
	give_back(sandbox, true);
}

int sandbox_callback_end(struct process *process)
{
	struct kvmsb *sandbox = container_of(process, struct kvmsb, process);
	int result;

	if (sandbox->doomed) {
		process->end = PROCESS_CANCELLED;
		return -ECANCELED;
	}
	if (!sandbox->running || sandbox->vcpu != NULL)
		return 0;
	result = borrow(sandbox);
	if (result == 0)
		return 0;
	/* A process that has ended meanwhile needs none. */
	if (result == -ETIMEDOUT && process->end == PROCESS_RUNS)
		process->end = PROCESS_TIMED_OUT;
	else if (result != -ETIMEDOUT)
		sandbox->host_error = result;
	return result;
}
