/* SPDX-License-Identifier: MIT */
/*
 * What a guest must not do, and what it may and must come back from: a table
 * of functions of tests/guests/faults.c and what each has to end in, run on
 * each entry path that this host can do. After each, another fork must answer
 * as before, and the one that failed must say that it is over, and work again
 * when it is reset.
 */
#include "sandbox_fixture.h"

#include "layout.h"
#include "time_scale.h"
#include "util.h"
#include "x86.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NON_CANONICAL UINT64_C(0x8000000000000000)
#define FIRST_NON_CANONICAL (UINT64_C(1) << 47)
#define NOWHERE UINT64_C(0x123456789000)
#define LAST_USER_PAGE UINT64_C(0x7ffffffff000)
#define DID_NOT_FAULT 0x600d
#define PROCESS_NUMBER 1000

enum ending {
	FAULTS,  /* with this vector */
	RETURNS, /* this value */
	TIMES_OUT,
	COMES_TO_AN_END, /* any, so long as it is the guest's and nobody else's */
};

enum place {
	AT,       /* RIP is that of the instruction */
	AFTER,    /* ... of the next one: a trap */
	TARGET,   /* ... the argument: a jump arrived there */
	OR_AFTER, /* either, where hosts differ */
	ANYWHERE,
};

/* What of the error code counts. */
#define CODE_FAULT UINT32_C(0xffff)
/* Hosts differ in whether a page that ring 3 cannot reach is absent, forbidden or reserved. */
#define CODE_KERNEL (UINT32_C(0xffff) & ~UINT32_C(9))
#define CODE_ANY UINT32_C(0)
#define VECTOR_ANY UINT32_MAX

struct row {
	const char *symbol;
	uint64_t argument;
	const char *argument_of; /* else the address of this object */
	const char *argument_in; /* or the pointer in it */
	enum ending ending;
	uint64_t value; /* RETURNS, or of a page fault the error code, of FAULTS the vector */
	enum place place;
	uint32_t code, code_mask;
	bool address_any; /* of a page fault; else it is the argument */
	bool not_emulated; /* QEMU's processor does something else: in the hardware leg any end will do */
	bool by_entry; /* by the exception path any end will do */
};

#define PAGE_FAULT(code_, mask_, place_)                                                           \
	.ending = FAULTS, .value = VECTOR_PF, .code = (code_), .code_mask = (mask_),               \
	.place = (place_)
#define READ_FAULT PAGE_FAULT(4, CODE_FAULT, AT)
#define WRITE_FAULT PAGE_FAULT(6, CODE_FAULT, AT)
#define WRITE_PROTECTED PAGE_FAULT(7, CODE_FAULT, AT)
#define FETCH_FAULT PAGE_FAULT(0x14, CODE_FAULT, TARGET)
#define FETCH_PROTECTED PAGE_FAULT(0x15, CODE_FAULT, TARGET)
#define EXCEPTION(vector_, place_)                                                                 \
	.ending = FAULTS, .value = (vector_), .code_mask = CODE_FAULT, .place = (place_)
/* Either is an exception; which one, hosts differ. */
#define SOME_EXCEPTION .ending = FAULTS, .value = VECTOR_ANY, .place = AT
#define FORBIDDEN EXCEPTION(VECTOR_GP, AT)
#define RETURN(value_) .ending = RETURNS, .value = (value_)

static const struct row memory_rows[] = {
	{"read_at", 0, READ_FAULT},
	{"write_at", 0, WRITE_FAULT},
	{"change_at", 8, WRITE_FAULT, .not_emulated = true},
	{"jump_to", 0, FETCH_FAULT},
	{"call_to", 0, FETCH_FAULT},
	{"return_to", 0, FETCH_FAULT},
	{"read_at", NOWHERE, READ_FAULT},
	{"write_at", NOWHERE, WRITE_FAULT},
	{"jump_to", NOWHERE, FETCH_FAULT},
	{"push_at", 4096, WRITE_FAULT, .address_any = true},
	{"read_at", .argument_in = "unmapped_page", READ_FAULT},
	{"write_at", .argument_in = "unmapped_page", WRITE_FAULT},
	{"jump_to", .argument_in = "unmapped_page", FETCH_FAULT},
	{"write_at", .argument_of = "answer", WRITE_PROTECTED},
	{"write_at", .argument_of = "constant", WRITE_PROTECTED},
	{"write_at", .argument_in = "read_only_page", .ending = FAULTS, .value = VECTOR_PF,
         .code = 6, .code_mask = CODE_KERNEL, .place = AT},
	{"jump_to", .argument_in = "heap_page", FETCH_PROTECTED},
	{"jump_to", .argument_in = "stack_page", FETCH_PROTECTED},
	{"jump_to", .argument_of = "data_page", FETCH_PROTECTED},
	{"call_to", .argument_of = "constant", FETCH_PROTECTED},
	{"read_at", NON_CANONICAL, FORBIDDEN},
	{"write_at", FIRST_NON_CANONICAL, FORBIDDEN},
	{"read_at", FIRST_NON_CANONICAL - 4, .ending = FAULTS, .value = VECTOR_PF, .place = AT,
         .address_any = true},
	{"read_stack_at", NON_CANONICAL, EXCEPTION(VECTOR_SS, AT), .not_emulated = true},
	{"push_at", NON_CANONICAL, EXCEPTION(VECTOR_SS, AT), .not_emulated = true},
	{"jump_to", NON_CANONICAL, EXCEPTION(VECTOR_GP, ANYWHERE)},
	{"jump_to", FIRST_NON_CANONICAL, EXCEPTION(VECTOR_GP, ANYWHERE)},
	{"call_to", NON_CANONICAL, EXCEPTION(VECTOR_GP, ANYWHERE)},
	{"return_to", NON_CANONICAL, EXCEPTION(VECTOR_GP, ANYWHERE)},
	{"save_at", NOWHERE, WRITE_FAULT, .address_any = true},
	{"prefetch_at", NOWHERE, RETURN(DID_NOT_FAULT)},
	{"prefetch_at", LAYOUT_KERNEL_TEXT, RETURN(DID_NOT_FAULT)},
	{"recurse", 0, PAGE_FAULT(6, CODE_FAULT, ANYWHERE), .address_any = true},
	{"unmap_own_stack", 0, PAGE_FAULT(4, CODE_ANY, ANYWHERE), .address_any = true},
};

#define KERNEL_PAGE(page)                                                                          \
	{"read_at", page, PAGE_FAULT(4, CODE_KERNEL, AT)},                                         \
		{"write_at", page, PAGE_FAULT(6, CODE_KERNEL, AT)},                                \
		{"jump_to", page, PAGE_FAULT(0x14, CODE_KERNEL, TARGET)},                          \
	{                                                                                          \
		"save_at", page, PAGE_FAULT(6, CODE_KERNEL, AT), .address_any = true               \
	}

static const struct row window_rows[] = {
	KERNEL_PAGE(LAYOUT_KERNEL_TEXT + 16),
	{"read_at", LAYOUT_KERNEL_TEXT, PAGE_FAULT(4, CODE_KERNEL, AT)},
	{"jump_to", LAYOUT_KERNEL_TEXT, PAGE_FAULT(0x14, CODE_KERNEL, TARGET), .by_entry = true},
	KERNEL_PAGE(LAYOUT_KERNEL_TEXT + LAYOUT_KERNEL_EXCEPTIONS + 8 * 14),
	KERNEL_PAGE(LAYOUT_KERNEL_GDT),
	KERNEL_PAGE(LAYOUT_KERNEL_IDT),
	KERNEL_PAGE(LAYOUT_KERNEL_VCPU),
	KERNEL_PAGE(LAYOUT_KERNEL_VCPU + 0x1000),
	KERNEL_PAGE(LAYOUT_KERNEL_VCPU + 0x1000 + 4048),
	KERNEL_PAGE(LAYOUT_KERNEL + 0x200000),
	KERNEL_PAGE(UINT64_MAX - 4095),
	{"write_at", LAYOUT_ENTRY_TEXT, WRITE_PROTECTED},
	{"write_at", LAYOUT_ENTRY_DATA, WRITE_PROTECTED},
	{"write_at", LAYOUT_ENTRY_XSAVE, WRITE_PROTECTED},
	{"save_at", LAYOUT_ENTRY_XSAVE, WRITE_PROTECTED, .address_any = true},
	{"read_at", LAYOUT_ENTRY_DATA, RETURN(DID_NOT_FAULT)},
	{"read_at", LAYOUT_ENTRY_XSAVE, RETURN(DID_NOT_FAULT)},
	{"jump_to", LAYOUT_ENTRY_DATA, FETCH_PROTECTED},
	{"jump_to", LAYOUT_ENTRY_XSAVE, FETCH_PROTECTED},
	{"read_at", LAYOUT_ENTRY_XSAVE + 0x2000, READ_FAULT},
	{"write_at", LAYOUT_ENTRY_XSAVE + 0x2000, WRITE_FAULT},
	{"jump_to", LAYOUT_ENTRY_XSAVE + 0x2000, FETCH_FAULT},
	{"read_at", LAST_USER_PAGE, READ_FAULT},
	{"write_at", LAST_USER_PAGE, WRITE_FAULT},
	{"jump_to", LAST_USER_PAGE, FETCH_FAULT},
	/* Code of ours that a guest may jump to: it can only harm itself. */
	{"jump_to", LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_RETURN,
         RETURN(LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_RETURN)},
	{"jump_to", LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_RETURN_OUT, .ending = COMES_TO_AN_END},
	{"jump_to", LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_RETURN_OUT + 1, .ending = COMES_TO_AN_END},
	{"jump_to", LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_START, .ending = COMES_TO_AN_END},
	{"jump_to", LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_SYSCALL, .ending = COMES_TO_AN_END},
	{"jump_to", LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_SYSCALL + 1, .ending = COMES_TO_AN_END},
	{"jump_to", LAYOUT_ENTRY_TEXT + LAYOUT_ENTRY_TEXT_SIZE, .ending = COMES_TO_AN_END},
};

static const struct row exception_rows[] = {
	{"divide_by_zero", 0, EXCEPTION(VECTOR_DE, AT)},
	{"divide_overflow", 0, EXCEPTION(VECTOR_DE, AT)},
	{"unmasked_x87", 0, EXCEPTION(VECTOR_MF, AT)},
	{"unmasked_sse", 0, EXCEPTION(VECTOR_XM, AT), .not_emulated = true},
	{"misaligned_vector", 0, EXCEPTION(VECTOR_GP, AT)},
	{"undefined", 0, EXCEPTION(VECTOR_UD, AT)},
	{"breakpoint", 0, EXCEPTION(VECTOR_BP, AFTER)},
	{"int_3", 0, EXCEPTION(VECTOR_BP, AFTER)},
	{"int_4", 0, EXCEPTION(VECTOR_OF, AFTER)},
	{"int_0", 0, SOME_EXCEPTION},
	{"int_1", 0, SOME_EXCEPTION},
	{"int_2", 0, SOME_EXCEPTION},
	{"int_8", 0, SOME_EXCEPTION},
	{"int_13", 0, SOME_EXCEPTION},
	{"int_14", 0, SOME_EXCEPTION},
	{"int_18", 0, SOME_EXCEPTION},
	{"int_31", 0, SOME_EXCEPTION},
	{"int_32", 0, SOME_EXCEPTION},
	{"int_128", 0, SOME_EXCEPTION},
	{"int_255", 0, SOME_EXCEPTION},
	{"icebp", 0, EXCEPTION(VECTOR_DB, OR_AFTER), .not_emulated = true},
	{"into", 0, EXCEPTION(VECTOR_UD, AT)},
	{"bound", 0, EXCEPTION(VECTOR_UD, AT)},
	{"vmcall", 0, .ending = COMES_TO_AN_END},
	{"vmmcall", 0, .ending = COMES_TO_AN_END},
	{"sysenter", 0, .ending = COMES_TO_AN_END},
};

static const struct row privileged_rows[] = {
	{"hlt", 0, FORBIDDEN},
	{"cli", 0, FORBIDDEN},
	{"sti", 0, FORBIDDEN},
	{"lgdt", 0, FORBIDDEN},
	{"lidt", 0, FORBIDDEN},
	{"lldt", 0, FORBIDDEN},
	{"ltr", 0, FORBIDDEN},
	{"lmsw", 0, FORBIDDEN},
	{"clts", 0, FORBIDDEN},
	{"invd", 0, FORBIDDEN},
	{"wbinvd", 0, FORBIDDEN},
	{"invlpg", 0, FORBIDDEN},
	{"read_cr0", 0, FORBIDDEN},
	{"read_cr2", 0, FORBIDDEN},
	{"read_cr3", 0, FORBIDDEN},
	{"read_cr4", 0, FORBIDDEN},
	{"read_cr8", 0, FORBIDDEN},
	{"write_cr0", 0, FORBIDDEN},
	{"write_cr3", 0, FORBIDDEN},
	{"write_cr4", 0, FORBIDDEN},
	{"read_dr0", 0, FORBIDDEN},
	{"read_dr7", 0, FORBIDDEN},
	{"write_dr0", 0, FORBIDDEN},
	{"write_dr7", 0, FORBIDDEN},
	{"rdmsr", 0, FORBIDDEN},
	{"wrmsr", 0, FORBIDDEN},
	{"rdpmc", 0, FORBIDDEN},
	{"xsetbv", 0, FORBIDDEN},
	{"swapgs", 0, FORBIDDEN},
	{"sysretq", 0, FORBIDDEN},
	{"sysexit", 0, EXCEPTION(VECTOR_GP, AT)},
	{"monitor", 0, SOME_EXCEPTION},
	{"mwait", 0, SOME_EXCEPTION},
	{"rsm", 0, SOME_EXCEPTION},
	{"vmrun", 0, SOME_EXCEPTION},
	{"vmload", 0, SOME_EXCEPTION},
	{"stgi", 0, SOME_EXCEPTION},
	{"vmxoff", 0, SOME_EXCEPTION},
	/* Only with UMIP; what they tell is of no use. */
	{"sgdt", 0, .ending = COMES_TO_AN_END},
	{"sidt", 0, .ending = COMES_TO_AN_END},
	{"sldt", 0, .ending = COMES_TO_AN_END},
	{"str", 0, .ending = COMES_TO_AN_END},
	{"smsw", 0, .ending = COMES_TO_AN_END},
};

#define STRAY .ending = FAULTS, .value = VECTOR_GP, .code_mask = CODE_FAULT, .place = OR_AFTER

static const struct row port_rows[] = {
	{"out_8", 0, STRAY},
	{"out_16", 0, STRAY},
	{"in_8", 0, STRAY},
	{"in_16", 0, STRAY},
	{"in_32", 0, STRAY},
	{"outs_8", 0, STRAY},
	{"outs_16", 0, STRAY},
	{"rep_outs_8", 0, STRAY},
	{"ins_8", 0, STRAY},
	{"ins_32", 0, STRAY},
	{"rep_ins_32", 0, STRAY},
	{"out_8", 4, STRAY},
	{"out_16", 4, STRAY},
	{"in_32", 4, STRAY},
	{"rep_ins_32", 4, STRAY},
	{"out_8", 7, STRAY},
	{"in_8", 7, STRAY},
	{"out_32", 1, STRAY},
	{"out_32", 2, STRAY},
	{"out_32", 3, STRAY},
	{"out_16", 2, STRAY},
	{"out_8_immediate", 0, STRAY},
	{"out_16_immediate", 0, STRAY},
	{"in_32_immediate", 0, STRAY},
	/* Past the last open one. */
	{"out_32", 5, FORBIDDEN},
	{"out_32", 6, FORBIDDEN},
	{"out_16", 7, FORBIDDEN},
	{"out_32", 8, FORBIDDEN},
	{"out_8", 8, FORBIDDEN},
	{"in_32", 8, FORBIDDEN},
	{"out_8", 0x80, FORBIDDEN},
	{"in_8", 0x60, FORBIDDEN},
	{"out_8", 255, FORBIDDEN},
	{"out_8", 256, FORBIDDEN},
	{"out_32", 254, FORBIDDEN},
	{"out_32", 0xcf8, FORBIDDEN},
	{"in_32", 0xcfc, FORBIDDEN},
	{"out_32", 0xffff, FORBIDDEN},
	{"in_32", 0xffff, FORBIDDEN},
	{"rep_outs_8", 0x3f8, FORBIDDEN},
	{"rep_ins_32", 0x1f0, FORBIDDEN},
	/* The ports of the stubs in ring 0. */
	{"out_32", 0x20, FORBIDDEN},
	{"out_32", 0x24, FORBIDDEN},
	{"out_32_forged_syscall", 0, FORBIDDEN},
	{"out_32_forged_exception", 0, FORBIDDEN},
	{"rep_outs_32", 0x20, FORBIDDEN},
	/* An encoding that only some hosts take for a hypercall, and system calls by hand. */
	{"out_32", 0, .ending = COMES_TO_AN_END},
	{"outs_32", 0, .ending = COMES_TO_AN_END},
	{"rep_outs_32", 0, .ending = COMES_TO_AN_END},
	{"rep_outs_32", 4, .ending = COMES_TO_AN_END},
	{"outs_32", 4, .ending = COMES_TO_AN_END},
	{"rep_outs_1", 0, .ending = COMES_TO_AN_END},
	{"rep_outs_1", 4, .ending = COMES_TO_AN_END},
	{"rep_outs_unmapped", 0, .ending = FAULTS, .value = VECTOR_ANY, .place = ANYWHERE,
         .address_any = true},
	{"out_32", 4, .ending = COMES_TO_AN_END},
	{"out_dx", 0, RETURN(PROCESS_NUMBER), .by_entry = true},
	{"out_prefixed", 0, RETURN(PROCESS_NUMBER), .by_entry = true},
	{"out_dx_prefixed", 0, RETURN(PROCESS_NUMBER), .by_entry = true},
	{"forged_syscall", 0, .ending = COMES_TO_AN_END},
	{"forged_syscall", NON_CANONICAL, .ending = COMES_TO_AN_END},
	{"forged_syscall", LAYOUT_KERNEL_TEXT, .ending = COMES_TO_AN_END},
	{"forged_syscall", LAYOUT_KERNEL_TEXT + LAYOUT_KERNEL_SYSCALL + 2, .ending = COMES_TO_AN_END},
	{"forged_syscall", 1, .ending = COMES_TO_AN_END},
	{"forged_iopl", 0, .ending = FAULTS, .value = VECTOR_GP, .place = ANYWHERE},
};

static const struct row state_rows[] = {
	{"set_flags", 0x3000, RETURN(0x202)},
	{"set_flags", 0x200, RETURN(0x202)},
	{"set_flags", 0x4400, RETURN(0x4602)},
	{"set_flags", 0x240000, RETURN(0x240202)},
	{"set_flags", 0x1a0000, RETURN(0x202)},
	{"trap_flag", 0, EXCEPTION(VECTOR_DB, ANYWHERE)},
	{"interrupts_by_flags", 0, FORBIDDEN},
	{"alignment_check", 0, EXCEPTION(VECTOR_AC, AT), .not_emulated = true},
	{"nested_task", 0, FORBIDDEN},
	{"iret_user", 0, RETURN(DID_NOT_FAULT)},
	{"iret_kernel", 0, .ending = FAULTS, .value = VECTOR_GP, .place = ANYWHERE},
	{"lahf", 0, RETURN(DID_NOT_FAULT)},
	{"set_fs_base", NON_CANONICAL, FORBIDDEN, .not_emulated = true},
	{"set_gs_base", NON_CANONICAL, FORBIDDEN, .not_emulated = true},
	{"set_gs_base", NOWHERE, RETURN(DID_NOT_FAULT)},
	{"set_fs_base", LAYOUT_KERNEL_TEXT, .ending = COMES_TO_AN_END},
	{"set_gs_base", LAYOUT_KERNEL_TEXT, .ending = COMES_TO_AN_END},
	{"set_fs_by_call", NON_CANONICAL, RETURN((uint64_t)-EPERM)},
	{"set_gs_by_call", NON_CANONICAL, RETURN((uint64_t)-EPERM)},
	{"set_fs_by_call", LAYOUT_KERNEL_TEXT, RETURN((uint64_t)-EPERM)},
	{"set_gs_by_call", LAYOUT_KERNEL_TEXT, RETURN((uint64_t)-EPERM)},
	{"syscall_with_stack", 0, RETURN(PROCESS_NUMBER)},
	{"syscall_with_stack", 1, RETURN(PROCESS_NUMBER)},
	{"syscall_with_stack", NOWHERE, RETURN(PROCESS_NUMBER)},
	{"syscall_with_stack", LAYOUT_KERNEL_TEXT, RETURN(PROCESS_NUMBER)},
	{"syscall_with_stack", LAYOUT_KERNEL_VCPU + 0x2000, RETURN(PROCESS_NUMBER)},
	{"syscall_with_stack", NON_CANONICAL, RETURN(PROCESS_NUMBER)},
	{"fault_with_stack", 0, RETURN(7)},
	{"fault_with_stack", LAYOUT_KERNEL_VCPU + 0x2000, RETURN(7)},
	{"fault_with_stack", NON_CANONICAL, RETURN(7)},
	{"syscall_in_last_page", 1, RETURN(PROCESS_NUMBER)},
	{"syscall_in_last_page", 0, .ending = COMES_TO_AN_END},
	{"red_zone_syscall", 0, RETURN(0)},
	{"red_zone_read", 0, RETURN(0)},
	{"red_zone_write", 0, RETURN(0)},
	{"red_zone_out", 0, RETURN(0)},
	{"kept_by_syscall", 0, RETURN(0)},
	{"kept_by_fault", 0, RETURN(0)},
	{"kept_by_read", 0, RETURN(0)},
	{"kept_by_out", 0, RETURN(0)},
};

#define SELECTORS(symbol)                                                                          \
	{symbol, 0, .ending = COMES_TO_AN_END}, {symbol, 3, .ending = COMES_TO_AN_END},            \
		{symbol, 0x08, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x0b, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x10, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x13, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x18, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x1b, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x20, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x23, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x28, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x2b, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x33, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x3b, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x43, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x7b, .ending = COMES_TO_AN_END},                                         \
		{symbol, 0x07, .ending = COMES_TO_AN_END},                                         \
	{                                                                                          \
		symbol, 0xffff, .ending = COMES_TO_AN_END                                          \
	}

static const struct row selector_rows[] = {
	SELECTORS("far_return"), SELECTORS("far_jump"), SELECTORS("load_ds"), SELECTORS("load_es"),
	SELECTORS("load_fs"),    SELECTORS("load_gs"),  SELECTORS("load_ss"),
};

static const struct row time_rows[] = {
	{"spin", 0, .ending = TIMES_OUT},
	{"spin_with_system_calls", 0, .ending = TIMES_OUT},
	{"spin_with_faults", 0, .ending = TIMES_OUT},
	{"sleep_long", 0, .ending = TIMES_OUT},
};

/* The two forks at hand. */
struct bench {
	enum kvmsb_entry entry;
	struct kvmsb *master, *fork, *other;
	uint64_t others_answers;
};

static uint64_t argument_of(const struct bench *bench, const struct row *row)
{
	uint64_t pointer = row->argument;

	if (row->argument_of != NULL)
		return fixture_symbol(bench->master, row->argument_of);
	if (row->argument_in != NULL)
		assert_int_equal(kvmsb_memory_read(bench->master,
		                                   fixture_symbol(bench->master, row->argument_in),
		                                   &pointer, sizeof(pointer)),
		                 0);
	return pointer;
}

static uint64_t label(const struct bench *bench, const struct row *row, const char *suffix)
{
	char name[80];

	snprintf(name, sizeof(name), "%s_%s", row->symbol, suffix);
	return fixture_symbol(bench->master, name);
}

static bool rip_is_right(const struct bench *bench, const struct row *row,
                         const struct kvmsb_result *result)
{
	uint64_t rip = result->fault.rip;

	switch (row->place) {
	case AT:
		return rip == label(bench, row, "at");
	case AFTER:
		return rip == label(bench, row, "after");
	case TARGET:
		return rip == argument_of(bench, row);
	case OR_AFTER:
		return rip == label(bench, row, "at") || rip == label(bench, row, "after");
	case ANYWHERE:
		break;
	}
	return true;
}

static bool fault_is_right(const struct bench *bench, const struct row *row,
                           const struct kvmsb_result *result)
{
	const struct kvmsb_fault *fault = &result->fault;

	if (row->value != VECTOR_ANY && fault->vector != row->value)
		return false;
	if (((fault->error_code ^ row->code) & row->code_mask) != 0)
		return false;
	if (fault->vector == VECTOR_PF && !row->address_any &&
	    fault->address != argument_of(bench, row))
		return false;
	/* A closed port is the processor's to refuse, and not only ours. */
	if (row->place == AT && fault->vector == VECTOR_GP && kvmsb_detail(bench->fork)[0] != '\0')
		return false;
	return rip_is_right(bench, row, result);
}

static enum ending ending_wanted(const struct bench *bench, const struct row *row)
{
	if (row->not_emulated && getenv("IN_HARDWARE_LEG") != NULL)
		return COMES_TO_AN_END;
	if (row->by_entry && bench->entry == KVMSB_ENTRY_EXCEPTION)
		return COMES_TO_AN_END;
	return row->ending;
}

static bool ending_is_right(const struct bench *bench, const struct row *row,
                            const struct kvmsb_result *result)
{
	switch (ending_wanted(bench, row)) {
	case FAULTS:
		return result->outcome == KVMSB_OUTCOME_FAULTED && fault_is_right(bench, row, result);
	case RETURNS:
		return result->outcome == KVMSB_OUTCOME_RETURNED && result->value == row->value;
	case TIMES_OUT:
		return result->outcome == KVMSB_OUTCOME_TIMED_OUT;
	case COMES_TO_AN_END:
		break;
	}
	return result->outcome == KVMSB_OUTCOME_FAULTED ||
	       result->outcome == KVMSB_OUTCOME_RETURNED ||
	       result->outcome == KVMSB_OUTCOME_TIMED_OUT ||
	       result->outcome == KVMSB_OUTCOME_DENIED || result->outcome == KVMSB_OUTCOME_EXITED;
}

static bool answers(struct kvmsb *fork, uint64_t times)
{
	struct kvmsb_result result = fixture_call(fork, "answer", NUMBERS(100));

	if (result.outcome == KVMSB_OUTCOME_RETURNED && result.value == 300 + times)
		return true;
	print_error("    answer %llu, not %llu: %s\n", (unsigned long long)result.value,
	            (unsigned long long)(300 + times), fixture_describe(fork, &result));
	return false;
}

static bool is_over(const struct kvmsb_result *result)
{
	return result->outcome != KVMSB_OUTCOME_RETURNED &&
	       result->outcome != KVMSB_OUTCOME_HYPERCALL;
}

static int plain_call(struct kvmsb *fork)
{
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;

	call.symbol = "answer";
	return kvmsb_vmcall(fork, &call, &result);
}

/* The other fork notices nothing; this one is over until it is reset. */
static bool forks_are_right(struct bench *bench, const struct kvmsb_result *result)
{
	bool right = answers(bench->other, ++bench->others_answers);

	if (is_over(result) && plain_call(bench->fork) != -ESRCH) {
		print_error("    it is not over\n");
		right = false;
	}
	if (kvmsb_reset(bench->fork) != 0) {
		print_error("    it cannot be reset\n");
		return false;
	}
	return answers(bench->fork, 1) && kvmsb_reset(bench->fork) == 0 && right;
}

static uint64_t limit_of(const struct row *row)
{
	return row->ending == TIMES_OUT || row->ending == COMES_TO_AN_END ? scaled_ms(20)
	                                                                  : scaled_ms(5000);
}

static unsigned run_row(struct bench *bench, const struct row *row)
{
	struct kvmsb_result result = fixture_call_within(
		bench->fork, row->symbol, NUMBERS(argument_of(bench, row)), limit_of(row));
	bool ending = ending_is_right(bench, row, &result);

	if (!ending)
		print_error("  wrong end: %s, value %#llx\n", fixture_describe(bench->fork, &result),
		            (unsigned long long)result.value);
	if (forks_are_right(bench, &result) && ending)
		return 0;
	print_error(
		"  in %s(%#llx%s%s) by %s; %s; fault address %#llx, RAX %#llx\n", row->symbol,
		(unsigned long long)row->argument, row->argument_of != NULL ? row->argument_of : "",
		row->argument_in != NULL ? row->argument_in : "", fixture_entry_name(bench->entry),
		fixture_describe(bench->fork, &result), (unsigned long long)result.fault.address,
		(unsigned long long)result.registers.rax);
	return 1;
}

static void bench_setup(struct bench *bench, enum kvmsb_entry entry)
{
	struct kvmsb_options options = fixture_options(GUEST("faults-static"));

	options.entry = entry;
	options.stack_size = 256 << 10;
	*bench = (struct bench){.entry = entry, .master = fixture_master(&options)};
	bench->fork = fixture_fork(bench->master);
	bench->other = fixture_fork(bench->master);
}

static void bench_teardown(struct bench *bench)
{
	kvmsb_destroy(bench->other);
	kvmsb_destroy(bench->fork);
	kvmsb_destroy(bench->master);
}

static void run_rows(const struct row *rows, size_t count)
{
	unsigned wrong = 0, paths = 0;

	for (size_t e = 0; e < ARRAY_SIZE(fixture_entries); e++) {
		struct bench bench;

		if (!fixture_entry_possible(fixture_entries[e]))
			continue;
		bench_setup(&bench, fixture_entries[e]);
		for (size_t i = 0; i < count; i++)
			wrong += run_row(&bench, &rows[i]);
		bench_teardown(&bench);
		paths++;
	}
	assert_true(paths > 0);
	assert_int_equal(wrong, 0);
}

#define ROWS_TEST(name, rows)                                                                      \
	static void name(void **unused)                                                            \
	{                                                                                          \
		(void)unused;                                                                      \
		run_rows(rows, ARRAY_SIZE(rows));                                                  \
	}

ROWS_TEST(memory_accesses, memory_rows)
ROWS_TEST(windows, window_rows)
ROWS_TEST(exceptions, exception_rows)
ROWS_TEST(privileged_instructions, privileged_rows)
ROWS_TEST(ports, port_rows)
ROWS_TEST(processor_state, state_rows)
ROWS_TEST(selectors, selector_rows)
ROWS_TEST(endless_loops, time_rows)

/* An instruction that accesses a port in DX. */
struct port_access {
	const char *symbol;
	unsigned size;
	bool out;
	uint64_t address, at, after;
};

#define PORTS 65536u
/* Every port from here on is as any other: past the bitmap. */
#define PORTS_SPECIAL 0x110u

/* An OUT of four bytes to a port of ours is the only one that may do something. */
static bool is_ours(const struct port_access *access, unsigned port)
{
	return access->out && access->size == 4 &&
	       (port == PORT_HYPERCALL || port == PORT_SYSCALL_RING3);
}

/*
 * All bytes of a port that are open: our own refusal, with its text. Else the
 * processor's, at the instruction. Where nothing exits all are closed.
 */
static bool refusal_is_right(const struct bench *bench, const struct port_access *access,
                             unsigned port, const struct kvmsb_result *result)
{
	bool open = port + access->size <= PORT_RING3_END && bench->entry != KVMSB_ENTRY_EXCEPTION;
	uint64_t rip = result->fault.rip;

	return result->outcome == KVMSB_OUTCOME_FAULTED && result->fault.vector == VECTOR_GP &&
	       result->fault.error_code == 0 && open == (kvmsb_detail(bench->fork)[0] != '\0') &&
	       (rip == access->at || (open && rip == access->after));
}

static bool port_is_refused(struct bench *bench, const struct port_access *access, unsigned port)
{
	struct kvmsb_call call = KVMSB_CALL_INIT;
	struct kvmsb_result result = KVMSB_RESULT_INIT;
	bool right;

	call.address = access->address;
	call.argument_count = 1;
	call.arguments[0].value = port;
	call.timeout_ns = scaled_ms(5000);
	assert_int_equal(kvmsb_vmcall(bench->fork, &call, &result), 0);
	right = is_ours(access, port) || refusal_is_right(bench, access, port, &result);
	if (!right)
		print_error("  %s(%#x) by %s: %s; %s\n", access->symbol, port,
		            fixture_entry_name(bench->entry),
		            fixture_describe(bench->fork, &result), kvmsb_detail(bench->fork));
	assert_int_equal(kvmsb_reset(bench->fork), 0);
	return right;
}

static void find_access(const struct bench *bench, struct port_access *access)
{
	const struct row row = {.symbol = access->symbol};

	access->address = fixture_symbol(bench->master, access->symbol);
	access->at = label(bench, &row, "at");
	access->after = label(bench, &row, "after");
}

/* The first ports one by one, then every step-th, and the last ones, which wrap. */
static unsigned refuse_ports(struct bench *bench, struct port_access *access, unsigned step)
{
	unsigned wrong = 0, last = PORTS - 8;

	find_access(bench, access);
	for (unsigned port = 0; port < PORTS_SPECIAL; port++)
		wrong += !port_is_refused(bench, access, port);
	for (unsigned port = PORTS_SPECIAL; port < last; port += step)
		wrong += !port_is_refused(bench, access, port);
	for (unsigned port = last; port < PORTS; port++)
		wrong += !port_is_refused(bench, access, port);
	return wrong;
}

/* OUT of four bytes to all of them, where machines are fast enough; the others to some. */
static void every_port_but_ours_is_closed(void **unused)
{
	struct port_access accesses[] = {
		{.symbol = "out_32", .size = 4, .out = true},
		{.symbol = "out_16", .size = 2, .out = true},
		{.symbol = "out_8", .size = 1, .out = true},
		{.symbol = "in_32", .size = 4},
		{.symbol = "in_16", .size = 2},
		{.symbol = "in_8", .size = 1},
	};
	unsigned wrong = 0;

	(void)unused;
	for (size_t e = 0; e < ARRAY_SIZE(fixture_entries); e++) {
		struct bench bench;

		if (!fixture_entry_possible(fixture_entries[e]))
			continue;
		bench_setup(&bench, fixture_entries[e]);
		for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
			bool all = i == 0 && bench.entry != KVMSB_ENTRY_EXCEPTION;
			unsigned step = (all ? 1 : 61) * time_scale();

			wrong += refuse_ports(&bench, &accesses[i], step);
		}
		bench_teardown(&bench);
	}
	assert_int_equal(wrong, 0);
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* A limit ends a loop when it should, and not before. */
static void limits_are_kept(void **unused)
{
	const uint64_t milliseconds[] = {1, 5, 20, 100};
	struct bench bench;

	(void)unused;
	bench_setup(&bench, KVMSB_ENTRY_AUTOMATIC);
	for (size_t i = 0; i < ARRAY_SIZE(milliseconds); i++) {
		uint64_t limit = scaled_ms(milliseconds[i]), begin = now(), took;
		struct kvmsb_result result = fixture_call_within(bench.fork, "spin", NO_NUMBERS,
		                                                 limit);

		took = now() - begin;
		assert_outcome(bench.fork, &result, KVMSB_OUTCOME_TIMED_OUT);
		assert_int_equal(result.fault.vector, 0);
		assert_int_equal(result.fault.address, 0);
		if (took < limit || took > limit + scaled_ms(200))
			fail_msg("a limit of %llu us took %llu us",
			         (unsigned long long)limit / 1000, (unsigned long long)took / 1000);
		assert_true(forks_are_right(&bench, &result));
	}
	bench_teardown(&bench);
}

/* The host itself may be asked to call what is no function. */
static void calls_of_bad_addresses(void **unused)
{
	const struct {
		uint64_t address;
		uint32_t vector;
	} rows[] = {
		{0, VECTOR_PF},
		{1, VECTOR_PF},
		{NOWHERE, VECTOR_PF},
		{LAYOUT_KERNEL_TEXT + 16, VECTOR_PF},
		{LAYOUT_ENTRY_XSAVE, VECTOR_PF},
		{NON_CANONICAL, VECTOR_GP},
		{FIRST_NON_CANONICAL, VECTOR_GP},
		{UINT64_MAX, VECTOR_ANY},
	};
	struct bench bench;

	(void)unused;
	bench_setup(&bench, KVMSB_ENTRY_AUTOMATIC);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvmsb_call call = KVMSB_CALL_INIT;
		struct kvmsb_result result = KVMSB_RESULT_INIT;

		call.address = rows[i].address;
		assert_int_equal(kvmsb_vmcall(bench.fork, &call, &result), 0);
		assert_outcome(bench.fork, &result, KVMSB_OUTCOME_FAULTED);
		if (rows[i].vector != VECTOR_ANY)
			assert_int_equal(result.fault.vector, rows[i].vector);
		if (rows[i].vector == VECTOR_PF)
			assert_int_equal(result.fault.address, rows[i].address);
		assert_true(forks_are_right(&bench, &result));
	}
	bench_teardown(&bench);
}

/* A path that the host cannot do is refused, and says so. */
static void impossible_paths_are_refused(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(fixture_entries); i++) {
		struct kvmsb_options options = fixture_options(GUEST("faults-static"));
		struct kvmsb_error error = KVMSB_ERROR_INIT;
		struct kvmsb *sandbox = NULL;
		int result;

		options.entry = fixture_entries[i];
		result = kvmsb_create(&sandbox, &options, &error);
		kvmsb_destroy(sandbox);
		if (fixture_entry_possible(fixture_entries[i])) {
			assert_int_equal(result, 0);
			continue;
		}
		print_message("%s: %s\n", fixture_entry_name(fixture_entries[i]), error.detail);
		assert_int_equal(result, -EOPNOTSUPP);
		assert_string_not_equal(error.detail, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(impossible_paths_are_refused),
		cmocka_unit_test(memory_accesses),
		cmocka_unit_test(windows),
		cmocka_unit_test(exceptions),
		cmocka_unit_test(privileged_instructions),
		cmocka_unit_test(ports),
		cmocka_unit_test(every_port_but_ours_is_closed),
		cmocka_unit_test(processor_state),
		cmocka_unit_test(selectors),
		cmocka_unit_test(endless_loops),
		cmocka_unit_test(limits_are_kept),
		cmocka_unit_test(calls_of_bad_addresses),
	};

	return fixture_can_run() ? cmocka_run_group_tests(tests, NULL, NULL) : CANNOT_RUN;
}
