/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target for the ELF parser (clang -fsanitize=fuzzer,address,undefined):
 * no input may crash it, and what it accepts or refuses must keep every
 * promise that tests/elf_image_invariants.h lists.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../elf_image_invariants.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_image image;
	struct elf_image_error error;
	const char *broken;
	int result = elf_image_parse(&image, data, size, &error);

	broken = result ? elf_image_broken_refusal(result, &image, &error)
	                : elf_image_broken_invariant(&image);
	if (broken) {
		fprintf(stderr, "broken invariant: %s\n", broken);
		abort();
	}
	return 0;
}
