/* SPDX-License-Identifier: MIT */
/*
 * Decoding of exits made by hand, under both conventions for RIP after an OUT:
 * what each is, what the registers become, what is left pending. And what no
 * processor should let a guest do, but what must be refused if one does: the
 * ports of the ring-0 stubs from anywhere else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exit.h"
#include "layout.h"
#include "util.h"
#include "x86.h"

#include <string.h>

#define USER_CODE UINT64_C(0x401000)
#define RETURN_ADDRESS UINT64_C(0x402000)
#define SYSCALL_OUT (LAYOUT_KERNEL_TEXT + LAYOUT_KERNEL_SYSCALL)
#define RETURN_OUT (LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_RETURN_OUT)
#define HANDLER(vector)                                                                            \
	(LAYOUT_KERNEL_TEXT + LAYOUT_KERNEL_EXCEPTIONS +                                           \
	 (vector) * (uint64_t)LAYOUT_KERNEL_EXCEPTION_STRIDE)
#define PORTS 65536u

/* One exit, and what came of it. */
struct trial {
	struct kvm_run run;
	uint64_t stack[8];
	struct exit_rules rules;
	struct kvmsb_registers registers;
	struct vcpu_exit exit;
	struct exit_left left;
};

static struct trial trial_begin(bool past, unsigned selector, uint64_t out)
{
	struct trial trial = {.rules = {.rip_past_out = past, .lstar = SYSCALL_OUT}};
	struct kvm_run *run = &trial.run;

	trial.registers = (struct kvmsb_registers){
		.rip = out + (past ? 2 : 0), .rcx = RETURN_ADDRESS, .r11 = 0x246, .rflags = 0x202};
	run->exit_reason = KVM_EXIT_IO;
	run->ready_for_interrupt_injection = 1;
	run->io.direction = KVM_EXIT_IO_OUT;
	run->io.size = 4;
	run->io.count = 1;
	run->s.regs.sregs.cs.selector = (uint16_t)selector;
	run->s.regs.regs.rflags = 0x202;
	return trial;
}

static void trial_decode(struct trial *trial)
{
	trial->rules.interrupt_stack_end = trial->stack + ARRAY_SIZE(trial->stack);
	memset(&trial->exit, 0xa5, sizeof(trial->exit));
	memset(&trial->left, 0xa5, sizeof(trial->left));
	exit_decode(&trial->run, &trial->rules, &trial->registers, &trial->exit, &trial->left);
}

static struct trial out(bool past, unsigned selector, unsigned port, uint64_t address)
{
	struct trial trial = trial_begin(past, selector, address);

	trial.run.io.port = (uint16_t)port;
	trial_decode(&trial);
	return trial;
}

static void assert_stray(const struct trial *trial, uint64_t address)
{
	assert_int_equal(trial->exit.kind, VCPU_EXIT_STRAY);
	assert_int_equal(trial->exit.kvm_reason, trial->run.exit_reason);
	assert_int_equal(trial->exit.address, address);
	assert_false(trial->exit.at_out);
	assert_true(trial->left.unclean);
	assert_false(trial->left.failed);
	assert_false(trial->left.at_sysret);
	assert_int_equal(trial->left.pending_out, 0);
}

/* Pending: the OUT where KVM has left RIP. */
static void assert_clean(const struct trial *trial, uint64_t address)
{
	assert_false(trial->left.unclean);
	assert_false(trial->left.failed);
	assert_int_equal(trial->left.pending_out, trial->rules.rip_past_out ? 0 : address);
}

static void ring3_has_two_ports_wherever_it_is(void **unused)
{
	const uint64_t places[] = {USER_CODE, SYSCALL_OUT, HANDLER(VECTOR_PF), HANDLER(0),
	                           RETURN_OUT};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(places) * 2; i++) {
		for (unsigned port = 0; port < PORTS; port++) {
			struct trial trial = out(i % 2, SELECTOR_USER_CODE, port, places[i / 2]);

			if (port == PORT_HYPERCALL)
				assert_int_equal(trial.exit.kind, VCPU_EXIT_HYPERCALL);
			else if (port == PORT_SYSCALL_RING3)
				assert_int_equal(trial.exit.kind, VCPU_EXIT_SYSCALL);
			else
				assert_stray(&trial, port);
			assert_false(trial.left.at_sysret);
		}
	}
}

/* From ring 0, each port at the place of its stub and nowhere else. */
static void ring0_has_its_stubs_and_no_more(void **unused)
{
	const unsigned ports[] = {PORT_HYPERCALL, PORT_SYSCALL_RING3,     PORT_SYSCALL_RING0,
	                          PORT_EXCEPTION, PORT_SYSCALL_RING0 + 1, 0x80,
	                          PORTS - 1};
	const uint64_t start = LAYOUT_KERNEL_TEXT - 16, end = LAYOUT_KERNEL_TEXT + PAGE_SIZE;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(ports) * 2; i++) {
		for (uint64_t place = start; place < end; place++) {
			unsigned port = ports[i / 2];
			struct trial trial = out(i % 2, SELECTOR_KERNEL_CODE, port, place);

			if (port == PORT_SYSCALL_RING0 && place == SYSCALL_OUT)
				assert_int_equal(trial.exit.kind, VCPU_EXIT_SYSCALL);
			else if (port == PORT_EXCEPTION && place >= HANDLER(0) &&
			         place < HANDLER(VECTOR_COUNT) && (place - HANDLER(0)) % 8 == 0)
				assert_int_equal(trial.exit.kind, VCPU_EXIT_EXCEPTION);
			else
				assert_stray(&trial, port);
		}
	}
}

static void ring0_stubs_count_at_no_users_address(void **unused)
{
	const uint64_t places[] = {0, USER_CODE, RETURN_OUT, LAYOUT_ENTRY_TEXT, UINT64_MAX - 1};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(places) * 2; i++) {
		struct trial trial = out(i % 2, SELECTOR_KERNEL_CODE, PORT_SYSCALL_RING0,
		                         places[i / 2]);

		assert_stray(&trial, PORT_SYSCALL_RING0);
		trial = out(i % 2, SELECTOR_KERNEL_CODE, PORT_EXCEPTION, places[i / 2]);
		assert_stray(&trial, PORT_EXCEPTION);
	}
}

/* Everything but one OUT of four bytes, at the places where that one counts. */
static void only_one_shape_of_out_counts(void **unused)
{
	static const struct {
		unsigned selector, port;
		uint64_t place;
	} ours[] = {
		{SELECTOR_USER_CODE, PORT_HYPERCALL, USER_CODE},
		{SELECTOR_USER_CODE, PORT_HYPERCALL, RETURN_OUT},
		{SELECTOR_USER_CODE, PORT_SYSCALL_RING3, LAYOUT_ENTRY_TEXT},
		{SELECTOR_KERNEL_CODE, PORT_SYSCALL_RING0, SYSCALL_OUT},
		{SELECTOR_KERNEL_CODE, PORT_EXCEPTION, HANDLER(VECTOR_GP)},
	};
	static const struct {
		uint8_t direction, size;
		uint32_t count;
	} shapes[] = {
		{KVM_EXIT_IO_OUT, 1, 1}, {KVM_EXIT_IO_OUT, 2, 1},  {KVM_EXIT_IO_OUT, 4, 2},
		{KVM_EXIT_IO_OUT, 4, 0}, {KVM_EXIT_IO_OUT, 8, 1},  {KVM_EXIT_IO_OUT, 4, 1024},
		{KVM_EXIT_IO_IN, 4, 1},  {KVM_EXIT_IO_IN, 1, 1},   {KVM_EXIT_IO_IN, 4, 1024},
		{KVM_EXIT_IO_IN, 2, 1},  {KVM_EXIT_IO_OUT, 1, 64}, {2, 4, 1},
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(ours) * ARRAY_SIZE(shapes) * 2; i++) {
		size_t which = i / 2 / ARRAY_SIZE(shapes), shape = i / 2 % ARRAY_SIZE(shapes);
		struct trial trial = trial_begin(i % 2, ours[which].selector, ours[which].place);

		trial.run.io.port = (uint16_t)ours[which].port;
		trial.run.io.direction = shapes[shape].direction;
		trial.run.io.size = shapes[shape].size;
		trial.run.io.count = shapes[shape].count;
		trial_decode(&trial);
		assert_stray(&trial, ours[which].port);
	}
}

static void system_calls_return_to_rcx(void **unused)
{
	(void)unused;
	for (unsigned past = 0; past <= 1; past++) {
		struct trial trial = out(past, SELECTOR_KERNEL_CODE, PORT_SYSCALL_RING0, SYSCALL_OUT);

		assert_true(trial.left.at_sysret);
		assert_clean(&trial, SYSCALL_OUT);
		assert_int_equal(trial.registers.rip, RETURN_ADDRESS);
		assert_int_equal(trial.registers.rflags, 0x246);
		trial = out(past, SELECTOR_USER_CODE, PORT_SYSCALL_RING3, LAYOUT_ENTRY_TEXT);
		assert_false(trial.left.at_sysret);
		assert_clean(&trial, LAYOUT_ENTRY_TEXT);
		assert_int_equal(trial.registers.rip, RETURN_ADDRESS);
		assert_int_equal(trial.registers.rflags, 0x246);
	}
}

static void a_hypercall_says_whether_it_is_passed(void **unused)
{
	struct trial trial = out(true, SELECTOR_USER_CODE, PORT_HYPERCALL, USER_CODE);

	(void)unused;
	assert_false(trial.exit.at_out);
	assert_int_equal(trial.registers.rip, USER_CODE + 2);
	assert_clean(&trial, USER_CODE);
	trial = out(false, SELECTOR_USER_CODE, PORT_HYPERCALL, USER_CODE);
	assert_true(trial.exit.at_out);
	assert_int_equal(trial.registers.rip, USER_CODE);
	assert_clean(&trial, USER_CODE);
	assert_int_equal(trial.registers.rflags, 0x202);
	for (unsigned past = 0; past <= 1; past++) {
		trial = out(past, SELECTOR_USER_CODE, PORT_HYPERCALL, RETURN_OUT);
		assert_false(trial.exit.at_out);
		assert_int_equal(trial.registers.rip, RETURN_OUT + 2);
		assert_clean(&trial, RETURN_OUT);
	}
}

/* A trap to come or an interrupt shadow: not left for another context, wherever the OUT is. */
static void completions_with_effects_are_not_left(void **unused)
{
	const unsigned ports[] = {PORT_HYPERCALL, PORT_SYSCALL_RING3};
	const uint64_t places[] = {USER_CODE, RETURN_OUT, LAYOUT_ENTRY_TEXT};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(ports) * ARRAY_SIZE(places) * 4; i++) {
		bool past = i & 1, trap = i & 2;
		uint64_t place = places[i / 4 / ARRAY_SIZE(ports)];
		struct trial trial = trial_begin(past, SELECTOR_USER_CODE, place);

		trial.run.io.port = (uint16_t)ports[i / 4 % ARRAY_SIZE(ports)];
		if (trap)
			trial.run.s.regs.regs.rflags |= RFLAGS_TF;
		else
			trial.run.ready_for_interrupt_injection = 0;
		trial_decode(&trial);
		assert_int_not_equal(trial.exit.kind, VCPU_EXIT_STRAY);
		assert_int_equal(trial.left.unclean, !past);
		assert_int_equal(trial.left.pending_out, past ? 0 : place);
	}
}

static struct trial exception(bool past, unsigned vector, uint64_t frame_cs)
{
	struct trial trial = trial_begin(past, SELECTOR_KERNEL_CODE, HANDLER(vector));
	const uint64_t frame[] = {0x1234, USER_CODE, frame_cs, 0x10246, 0x7000, SELECTOR_USER_DATA};

	memcpy(trial.stack + 2, frame, sizeof(frame));
	trial.run.io.port = PORT_EXCEPTION;
	trial.run.s.regs.sregs.cr2 = 0xc0ffee;
	trial_decode(&trial);
	return trial;
}

static void exceptions_come_with_their_frame(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < VECTOR_COUNT * 4; i++) {
		unsigned vector = i / 4;
		bool past = i & 1, kernel = i & 2;
		struct trial trial = exception(past, vector,
		                               kernel ? SELECTOR_KERNEL_CODE : SELECTOR_USER_CODE);
		bool coded = vector == VECTOR_DF || (vector >= VECTOR_TS && vector <= VECTOR_PF) ||
		             vector == VECTOR_AC || vector == VECTOR_CP || vector == 29 ||
		             vector == 30;

		assert_int_equal(trial.exit.kind, VCPU_EXIT_EXCEPTION);
		assert_int_equal(trial.exit.vector, vector);
		assert_int_equal(trial.exit.error_code, coded ? 0x1234 : 0);
		assert_int_equal(trial.exit.address, vector == VECTOR_PF ? 0xc0ffee : 0);
		assert_int_equal(trial.exit.in_kernel, kernel);
		assert_int_equal(trial.registers.rip, USER_CODE);
		assert_int_equal(trial.registers.rsp, 0x7000);
		assert_int_equal(trial.registers.rflags, 0x10246);
		assert_clean(&trial, HANDLER(vector));
	}
}

/* By the fault on LSTAR's page, where hosts do that: all four conditions count. */
static void a_fault_at_lstar_is_a_system_call(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 32; i++) {
		bool past = i & 1, host = i & 2, user = i & 4, rip = i & 8, address = i & 16;
		struct trial trial = trial_begin(past, SELECTOR_KERNEL_CODE, HANDLER(VECTOR_PF));
		const uint64_t frame[] = {0x15,
		                          rip ? SYSCALL_OUT : USER_CODE,
		                          user ? SELECTOR_USER_CODE : SELECTOR_KERNEL_CODE,
		                          0x202,
		                          0x7000,
		                          SELECTOR_USER_DATA};

		memcpy(trial.stack + 2, frame, sizeof(frame));
		trial.rules.syscall_faults = host;
		trial.run.io.port = PORT_EXCEPTION;
		trial.run.s.regs.sregs.cr2 = address ? SYSCALL_OUT : USER_CODE;
		trial_decode(&trial);
		assert_clean(&trial, HANDLER(VECTOR_PF));
		assert_false(trial.left.at_sysret);
		if (host && user && rip && address) {
			assert_int_equal(trial.exit.kind, VCPU_EXIT_SYSCALL);
			assert_int_equal(trial.registers.rip, RETURN_ADDRESS);
		} else {
			assert_int_equal(trial.exit.kind, VCPU_EXIT_EXCEPTION);
		}
	}
}

static void other_exits_are_strays_or_failures(void **unused)
{
	(void)unused;
	for (unsigned reason = 0; reason < 64; reason++) {
		struct trial trial = trial_begin(reason & 1, SELECTOR_USER_CODE, USER_CODE);

		if (reason == KVM_EXIT_IO)
			continue;
		trial.run.exit_reason = reason;
		if (reason == KVM_EXIT_MMIO)
			trial.run.mmio.phys_addr = 0xfee00000;
		else if (reason == KVM_EXIT_INTERNAL_ERROR)
			trial.run.internal.suberror = 3;
		else if (reason == KVM_EXIT_FAIL_ENTRY)
			trial.run.fail_entry.hardware_entry_failure_reason = 0x80000021;
		trial_decode(&trial);
		if (reason == KVM_EXIT_MMIO || reason == KVM_EXIT_HLT) {
			assert_stray(&trial, reason == KVM_EXIT_MMIO ? 0xfee00000 : 0);
			continue;
		}
		assert_int_equal(trial.exit.kind, VCPU_EXIT_FAILED);
		assert_int_equal(trial.exit.kvm_reason, reason);
		assert_int_equal(trial.exit.kvm_detail, reason == KVM_EXIT_INTERNAL_ERROR ? 3
		                                        : reason == KVM_EXIT_FAIL_ENTRY ? 0x80000021
		                                                                        : 0);
		assert_true(trial.left.unclean);
		assert_true(trial.left.failed);
	}
}

static struct trial interrupt(unsigned selector, uint64_t rip)
{
	struct trial trial = trial_begin(false, selector, rip);
	const uint64_t frame[] = {0,       USER_CODE + 8, SELECTOR_USER_CODE,
	                          0x10246, 0x7000,        SELECTOR_USER_DATA};

	memcpy(trial.stack + 2, frame, sizeof(frame));
	trial.rules.interrupt_stack_end = trial.stack + ARRAY_SIZE(trial.stack);
	exit_interrupted(&trial.run, &trial.rules, &trial.registers, &trial.exit, &trial.left);
	assert_int_equal(trial.exit.kind, VCPU_EXIT_INTERRUPTED);
	assert_true(trial.left.unclean);
	assert_false(trial.left.failed);
	assert_int_equal(trial.left.pending_out, 0);
	return trial;
}

static void an_interrupted_stub_is_left(void **unused)
{
	struct trial trial = interrupt(SELECTOR_USER_CODE, USER_CODE);

	(void)unused;
	assert_int_equal(trial.registers.rip, USER_CODE);
	assert_int_equal(trial.registers.rflags, 0x202);
	trial = interrupt(SELECTOR_USER_CODE, SYSCALL_OUT);
	assert_int_equal(trial.registers.rip, SYSCALL_OUT);
	for (uint64_t offset = 0; offset <= 2; offset += 2) {
		trial = interrupt(SELECTOR_KERNEL_CODE, SYSCALL_OUT + offset);
		assert_int_equal(trial.registers.rip, RETURN_ADDRESS);
		assert_int_equal(trial.registers.rflags, 0x246);
		trial = interrupt(SELECTOR_KERNEL_CODE, HANDLER(VECTOR_UD) + offset);
		assert_int_equal(trial.registers.rip, USER_CODE + 8);
		assert_int_equal(trial.registers.rsp, 0x7000);
		assert_int_equal(trial.registers.rflags, 0x10246);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring3_has_two_ports_wherever_it_is),
		cmocka_unit_test(ring0_has_its_stubs_and_no_more),
		cmocka_unit_test(ring0_stubs_count_at_no_users_address),
		cmocka_unit_test(only_one_shape_of_out_counts),
		cmocka_unit_test(system_calls_return_to_rcx),
		cmocka_unit_test(a_hypercall_says_whether_it_is_passed),
		cmocka_unit_test(completions_with_effects_are_not_left),
		cmocka_unit_test(exceptions_come_with_their_frame),
		cmocka_unit_test(a_fault_at_lstar_is_a_system_call),
		cmocka_unit_test(other_exits_are_strays_or_failures),
		cmocka_unit_test(an_interrupted_stub_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
