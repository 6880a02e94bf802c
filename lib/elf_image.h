/* SPDX-License-Identifier: MIT */
/*
 * Describes an x86-64 ELF program, interpreter or shared object held in a
 * buffer: what to map, where to enter, and what its symbols are called. The
 * bytes are hostile: whatever is accepted keeps the promises written here.
 * Pure: no I/O, no allocation, nothing mapped; knows nothing of guests.
 */
#ifndef KVMSB_ELF_IMAGE_H
#define KVMSB_ELF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every program header may be a PT_LOAD. */
#define ELF_IMAGE_MAX_PROGRAM_HEADERS 64

/* ET_EXEC may not load below this: the low pages belong to the mini-kernel. */
#define ELF_IMAGE_LOWEST_ADDRESS UINT64_C(0x10000)

/* No segment ends above this. A whole number of pages, so it holds for the page-rounded end too. */
#define ELF_IMAGE_ADDRESS_LIMIT UINT64_C(0x7fffffffe000)

#define ELF_IMAGE_MAX_ALIGNMENT (UINT64_C(1) << 30)

/* Bytes of PT_INTERP with its NUL, as PATH_MAX bounds it in Linux (fs/binfmt_elf.c). */
#define ELF_IMAGE_MAX_INTERPRETER 4096

/*
 * All addresses here are those of the file. They are no gva_t yet: the caller
 * adds the load bias (0 for ET_EXEC), a multiple of the image's alignment, and
 * checks that image->highest + bias still fits.
 */

/*
 * A PT_LOAD that occupies memory. Memory beyond file_size is zero. The start
 * and the file offset are congruent modulo the page size (file_offset is 0
 * when file_size is). memory_size is bounded by the address space only: it is
 * the loader that holds it against a memory limit.
 */
struct elf_image_segment {
	uint64_t address;
	uint64_t file_offset;
	uint64_t file_size;
	uint64_t memory_size;
	bool readable;
	bool writable;
	bool executable;
};

/* PT_TLS: what each thread's block starts with. Absent when memory_size is 0. */
struct elf_image_tls {
	uint64_t address; /* of the initial bytes; they lie inside one segment */
	uint64_t file_size;
	uint64_t memory_size;
	uint64_t alignment; /* a power of two, at least 1 */
};

/*
 * PT_GNU_RELRO as written, inside [lowest, highest): ld.so rounds both ends down.
 * Absent when empty.
 */
struct elf_image_relro {
	uint64_t start;
	uint64_t end;
};

/* Checked: all of it is inside the file and the strings end in a NUL. Absent when count is 0. */
struct elf_image_symbol_table {
	uint64_t offset;
	uint64_t count;
	uint64_t strings_offset;
	uint64_t strings_size;
};

enum elf_image_symbol_table_kind {
	ELF_IMAGE_SYMTAB,
	ELF_IMAGE_DYNSYM,
	ELF_IMAGE_SYMBOL_TABLES,
};

struct elf_image {
	const unsigned char *bytes; /* the caller's */
	size_t size;

	uint16_t type;   /* ET_EXEC or ET_DYN */
	bool has_entry;  /* false only for an ET_DYN without PT_INTERP: a shared object */
	bool static_pie; /* an ET_DYN with an entry and no PT_INTERP; so is ld.so itself */
	uint64_t entry;  /* inside an executable segment */

	/* For AT_PHDR, AT_PHNUM, AT_PHENT. The address is 0 when no segment holds the table. */
	uint64_t program_headers;
	uint16_t program_header_count;
	uint16_t program_header_size;

	/*
	 * Ascending, and no byte is in two of them; but two neighbours may share a
	 * page. Linux maps whole pages in this order, so there the later segment's
	 * protection wins.
	 */
	struct elf_image_segment segments[ELF_IMAGE_MAX_PROGRAM_HEADERS];
	unsigned int segment_count; /* at least 1 */
	uint64_t lowest;            /* rounded down to a page */
	uint64_t highest;           /* one past the end, rounded up to a page */
	uint64_t alignment;         /* of the load bias: a power of two, at least a page */

	/* Inside bytes, NUL-terminated, not empty; NULL when there is none. */
	const char *interpreter;

	/*
	 * Without PT_GNU_STACK the stack is not executable, as in Linux for x86-64
	 * (asm/elf.h, 5.8).
	 */
	bool has_stack_flags;
	bool stack_executable;

	struct elf_image_relro relro;
	struct elf_image_tls tls;
	struct elf_image_symbol_table symbol_tables[ELF_IMAGE_SYMBOL_TABLES];
};

/* Names the field at fault, for example "program header 3: p_filesz is larger than p_memsz". */
struct elf_image_error {
	char text[112];
};

/*
 * Describes the file in bytes[0, size) in *image. The buffer may be unaligned.
 * It has to stay, and must not change, while the image is used: pass a private
 * copy of what a guest can write. Takes time linear in size. error may be NULL.
 *
 * A broken symbol table, section header table or PT_DYNAMIC is no reason to
 * refuse a program: the look-ups below then find nothing.
 *
 * Returns 0, or -ENOEXEC for every refusal; *error then says why and *image is
 * all zeroes.
 */
int elf_image_parse(struct elf_image *image, const void *bytes, size_t size,
                    struct elf_image_error *error);

/*
 * Finds a defined function, object or untyped symbol by its exact name: in
 * .symtab, then in .dynsym; a global or weak one before a local one. Symbol
 * versions are not looked at. These are not found: absolute, thread-local and
 * common symbols (adding a bias to them means nothing) and STT_GNU_IFUNC (its
 * address is that of the resolver, not of the function).
 *
 * [*address, *address + *size) lies inside [image->lowest, image->highest]; an
 * end marker such as _end may equal image->highest. size may be NULL.
 *
 * Returns 0, or -ENOENT and leaves *address and *size alone. Takes time linear
 * in the number of symbols times the length of name. Look-ups may run in several
 * threads at once.
 */
int elf_image_symbol(const struct elf_image *image, const char *name, uint64_t *address,
                     uint64_t *size);

/*
 * Names the function (STT_FUNC or STT_GNU_IFUNC) at an address: the innermost
 * one that covers it, else the nearest below it of those that have no size and
 * are in the same segment; of several at one place a global one, then a weak one.
 *
 * *name points into the image's bytes and is NUL-terminated, but as long and
 * as unprintable as the file pleases. *offset is address minus its start.
 *
 * Returns 0, or -ENOENT and leaves *name and *offset alone. Costs and threads
 * as for elf_image_symbol().
 */
int elf_image_symbol_at(const struct elf_image *image, uint64_t address, const char **name,
                        uint64_t *offset);

#endif
