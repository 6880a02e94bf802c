/* SPDX-License-Identifier: MIT */
/*
 * Figures of running a guest: the bare exit, calls, requests, system calls and
 * hypercalls, computation; alone and after a reset.
 */
#include "bench.h"

#include "kvm.h"
#include "machine.h"
#include "sandbox.h"

#define INNER_CALLS 200 /* system calls of one vmcall */

/* The bare exit: a fork's registers in a vCPU, then nothing but KVM_RUN. */

static int loop_run(struct kvmsb *fork, struct vcpu *vcpu, unsigned count)
{
	(void)fork;
	for (unsigned i = 0; i < count; i++)
		if (kvm_vcpu_run(vcpu->fd) < 0 || vcpu->run->exit_reason != KVM_EXIT_IO)
			return complain("KVM_RUN: exit %u", vcpu->run->exit_reason);
	return 0;
}

static int loop_vcpu_run(struct kvmsb *fork, struct vcpu *vcpu, unsigned count)
{
	struct vcpu_exit exit = {.kind = VCPU_EXIT_HYPERCALL};
	uint64_t kvm_runs = 0;

	for (unsigned i = 0; i < count; i++)
		if (vcpu_run(vcpu, &fork->context, time_now() + FAR_AWAY_NS, &exit, &kvm_runs) < 0 ||
		    exit.kind != VCPU_EXIT_HYPERCALL)
			return exit.kind == VCPU_EXIT_EXCEPTION
			               ? MEASURE_IMPOSSIBLE
			               : complain("vcpu_run: exit %d", (int)exit.kind);
	return 0;
}

static int time_loop(struct kvmsb *fork, struct vcpu *vcpu,
                     int (*loop)(struct kvmsb *, struct vcpu *, unsigned), struct sample *sample)
{
	double start;
	/* The library's own way in comes first: it loads the registers. */
	int result = loop_vcpu_run(fork, vcpu, WARM_UP);

	if (result == 0)
		result = loop(fork, vcpu, WARM_UP);
	if (result != 0)
		return result;
	start = now();
	result = loop(fork, vcpu, CALLS);
	set_sample(sample, now() - start, CALLS, CALLS);
	/* ... and goes last: it knows what an exit leaves pending. */
	return result == 0 ? loop_vcpu_run(fork, vcpu, 1) : result;
}

static int measure_loop(struct bench *bench, int (*loop)(struct kvmsb *, struct vcpu *, unsigned),
                        struct sample *sample)
{
	struct kvmsb *fork = bench->fork;
	struct vcpu_context *context = &fork->context;
	struct vcpu *vcpu;
	int result;

	space_enter(fork->space);
	context->registers = (struct kvmsb_registers){.rip = bench->at.out_forever, .rflags = 2};
	result = machine_vcpu_acquire(fork->machine, context, time_now() + FAR_AWAY_NS, &vcpu);
	if (result < 0)
		return complain("no virtual processor");
	result = time_loop(fork, vcpu, loop, sample);
	machine_vcpu_release(vcpu, NULL);
	return result;
}

int measure_exit_roundtrip(struct bench *bench, struct sample *sample)
{
	return measure_loop(bench, loop_run, sample);
}

static int measure_vcpu_run(struct bench *bench, struct sample *sample)
{
	return measure_loop(bench, loop_vcpu_run, sample);
}

/* Calls and requests. */

static int call_empty(struct bench *bench, double *kvm_runs)
{
	return call(bench->fork, bench->at.empty, 0, kvm_runs);
}

static int measure_vmcall(struct bench *bench, struct sample *sample)
{
	return time_operation(bench, call_empty, CALLS, sample);
}

static int reset_call_empty(struct bench *bench, double *kvm_runs)
{
	return reset(bench->fork) < 0 ? -1 : call_empty(bench, kvm_runs);
}

static int measure_reset_vmcall(struct bench *bench, struct sample *sample)
{
	return time_operation(bench, reset_call_empty, CALLS, sample);
}

static int reset_call_16(struct bench *bench, double *kvm_runs)
{
	return reset(bench->fork) < 0
	               ? -1
	               : call_with(bench->fork, bench->at.touch, 0, WRITTEN_PAGES, kvm_runs);
}

static int measure_reset_vmcall_16(struct bench *bench, struct sample *sample)
{
	return time_operation(bench, reset_call_16, CALLS, sample);
}

static int request_echo(struct bench *bench, double *kvm_runs)
{
	return request(bench->fork, URL_ECHO, kvm_runs);
}

static int measure_request(struct bench *bench, struct sample *sample)
{
	return time_operation(bench, request_echo, CALLS, sample);
}

static int reset_request_echo(struct bench *bench, double *kvm_runs)
{
	return reset(bench->fork) < 0 ? -1 : request_echo(bench, kvm_runs);
}

static int measure_reset_request(struct bench *bench, struct sample *sample)
{
	return time_operation(bench, reset_request_echo, CALLS, sample);
}

static int reset_request_format(struct bench *bench, double *kvm_runs)
{
	return reset(bench->fork) < 0 ? -1 : request(bench->fork, URL_FORMAT, kvm_runs);
}

static int measure_reset_request_format(struct bench *bench, struct sample *sample)
{
	return time_operation(bench, reset_request_format, CALLS, sample);
}

/* One call whose function does something `count` times; `base` of it is not that. */
static int measure_inner(struct bench *bench, uint64_t function, long count, double base,
                         struct sample *sample)
{
	double ignored = 0, kvm_runs = -1, start;

	if (call(bench->fork, function, 2, &ignored) < 0)
		return -1;
	start = now();
	if (call(bench->fork, function, (uint64_t)count, &kvm_runs) < 0)
		return -1;
	set_sample(sample, now() - start - base, kvm_runs, (double)count);
	return 0;
}

static int measure_syscall(struct bench *bench, struct sample *sample)
{
	return measure_inner(bench, bench->at.get_pids, INNER_CALLS, 0, sample);
}

static int measure_write(struct bench *bench, struct sample *sample)
{
	return measure_inner(bench, bench->at.write_bytes, INNER_CALLS, 0, sample);
}

static int measure_hypercall(struct bench *bench, struct sample *sample)
{
	return measure_inner(bench, bench->at.hypercalls, INNER_CALLS, 0, sample);
}

static int measure_hypercall_out(struct bench *bench, struct sample *sample)
{
	return measure_inner(bench, bench->at.hypercalls_out, INNER_CALLS, 0, sample);
}

static int measure_clock(struct bench *bench, struct sample *sample)
{
	struct sample base;
	double kvm_runs = 0;
	long count;

	if (call(bench->fork, bench->at.read_clock, INNER_CALLS, &kvm_runs) < 0)
		return -1;
	/* Without an exit it takes more of them to see anything. */
	count = kvm_runs > INNER_CALLS / 2 ? INNER_CALLS : 100 * INNER_CALLS;
	if (measure_vmcall(bench, &base) < 0)
		return -1;
	return measure_inner(bench, bench->at.read_clock, count, base.value, sample);
}

static int measure_compute(struct bench *bench, struct sample *sample)
{
	struct sample base;

	if (measure_vmcall(bench, &base) < 0)
		return -1;
	return measure_inner(bench, bench->at.compute, COMPUTE_ROUNDS, base.value, sample);
}

static const struct figure figures[] = {
	{"exit_roundtrip", "ns", "KVM_RUN alone: OUT in ring 3 and back", 0, measure_exit_roundtrip},
	{"vcpu_run", "ns", "... with registers loaded and stored", 0, measure_vcpu_run},
	{"vmcall", "ns", "call of an empty function", 0, measure_vmcall},
	{"reset_vmcall", "ns", "reset, then such a call", 0, measure_reset_vmcall},
	{"reset_vmcall_16", "ns", "reset, then a call that writes 16 pages, as ever", 0,
         measure_reset_vmcall_16},
	{"request", "ns", "GET request and its response", 0, measure_request},
	{"reset_request", "ns", "reset, then such a request", 0, measure_reset_request},
	{"reset_request_format", "ns", "reset, then one that formats and allocates", 0,
         measure_reset_request_format},
	{"syscall", "ns", "getpid in the guest", 0, measure_syscall},
	{"syscall_write_callback", "ns", "write of a byte, to a function of the host", 0,
         measure_write},
	{"hypercall", "ns", "hypercall by SYSCALL, as kvm_api.h does", 0, measure_hypercall},
	{"hypercall_out", "ns", "hypercall by OUT, as older programs do", 0, measure_hypercall_out},
	{"clock_gettime", "ns", "clock_gettime in the guest", 0, measure_clock},
	{"compute", "ns", "a round of pure computation in the guest", 0, measure_compute},
};
const struct area call_area = {.figures = figures, .count = ARRAY_SIZE(figures)};
