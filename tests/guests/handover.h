/* SPDX-License-Identifier: MIT */
/* What the guest handover.c reports of its registers, for guest and host. */
#ifndef KVMSB_TESTS_GUESTS_HANDOVER_H
#define KVMSB_TESTS_GUESTS_HANDOVER_H

#include <stdint.h>

/* XSAVE area: x87, SSE, AVX and AVX-512 need less than 2.7 KiB. */
#define HANDOVER_EXTENDED 4096

struct handover_report {
	uint64_t general[16]; /* RAX RBX RCX RDX RSI RDI RBP RSP R8..R15, at the function's entry */
	uint64_t flags;
	uint64_t selectors[6]; /* CS DS ES FS GS SS */
	uint64_t fs_base, gs_base;
	uint64_t pkru, xcr0;
	uint64_t unused[64 - 27];
	unsigned char legacy[512]; /* FXSAVE */
	unsigned char extended[HANDOVER_EXTENDED];
} __attribute__((aligned(64)));

/* Bytes that the master's vector registers hold while it waits. */
#define HANDOVER_MASTERS_MARK 0x4d

/* Bytes of the page that input goes to. */
#define HANDOVER_PAGE_MARK 0x9b

#endif
