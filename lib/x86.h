/* SPDX-License-Identifier: MIT */
/*
 * Names for the bits of the x86-64 architecture that this library uses, with
 * the section of the manual each comes from: Intel 64 and IA-32 Architectures
 * Software Developer's Manual (SDM) volume 3A, or AMD64 Architecture
 * Programmer's Manual (APM) volume 2.
 */
#ifndef KVMSB_X86_H
#define KVMSB_X86_H

#include <stdint.h>

/* Control registers, SDM 3A 2.5. */
#define CR0_PE (UINT64_C(1) << 0)
#define CR0_MP (UINT64_C(1) << 1)
#define CR0_ET (UINT64_C(1) << 4)
#define CR0_NE (UINT64_C(1) << 5)
#define CR0_WP (UINT64_C(1) << 16)
#define CR0_AM (UINT64_C(1) << 18)
#define CR0_PG (UINT64_C(1) << 31)

#define CR3_PWT (UINT64_C(1) << 3)

#define CR4_PAE (UINT64_C(1) << 5)
#define CR4_OSFXSR (UINT64_C(1) << 9)
#define CR4_OSXMMEXCPT (UINT64_C(1) << 10)
#define CR4_UMIP (UINT64_C(1) << 11)
#define CR4_FSGSBASE (UINT64_C(1) << 16)
#define CR4_OSXSAVE (UINT64_C(1) << 18)
#define CR4_SMEP (UINT64_C(1) << 20)

/* Extended feature enable register, SDM 3A 2.2.1. */
#define EFER_SCE (UINT64_C(1) << 0)
#define EFER_LME (UINT64_C(1) << 8)
#define EFER_LMA (UINT64_C(1) << 10)
#define EFER_NX (UINT64_C(1) << 11)

/* RFLAGS, SDM 1 3.4.3. */
#define RFLAGS_FIXED (UINT64_C(1) << 1)
#define RFLAGS_TF (UINT64_C(1) << 8)
#define RFLAGS_IF (UINT64_C(1) << 9)
#define RFLAGS_DF (UINT64_C(1) << 10)
#define RFLAGS_NT (UINT64_C(1) << 14)
#define RFLAGS_RF (UINT64_C(1) << 16)
#define RFLAGS_AC (UINT64_C(1) << 18)
/* What a ring-3 program can change by POPF at IOPL 0: CF PF AF ZF SF TF DF OF NT AC ID. */
#define RFLAGS_USER UINT64_C(0x244dd5)

/* Model-specific registers, SDM 4. */
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_SFMASK 0xc0000084u

/* Page-table entries for 4-level paging, SDM 3A 4.5. */
#define PTE_PRESENT (UINT64_C(1) << 0)
#define PTE_WRITE (UINT64_C(1) << 1)
#define PTE_USER (UINT64_C(1) << 2)
#define PTE_ACCESSED (UINT64_C(1) << 5)
#define PTE_DIRTY (UINT64_C(1) << 6)
#define PTE_LARGE (UINT64_C(1) << 7)
#define PTE_SOFTWARE_1 (UINT64_C(1) << 9)
#define PTE_SOFTWARE_2 (UINT64_C(1) << 10)
#define PTE_SOFTWARE_3 (UINT64_C(1) << 11)
#define PTE_NO_EXECUTE (UINT64_C(1) << 63)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

/* Page-fault error code, SDM 3A 4.7. */
#define FAULT_PRESENT (UINT64_C(1) << 0)
#define FAULT_WRITE (UINT64_C(1) << 1)
#define FAULT_USER (UINT64_C(1) << 2)
#define FAULT_RESERVED (UINT64_C(1) << 3)
#define FAULT_FETCH (UINT64_C(1) << 4)

/* Exception vectors, SDM 3A 6.3.1. */
enum x86_vector {
	VECTOR_DE = 0,
	VECTOR_DB = 1,
	VECTOR_NMI = 2,
	VECTOR_BP = 3,
	VECTOR_OF = 4,
	VECTOR_BR = 5,
	VECTOR_UD = 6,
	VECTOR_NM = 7,
	VECTOR_DF = 8,
	VECTOR_TS = 10,
	VECTOR_NP = 11,
	VECTOR_SS = 12,
	VECTOR_GP = 13,
	VECTOR_PF = 14,
	VECTOR_MF = 16,
	VECTOR_AC = 17,
	VECTOR_MC = 18,
	VECTOR_XM = 19,
	VECTOR_CP = 21,
	VECTOR_COUNT = 32,
};

/* Vectors that push an error code: 8, 10-14, 17, 21, 29, 30 (SDM 3A table 6-1, APM 2 8.2). */
#define VECTORS_WITH_ERROR_CODE UINT32_C(0x60227d00)

#endif
