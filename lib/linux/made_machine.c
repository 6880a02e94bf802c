/* SPDX-License-Identifier: MIT */
/*
 * What /proc says of the machine, made by us: man 5 proc. The processor is what
 * CPUID shows to every program; memory is the sandbox's limit; the time since
 * the start is that of the guest's clocks. The rest is constant.
 */
#include "made_texts.h"

#include "../util.h"
#include "deadline.h"
#include "files.h"
#include "pipe.h"
#include "process_clock.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/*
 * /proc/cpuinfo
 */

enum cpuid_register {
	EAX,
	EBX,
	ECX,
	EDX,
	REGISTERS
};

/* Features that programs ask for, named as by Linux, none of which is hidden from guests. */
static const struct {
	uint32_t leaf;
	enum cpuid_register reg;
	unsigned bit;
	const char *name;
} features[] = {
	{1, EDX, 0, "fpu"},
	{1, EDX, 4, "tsc"},
	{1, EDX, 5, "msr"},
	{1, EDX, 6, "pae"},
	{1, EDX, 8, "cx8"},
	{1, EDX, 11, "sep"},
	{1, EDX, 15, "cmov"},
	{1, EDX, 19, "clflush"},
	{1, EDX, 23, "mmx"},
	{1, EDX, 24, "fxsr"},
	{1, EDX, 25, "sse"},
	{1, EDX, 26, "sse2"},
	{0x80000001, EDX, 11, "syscall"},
	{0x80000001, EDX, 20, "nx"},
	{0x80000001, EDX, 27, "rdtscp"},
	{0x80000001, EDX, 29, "lm"},
	{1, ECX, 0, "pni"},
	{1, ECX, 1, "pclmulqdq"},
	{1, ECX, 9, "ssse3"},
	{1, ECX, 12, "fma"},
	{1, ECX, 13, "cx16"},
	{1, ECX, 19, "sse4_1"},
	{1, ECX, 20, "sse4_2"},
	{1, ECX, 22, "movbe"},
	{1, ECX, 23, "popcnt"},
	{1, ECX, 25, "aes"},
	{1, ECX, 26, "xsave"},
	{1, ECX, 28, "avx"},
	{1, ECX, 29, "f16c"},
	{1, ECX, 30, "rdrand"},
	{1, ECX, 31, "hypervisor"},
	{0x80000001, ECX, 0, "lahf_lm"},
	{0x80000001, ECX, 5, "abm"},
	{0x80000001, ECX, 6, "sse4a"},
	{0x80000001, ECX, 8, "3dnowprefetch"},
	{7, EBX, 0, "fsgsbase"},
	{7, EBX, 3, "bmi1"},
	{7, EBX, 5, "avx2"},
	{7, EBX, 8, "bmi2"},
	{7, EBX, 9, "erms"},
	{7, EBX, 16, "avx512f"},
	{7, EBX, 17, "avx512dq"},
	{7, EBX, 18, "rdseed"},
	{7, EBX, 19, "adx"},
	{7, EBX, 21, "avx512ifma"},
	{7, EBX, 23, "clflushopt"},
	{7, EBX, 24, "clwb"},
	{7, EBX, 28, "avx512cd"},
	{7, EBX, 29, "sha_ni"},
	{7, EBX, 30, "avx512bw"},
	{7, EBX, 31, "avx512vl"},
	{7, ECX, 1, "avx512vbmi"},
	{7, ECX, 6, "avx512_vbmi2"},
	{7, ECX, 8, "gfni"},
	{7, ECX, 9, "vaes"},
	{7, ECX, 10, "vpclmulqdq"},
	{7, ECX, 11, "avx512_vnni"},
	{7, ECX, 12, "avx512_bitalg"},
	{7, ECX, 14, "avx512_vpopcntdq"},
	{7, EDX, 4, "fsrm"},
};

static void cpuid(uint32_t leaf, uint32_t answer[REGISTERS])
{
	__asm__ volatile("cpuid"
	                 : "=a"(answer[EAX]), "=b"(answer[EBX]), "=c"(answer[ECX]), "=d"(answer[EDX])
	                 : "a"(leaf), "c"(0));
}

/* A leaf that the processor does not have is 0. */
static uint32_t ask(uint32_t leaf, enum cpuid_register reg)
{
	uint32_t answer[REGISTERS];

	cpuid(leaf & 0x80000000, answer);
	if (answer[EAX] < leaf)
		return 0;
	cpuid(leaf, answer);
	return answer[reg];
}

static void add_vendor(struct text *text)
{
	const uint32_t words[3] = {ask(0, EBX), ask(0, EDX), ask(0, ECX)};

	text_add(text, "vendor_id\t: %.12s\n", (const char *)words);
}

/* Intel SDM 2A, CPUID: the extended parts count where the short ones are used up. */
static void add_model(struct text *text)
{
	uint32_t signature = ask(1, EAX);
	uint32_t family = signature >> 8 & 0xf, model = signature >> 4 & 0xf;

	if (family == 6 || family == 15)
		model |= signature >> 12 & 0xf0;
	if (family == 15)
		family += signature >> 20 & 0xff;
	text_add(text, "cpu family\t: %u\nmodel\t\t: %u\n", family, model);
}

static void add_model_name(struct text *text)
{
	uint32_t words[3][REGISTERS] = {{0}};
	const char *name = (const char *)words;
	size_t length;

	for (uint32_t i = 0; i < 3; i++)
		for (unsigned reg = EAX; reg < REGISTERS; reg++)
			words[i][reg] = ask(0x80000002 + i, (enum cpuid_register)reg);
	length = strnlen(name, sizeof(words));
	while (length > 0 && name[length - 1] == ' ')
		length--;
	text_add(text, "model name\t: %.*s\nstepping\t: %u\n", (int)length, name, ask(1, EAX) & 0xf);
}

static void add_features(struct text *text)
{
	text_add(text, "flags\t\t:");
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		if (ask(features[i].leaf, features[i].reg) >> features[i].bit & 1)
			text_add(text, " %s", features[i].name);
	text_add(text, "\n");
}

void made_cpuinfo(struct process *process, struct text *text)
{
	uint32_t sizes = ask(0x80000008, EAX);

	(void)process;
	text_add(text, "processor\t: 0\n");
	add_vendor(text);
	add_model(text);
	add_model_name(text);
	/* No register says what it runs at. */
	text_add(text, "cpu MHz\t\t: 1000.000\nphysical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\n"
	               "cpu cores\t: 1\nfpu\t\t: yes\nwp\t\t: yes\n");
	add_features(text);
	text_add(text,
	         "bogomips\t: 2000.00\nclflush size\t: 64\ncache_alignment\t: 64\n"
	         "address sizes\t: %u bits physical, %u bits virtual\n\n",
	         sizes & 0xff, sizes >> 8 & 0xff);
}

/*
 * Memory, descriptors, time.
 */

static void add_size(struct text *text, const char *name, uint64_t bytes)
{
	text_add(text, "%s: %*" PRIu64 " kB\n", name, 22 - (int)strlen(name), bytes >> 10);
}

void made_meminfo(struct process *process, struct text *text)
{
	static const char *const none[] = {
		"Buffers", "Cached",    "SwapCached", "Active", "Inactive", "SwapTotal", "SwapFree",
		"Dirty",   "Writeback", "AnonPages",  "Mapped", "Shmem",    "Slab"};
	uint64_t limit = process->config->memory_limit;

	add_size(text, "MemTotal", limit);
	add_size(text, "MemFree", limit);
	add_size(text, "MemAvailable", limit);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		add_size(text, none[i], 0);
	add_size(text, "CommitLimit", limit);
	add_size(text, "Committed_AS", 0);
	text_add(text, "HugePages_Total:       0\nHugePages_Free:        0\n");
	add_size(text, "Hugepagesize", 2 << 20);
}

void made_file_max(struct process *process, struct text *text)
{
	(void)process;
	text_add(text, "%u\n", FILES_MAXIMUM);
}

void made_file_nr(struct process *process, struct text *text)
{
	unsigned open = 0;

	for (int fd = 0; fd < (int)FILES_MAXIMUM; fd++)
		open += files_look(process, fd) != NULL;
	text_add(text, "%u\t0\t%u\n", open, FILES_MAXIMUM);
}

void made_pipe_size(struct process *process, struct text *text)
{
	(void)process;
	text_add(text, "%u\n", PIPE_CAPACITY);
}

#define TICK (NANOSECONDS / 100)

static uint64_t boot_time(struct process *process)
{
	uint64_t time = 0;

	process_clock_read(process, CLOCK_BOOTTIME, &time);
	return time;
}

void made_uptime(struct process *process, struct text *text)
{
	uint64_t ticks = boot_time(process) / TICK;

	text_add(text, "%" PRIu64 ".%02u 0.00\n", ticks / 100, (unsigned)(ticks % 100));
}

void made_stat(struct process *process, struct text *text)
{
	uint64_t now = process_clock_realtime(process), used = 0;

	process_clock_read(process, CLOCK_PROCESS_CPUTIME_ID, &used);
	used /= TICK;
	text_add(text, "cpu  %" PRIu64 " 0 0 0 0 0 0 0 0 0\ncpu0 %" PRIu64 " 0 0 0 0 0 0 0 0 0\n",
	         used, used);
	text_add(text,
	         "intr 0\nctxt 0\nbtime %" PRIu64 "\nprocesses 1\nprocs_running 1\n"
	         "procs_blocked 0\n",
	         (now - boot_time(process)) / NANOSECONDS);
}

/*
 * Mounts. What rules allow is seen as part of the root.
 */

void made_mounts(struct process *process, struct text *text)
{
	text_add(text, "rootfs / rootfs ro,relatime 0 0\n"
	               "proc /proc proc ro,nosuid,nodev,noexec,relatime 0 0\n"
	               "sysfs /sys sysfs ro,nosuid,nodev,noexec,relatime 0 0\n"
	               "devtmpfs /dev devtmpfs ro,nosuid,relatime 0 0\n");
	if (process->config->temporary_size)
		text_add(text, "tmpfs /tmp tmpfs rw,nosuid,nodev,relatime,size=%" PRIu64 "k 0 0\n",
		         process->config->temporary_size >> 10);
}

void made_mountinfo(struct process *process, struct text *text)
{
	text_add(text, "1 1 0:1 / / ro,relatime - rootfs rootfs ro\n"
	               "2 1 0:2 / /proc ro,nosuid,nodev,noexec,relatime - proc proc ro\n"
	               "3 1 0:2 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro\n"
	               "4 1 0:2 / /dev ro,nosuid,relatime - devtmpfs devtmpfs ro\n");
	if (process->config->temporary_size)
		text_add(text,
		         "5 1 0:4 / /tmp rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=%" PRIu64
		         "k\n",
		         process->config->temporary_size >> 10);
}

/* Version 4, RFC 4122. */
void made_uuid(struct process *process, struct text *text)
{
	uint8_t bytes[16];

	(void)process;
	/* man 2 getrandom: up to 256 bytes come whole, or not yet. */
	if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) != (ssize_t)sizeof(bytes)) {
		text->error = -EIO;
		return;
	}
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	for (size_t i = 0; i < sizeof(bytes); i++)
		text_add(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
	text_add(text, "\n");
}
