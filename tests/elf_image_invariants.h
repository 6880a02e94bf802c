/* SPDX-License-Identifier: MIT */
/*
 * What must be true of every image that elf_image_parse() accepts, as
 * lib/elf_image.h promises it; shared by the unit test and the fuzzer. Uses
 * none of the library's arithmetic: sums are done in 128 bits, so that a
 * mistake in the checked helpers shows here.
 */
#ifndef KVMSB_TESTS_ELF_IMAGE_INVARIANTS_H
#define KVMSB_TESTS_ELF_IMAGE_INVARIANTS_H

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "elf_image.h"

__extension__ typedef unsigned __int128 wide;

/* Returns from the caller with the text of the condition. */
#define INVARIANT(condition)                                                                       \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return #condition;                                                         \
	} while (0)

static inline bool inside_file(const struct elf_image *image, uint64_t offset, uint64_t length)
{
	return (wide)offset + length <= image->size;
}

static inline bool inside_segment(const struct elf_image *image, uint64_t address, uint64_t length,
                                  bool executable)
{
	for (unsigned int i = 0; i < image->segment_count; i++) {
		const struct elf_image_segment *segment = &image->segments[i];

		if (address >= segment->address &&
		    (wide)address + length <= (wide)segment->address + segment->memory_size &&
		    (segment->executable || !executable))
			return true;
	}
	return false;
}

static inline const char *broken_segment(const struct elf_image *image, unsigned int index)
{
	const struct elf_image_segment *segment = &image->segments[index];
	wide end = (wide)segment->address + segment->memory_size;

	INVARIANT(segment->memory_size > 0);
	INVARIANT(segment->file_size <= segment->memory_size);
	INVARIANT(inside_file(image, segment->file_offset, segment->file_size));
	INVARIANT(segment->file_size == 0 || segment->address % 4096 == segment->file_offset % 4096);
	INVARIANT(segment->address >= image->lowest);
	INVARIANT(end <= image->highest);
	INVARIANT(image->type != ET_EXEC || segment->address >= 0x10000);
	if (index > 0) {
		const struct elf_image_segment *before = segment - 1;

		INVARIANT((wide)before->address + before->memory_size <= segment->address);
	}
	return NULL;
}

static inline const char *broken_segments(const struct elf_image *image)
{
	const struct elf_image_segment *last = &image->segments[image->segment_count - 1];
	wide end;

	INVARIANT(image->segment_count >= 1 && image->segment_count <= 64);
	end = (wide)last->address + last->memory_size;
	INVARIANT(image->lowest == image->segments[0].address / 4096 * 4096);
	INVARIANT(image->highest % 4096 == 0 && image->highest - end < 4096);
	INVARIANT(image->highest <= 0x7fffffffe000);
	INVARIANT(image->alignment >= 4096 && image->alignment <= 1u << 30);
	INVARIANT((image->alignment & (image->alignment - 1)) == 0);
	for (unsigned int i = 0; i < image->segment_count; i++) {
		const char *broken = broken_segment(image, i);

		if (broken)
			return broken;
	}
	return NULL;
}

static inline const char *broken_header(const struct elf_image *image)
{
	wide table = (wide)image->program_header_count * image->program_header_size;

	INVARIANT(image->type == ET_EXEC || image->type == ET_DYN);
	INVARIANT(image->program_header_size == 56);
	INVARIANT(image->program_header_count >= 1 && image->program_header_count <= 64);
	INVARIANT(image->program_headers == 0 ||
	          inside_segment(image, image->program_headers, (uint64_t)table, false));
	INVARIANT(!image->has_entry || inside_segment(image, image->entry, 1, true));
	INVARIANT(image->has_entry ||
	          (image->type == ET_DYN && !image->interpreter && image->entry == 0));
	INVARIANT(image->static_pie ==
	          (image->type == ET_DYN && !image->interpreter && image->has_entry));
	return NULL;
}

static inline const char *broken_interpreter(const struct elf_image *image)
{
	size_t offset;

	if (!image->interpreter)
		return NULL;
	offset = (size_t)(image->interpreter - (const char *)image->bytes);
	INVARIANT(offset < image->size);
	INVARIANT(image->interpreter[0] != '\0');
	INVARIANT(memchr(image->interpreter, '\0', image->size - offset));
	INVARIANT(strlen(image->interpreter) < 4096);
	return NULL;
}

static inline const char *broken_tls_or_relro(const struct elf_image *image)
{
	const struct elf_image_tls *tls = &image->tls;
	const struct elf_image_relro *relro = &image->relro;

	if (tls->memory_size) {
		INVARIANT(tls->file_size <= tls->memory_size);
		INVARIANT(tls->file_size == 0 ||
		          inside_segment(image, tls->address, tls->file_size, false));
		INVARIANT((wide)tls->address + tls->memory_size <= 0x7fffffffe000);
		INVARIANT(tls->alignment >= 1 && tls->alignment <= 1u << 30);
		INVARIANT((tls->alignment & (tls->alignment - 1)) == 0);
	}
	INVARIANT(relro->start <= relro->end);
	if (relro->start != relro->end)
		INVARIANT(relro->start >= image->lowest && relro->end <= image->highest);
	INVARIANT(image->has_stack_flags || !image->stack_executable);
	return NULL;
}

static inline const char *broken_symbol_table(const struct elf_image *image,
                                              const struct elf_image_symbol_table *table)
{
	if (table->count == 0)
		return NULL;
	INVARIANT(table->count <= image->size / sizeof(Elf64_Sym));
	INVARIANT(inside_file(image, table->offset, table->count * sizeof(Elf64_Sym)));
	INVARIANT(table->strings_size > 0);
	INVARIANT(inside_file(image, table->strings_offset, table->strings_size));
	INVARIANT(image->bytes[table->strings_offset + table->strings_size - 1] == '\0');
	return NULL;
}

static inline const char *broken_name_at(const struct elf_image *image, uint64_t address)
{
	const char *name = NULL;
	uint64_t offset = UINT64_MAX, start, size;
	size_t place;
	int result = elf_image_symbol_at(image, address, &name, &offset);

	INVARIANT(result == 0 || result == -ENOENT);
	INVARIANT(result == 0 || (!name && offset == UINT64_MAX));
	if (result)
		return NULL;
	place = (size_t)(name - (const char *)image->bytes);
	INVARIANT(place < image->size && memchr(name, '\0', image->size - place));
	INVARIANT(name[0] != '\0');
	INVARIANT(offset <= address && address - offset >= image->lowest);
	INVARIANT(inside_segment(image, address, 1, false));
	result = elf_image_symbol(image, name, &start, &size);
	INVARIANT(result == 0 || result == -ENOENT);
	INVARIANT(result || (start >= image->lowest && (wide)start + size <= image->highest));
	return NULL;
}

static inline const char *broken_symbols(const struct elf_image *image)
{
	const char *broken = NULL;

	for (int i = 0; !broken && i < ELF_IMAGE_SYMBOL_TABLES; i++)
		broken = broken_symbol_table(image, &image->symbol_tables[i]);
	if (!broken)
		broken = broken_name_at(image, image->entry);
	for (unsigned int i = 0; !broken && i < image->segment_count; i++) {
		const struct elf_image_segment *segment = &image->segments[i];

		broken = broken_name_at(image, segment->address);
		if (!broken)
			broken = broken_name_at(image, segment->address + segment->memory_size / 2);
		if (!broken)
			broken = broken_name_at(image, segment->address + segment->memory_size);
	}
	return broken;
}

/* NULL, or the text of a condition that does not hold. */
static inline const char *elf_image_broken_invariant(const struct elf_image *image)
{
	static const char *(*const checks[])(const struct elf_image *) = {
		broken_segments,     broken_header,  broken_interpreter,
		broken_tls_or_relro, broken_symbols,
	};
	const char *broken = NULL;

	for (size_t i = 0; !broken && i < sizeof(checks) / sizeof(checks[0]); i++)
		broken = checks[i](image);
	return broken;
}

/* The same of a refusal: the errno, a text, and nothing left in the image. */
static inline const char *elf_image_broken_refusal(int result, const struct elf_image *image,
                                                   const struct elf_image_error *error)
{
	const unsigned char *bytes = (const unsigned char *)image;

	INVARIANT(result == -ENOEXEC);
	INVARIANT(memchr(error->text, '\0', sizeof(error->text)));
	INVARIANT(strncmp(error->text, "file header: ", 13) == 0 ||
	          strncmp(error->text, "program header", 14) == 0);
	/* Room left: not cut off. */
	INVARIANT(strlen(error->text) > 20 && strlen(error->text) < sizeof(error->text) - 1);
	for (size_t i = 0; i < sizeof(*image); i++)
		INVARIANT(bytes[i] == 0);
	return NULL;
}

#endif
