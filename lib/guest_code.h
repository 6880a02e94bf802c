/* SPDX-License-Identifier: MIT */
/* The code of guest/, as bytes to copy into guest pages. */
#ifndef KVMSB_GUEST_CODE_H
#define KVMSB_GUEST_CODE_H

#include "layout.h"

#include <stdint.h>

extern const uint8_t guest_kernel_text[LAYOUT_KERNEL_TEXT_SIZE];
extern const uint8_t guest_entry_text[LAYOUT_ENTRY_TEXT_SIZE];
extern const uint8_t guest_probe_text[LAYOUT_PROBE_TEXT_SIZE];
extern const uint8_t guest_vdso[LAYOUT_VDSO_SIZE];

#endif
