/* SPDX-License-Identifier: MIT */
/*
 * The ELF parser: a small program built field by field, every refusal with its
 * text, symbol look-ups, the files of this machine, and mutations of all that.
 * Each image is parsed in a copy of its exact size, aligned and unaligned, so
 * that the sanitizers see a read too many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <time.h>

#include "elf_image_invariants.h"
#include "util.h"

/*
 * The sample: two segments, everything else inside them but for .symtab, .strtab
 * and the section headers.
 */

enum {
	HEADER_PHDR,
	HEADER_INTERP,
	HEADER_TEXT,
	HEADER_DATA,
	HEADER_TLS,
	HEADER_DYNAMIC,
	HEADER_STACK,
	HEADER_RELRO,
	HEADERS,
};

enum {
	SECTION_DYNSTR = 1,
	SECTION_DYNSYM,
	SECTION_STRTAB,
	SECTION_SYMTAB,
	SECTIONS,
};

struct sample {
	Elf64_Ehdr file;
	Elf64_Phdr headers[HEADERS];
	char interpreter[32];
	Elf64_Sym dynsym[4];
	char dynstr[64];
	uint32_t hash[8];
	uint32_t gnu_hash[10];
	unsigned char text[128];
	unsigned char tls[16]; /* the data segment starts here */
	Elf64_Dyn dynamic[8];
	unsigned char data[64];
	Elf64_Sym symtab[16]; /* in no segment from here on */
	char strtab[160];
	Elf64_Shdr sections[SECTIONS];
};

#define TEXT_END offsetof(struct sample, tls)
#define DATA_END offsetof(struct sample, symtab)
#define BSS_SIZE 0x800 /* more than there is left of the file */
#define EXEC_BASE UINT64_C(0x400000)
#define DATA_DISTANCE 0x1000

/* Where a field of the text or of the data segment of an ET_EXEC sample is. */
#define TEXT_ADDRESS(field) (EXEC_BASE + offsetof(struct sample, field))
#define DATA_ADDRESS(field) (EXEC_BASE + DATA_DISTANCE + offsetof(struct sample, field))

static uint32_t add_string(char *table, size_t size, const char *string)
{
	size_t end = 1;

	while (table[end] != '\0')
		end += strlen(table + end) + 1;
	assert_true(end + strlen(string) + 1 < size);
	memcpy(table + end, string, strlen(string) + 1);
	return (uint32_t)end;
}

static void add_symbol(struct sample *sample, const char *name, unsigned char binding,
                       unsigned char type, uint64_t address, uint64_t size)
{
	size_t index = 1;

	while (sample->symtab[index].st_name != 0)
		index++;
	assert_true(index < ARRAY_SIZE(sample->symtab));
	sample->symtab[index] = (Elf64_Sym){
		.st_name = add_string(sample->strtab, sizeof(sample->strtab), name),
		.st_info = (unsigned char)(binding << 4 | type),
		.st_shndx = 7,
		.st_value = address,
		.st_size = size,
	};
}

/* The symbol of that name that was added last. */
static Elf64_Sym *symbol_of(struct sample *sample, const char *name)
{
	for (size_t i = ARRAY_SIZE(sample->symtab); i-- > 1;)
		if (strcmp(sample->strtab + sample->symtab[i].st_name, name) == 0)
			return &sample->symtab[i];
	fail_msg("the sample has no symbol %s", name);
	return NULL;
}

static void fill_file_header(struct sample *sample, uint16_t type, uint64_t base)
{
	sample->file = (Elf64_Ehdr){
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = type,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = base + offsetof(struct sample, text),
		.e_phoff = offsetof(struct sample, headers),
		.e_shoff = offsetof(struct sample, sections),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = HEADERS,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = SECTIONS,
	};
}

static Elf64_Phdr program_header(uint32_t type, uint32_t flags, size_t offset, uint64_t address,
                                 size_t size)
{
	return (Elf64_Phdr){
		.p_type = type,
		.p_flags = flags,
		.p_offset = offset,
		.p_vaddr = address + offset,
		.p_paddr = address + offset,
		.p_filesz = size,
		.p_memsz = size,
		.p_align = 8,
	};
}

static void fill_program_headers(struct sample *sample, uint64_t base)
{
	uint64_t data = base + DATA_DISTANCE;
	Elf64_Phdr *headers = sample->headers;

	headers[HEADER_PHDR] = program_header(PT_PHDR, PF_R, offsetof(struct sample, headers), base,
	                                      sizeof(sample->headers));
	headers[HEADER_INTERP] = program_header(PT_INTERP, PF_R,
	                                        offsetof(struct sample, interpreter), base, 8);
	headers[HEADER_TEXT] = program_header(PT_LOAD, PF_R | PF_X, 0, base, TEXT_END);
	headers[HEADER_TEXT].p_align = 0x1000;
	headers[HEADER_DATA] = program_header(PT_LOAD, PF_R | PF_W, TEXT_END, data,
	                                      DATA_END - TEXT_END);
	headers[HEADER_DATA].p_memsz += BSS_SIZE;
	headers[HEADER_DATA].p_align = 0x200000;
	headers[HEADER_TLS] = program_header(PT_TLS, PF_R, TEXT_END, data, sizeof(sample->tls));
	headers[HEADER_TLS].p_memsz += 16;
	headers[HEADER_DYNAMIC] = program_header(PT_DYNAMIC, PF_R, offsetof(struct sample, dynamic),
	                                         data, sizeof(sample->dynamic));
	headers[HEADER_STACK] = (Elf64_Phdr){
		.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W, .p_align = 16};
	headers[HEADER_RELRO] = program_header(PT_GNU_RELRO, PF_R, TEXT_END, data, 0x80);
	memcpy(sample->interpreter, "/ld.so.", 8);
}

static void fill_dynamic(struct sample *sample, uint64_t base)
{
	static const uint32_t hash[] = {1, 4, 2, 0, 0, 3, 0};
	static const uint32_t gnu_hash[] = {1, 2, 1, 0, 0xffffffff, 0xffffffff, 2, 0x1234, 0x1235};
	const Elf64_Dyn dynamic[] = {
		{DT_GNU_HASH, {base + offsetof(struct sample, gnu_hash)}},
		{DT_SYMTAB, {base + offsetof(struct sample, dynsym)}},
		{DT_STRTAB, {base + offsetof(struct sample, dynstr)}},
		{DT_STRSZ, {sizeof(sample->dynstr)}},
		{DT_SYMENT, {sizeof(Elf64_Sym)}},
		{DT_HASH, {base + offsetof(struct sample, hash)}},
		{DT_NULL, {0}},
	};
	uint64_t text = base + offsetof(struct sample, text);
	unsigned char function = STB_GLOBAL << 4 | STT_FUNC;

	memcpy(sample->hash, hash, sizeof(hash));
	memcpy(sample->gnu_hash, gnu_hash, sizeof(gnu_hash));
	memcpy(sample->dynamic, dynamic, sizeof(dynamic));
	sample->dynsym[1] = (Elf64_Sym){.st_info = function};
	sample->dynsym[1].st_name = add_string(sample->dynstr, sizeof(sample->dynstr), "imported");
	sample->dynsym[2] = (Elf64_Sym){
		.st_info = function, .st_shndx = 7, .st_value = text + 0x70, .st_size = 8};
	sample->dynsym[2].st_name = add_string(sample->dynstr, sizeof(sample->dynstr), "exported");
	sample->dynsym[3] = (Elf64_Sym){
		.st_info = function, .st_shndx = 7, .st_value = text + 0x78, .st_size = 8};
	sample->dynsym[3].st_name = add_string(sample->dynstr, sizeof(sample->dynstr), "last");
}

static void fill_symbols(struct sample *sample, uint64_t base)
{
	uint64_t text = base + offsetof(struct sample, text);
	uint64_t data = base + DATA_DISTANCE + offsetof(struct sample, data);

	add_symbol(sample, "twice", STB_LOCAL, STT_FUNC, text + 0x40, 8);
	add_symbol(sample, "label", STB_LOCAL, STT_NOTYPE, text + 0x10, 0);
	add_symbol(sample, "assembly", STB_LOCAL, STT_FUNC, text + 0x60, 0);
	add_symbol(sample, "inner", STB_LOCAL, STT_FUNC, text + 8, 4);
	add_symbol(sample, "same", STB_WEAK, STT_FUNC, text, 0x20);
	add_symbol(sample, "_start", STB_GLOBAL, STT_FUNC, text, 0x20);
	add_symbol(sample, "also", STB_WEAK, STT_FUNC, text, 0x20);
	add_symbol(sample, "twice", STB_WEAK, STT_FUNC, text + 0x48, 8);
	add_symbol(sample, "variable", STB_GNU_UNIQUE, STT_OBJECT, data, 8);
	add_symbol(sample, "chosen", STB_GLOBAL, STT_GNU_IFUNC, text + 0x50, 8);
	add_symbol(sample, "thread", STB_GLOBAL, STT_TLS, text, 4);
	add_symbol(sample, "absolute", STB_GLOBAL, STT_NOTYPE, text, 0);
	symbol_of(sample, "absolute")->st_shndx = SHN_ABS;
	add_symbol(sample, "missing", STB_GLOBAL, STT_FUNC, text, 0);
	symbol_of(sample, "missing")->st_shndx = SHN_UNDEF;
	add_symbol(sample, "_end", STB_GLOBAL, STT_NOTYPE, base + 2 * DATA_DISTANCE, 0);
}

static Elf64_Shdr section_header(uint32_t type, size_t offset, size_t size, uint32_t link,
                                 size_t entry_size)
{
	return (Elf64_Shdr){
		.sh_type = type,
		.sh_offset = offset,
		.sh_size = size,
		.sh_link = link,
		.sh_entsize = entry_size,
	};
}

static void fill_sections(struct sample *sample)
{
	Elf64_Shdr *sections = sample->sections;

	sections[SECTION_DYNSTR] = section_header(SHT_STRTAB, offsetof(struct sample, dynstr),
	                                          sizeof(sample->dynstr), 0, 0);
	sections[SECTION_DYNSYM] = section_header(SHT_DYNSYM, offsetof(struct sample, dynsym),
	                                          sizeof(sample->dynsym), SECTION_DYNSTR,
	                                          sizeof(Elf64_Sym));
	sections[SECTION_STRTAB] = section_header(SHT_STRTAB, offsetof(struct sample, strtab),
	                                          sizeof(sample->strtab), 0, 0);
	sections[SECTION_SYMTAB] = section_header(SHT_SYMTAB, offsetof(struct sample, symtab),
	                                          sizeof(sample->symtab), SECTION_STRTAB,
	                                          sizeof(Elf64_Sym));
}

static struct sample sample_at(uint16_t type, uint64_t base)
{
	struct sample sample;

	memset(&sample, 0, sizeof(sample));
	fill_file_header(&sample, type, base);
	fill_program_headers(&sample, base);
	fill_dynamic(&sample, base);
	fill_symbols(&sample, base);
	fill_sections(&sample);
	return sample;
}

static struct sample exec_sample(void)
{
	return sample_at(ET_EXEC, EXEC_BASE);
}

static void remove_header(struct sample *sample, unsigned int index)
{
	sample->headers[index].p_type = PT_NULL;
}

/* Texts that are expected more than once. */
#define LOAD_PAST_FILE "program header 3: p_offset + p_filesz is past the end of the file"
#define LOAD_PAST_SPACE                                                                            \
	"program header 3: p_vaddr + p_memsz is past the end of the user address space"
#define TLS_PAST_SPACE                                                                             \
	"program header 4: p_vaddr + p_memsz of PT_TLS is past the end of the user address space"
#define TLS_OUTSIDE "program header 4: p_vaddr + p_filesz of PT_TLS is outside of every segment"
#define TABLE_PAST_FILE "file header: e_phoff + e_phnum headers is past the end of the file"
#define ENTRY_OUTSIDE "file header: e_entry is outside of every executable segment"
#define RELRO_OUTSIDE "program header 7: p_vaddr + p_memsz of PT_GNU_RELRO is outside of the image"

/* Parsing with all that must hold, whatever the outcome. */

struct parsed {
	int result;
	struct elf_image image;
	struct elf_image_error error;
	unsigned char *copy;
};

static void parse_in_place(struct parsed *parsed, const void *bytes, size_t size)
{
	const char *broken;

	/* What is not written must show. */
	memset(&parsed->image, 0xa5, sizeof(parsed->image));
	memset(&parsed->error, 0xa5, sizeof(parsed->error));
	parsed->result = elf_image_parse(&parsed->image, bytes, size, &parsed->error);
	broken = parsed->result
	                 ? elf_image_broken_refusal(parsed->result, &parsed->image, &parsed->error)
	                 : elf_image_broken_invariant(&parsed->image);
	if (broken)
		fail_msg("broken invariant: %s", broken);
}

static struct parsed parse_shifted(const void *bytes, size_t size, size_t shift)
{
	struct parsed parsed;

	parsed.copy = malloc(size + shift);
	assert_non_null(parsed.copy);
	memcpy(parsed.copy + shift, bytes, size);
	parse_in_place(&parsed, parsed.copy + shift, size);
	return parsed;
}

static struct parsed parse_sample(const struct sample *sample)
{
	return parse_shifted(sample, sizeof(*sample), 0);
}

static void release(struct parsed *parsed)
{
	free(parsed->copy);
}

static void assert_refused_bytes(const void *bytes, size_t size, const char *text)
{
	for (size_t shift = 0; shift < 2; shift++) {
		struct parsed parsed = parse_shifted(bytes, size, shift);

		if (parsed.result == 0)
			fail_msg("accepted, but expected: %s", text);
		assert_string_equal(parsed.error.text, text);
		release(&parsed);
	}
}

static void assert_refused(const struct sample *sample, const char *text)
{
	assert_refused_bytes(sample, sizeof(*sample), text);
}

static void assert_accepted(const struct sample *sample)
{
	for (size_t shift = 0; shift < 2; shift++) {
		struct parsed parsed = parse_shifted(sample, sizeof(*sample), shift);

		if (parsed.result != 0)
			fail_msg("refused: %s", parsed.error.text);
		release(&parsed);
	}
}

/* Acceptance. */

static void test_describes_header_and_segments(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed = parse_sample(&sample);
	const struct elf_image *image = &parsed.image;

	(void)state;
	assert_int_equal(parsed.result, 0);
	assert_string_equal(parsed.error.text, "");
	assert_int_equal(image->type, ET_EXEC);
	assert_true(image->has_entry);
	assert_false(image->static_pie);
	assert_int_equal(image->entry, TEXT_ADDRESS(text));
	assert_int_equal(image->program_headers, TEXT_ADDRESS(headers));
	assert_int_equal(image->program_header_count, HEADERS);
	assert_int_equal(image->program_header_size, sizeof(Elf64_Phdr));
	assert_int_equal(image->segment_count, 2);
	assert_int_equal(image->lowest, EXEC_BASE);
	assert_int_equal(image->highest, EXEC_BASE + 2 * DATA_DISTANCE);
	assert_int_equal(image->alignment, 0x200000);
	release(&parsed);
}

static void test_describes_one_segment(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed = parse_sample(&sample);
	const struct elf_image_segment *text = &parsed.image.segments[0],
				       *data = &parsed.image.segments[1];

	(void)state;
	assert_int_equal(text->address, EXEC_BASE);
	assert_int_equal(text->file_offset, 0);
	assert_int_equal(text->file_size, TEXT_END);
	assert_int_equal(text->memory_size, TEXT_END);
	assert_true(text->readable && !text->writable && text->executable);
	assert_int_equal(data->address, DATA_ADDRESS(tls));
	assert_int_equal(data->file_offset, TEXT_END);
	assert_int_equal(data->file_size, DATA_END - TEXT_END);
	assert_int_equal(data->memory_size, DATA_END - TEXT_END + BSS_SIZE);
	assert_true(data->readable && data->writable && !data->executable);
	release(&parsed);
}

static void test_describes_the_other_headers(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed = parse_sample(&sample);
	const struct elf_image *image = &parsed.image;

	(void)state;
	assert_string_equal(image->interpreter, "/ld.so.");
	assert_true(image->has_stack_flags);
	assert_false(image->stack_executable);
	assert_int_equal(image->relro.start, DATA_ADDRESS(tls));
	assert_int_equal(image->relro.end, DATA_ADDRESS(tls) + 0x80);
	assert_int_equal(image->tls.address, DATA_ADDRESS(tls));
	assert_int_equal(image->tls.file_size, 16);
	assert_int_equal(image->tls.memory_size, 32);
	assert_int_equal(image->tls.alignment, 8);
	assert_int_equal(image->symbol_tables[ELF_IMAGE_SYMTAB].count, ARRAY_SIZE(sample.symtab));
	assert_int_equal(image->symbol_tables[ELF_IMAGE_DYNSYM].count, ARRAY_SIZE(sample.dynsym));
	release(&parsed);
}

static void test_absent_headers(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed;

	(void)state;
	for (unsigned int i = 0; i < HEADERS; i++)
		if (i != HEADER_TEXT && i != HEADER_DATA)
			remove_header(&sample, i);
	parsed = parse_sample(&sample);
	assert_int_equal(parsed.result, 0);
	assert_null(parsed.image.interpreter);
	assert_false(parsed.image.has_stack_flags);
	assert_false(parsed.image.stack_executable);
	assert_int_equal(parsed.image.tls.memory_size, 0);
	assert_int_equal(parsed.image.relro.start, parsed.image.relro.end);
	/* Found through the PT_LOAD that holds e_phoff. */
	assert_int_equal(parsed.image.program_headers, TEXT_ADDRESS(headers));
	release(&parsed);
}

static void test_program_headers_in_no_segment(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed;

	(void)state;
	remove_header(&sample, HEADER_PHDR);
	/* Ends one byte before the table does. */
	sample.headers[HEADER_TEXT].p_filesz = offsetof(struct sample, interpreter) - 1;
	parsed = parse_sample(&sample);
	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.image.program_headers, 0);
	release(&parsed);
}

static void test_executable_stack(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed;

	(void)state;
	sample.headers[HEADER_STACK].p_flags |= PF_X;
	parsed = parse_sample(&sample);
	assert_true(parsed.image.stack_executable);
	release(&parsed);
}

static void test_static_pie(void **state)
{
	struct sample sample = sample_at(ET_DYN, 0);
	struct parsed parsed = parse_sample(&sample);

	(void)state;
	assert_int_equal(parsed.result, 0);
	assert_false(parsed.image.static_pie);
	assert_int_equal(parsed.image.lowest, 0);
	release(&parsed);

	remove_header(&sample, HEADER_INTERP);
	parsed = parse_sample(&sample);
	assert_true(parsed.image.static_pie);
	assert_true(parsed.image.has_entry);
	release(&parsed);
}

static void test_static_program_needs_an_entry(void **state)
{
	struct sample sample = exec_sample();

	(void)state;
	remove_header(&sample, HEADER_INTERP);
	assert_accepted(&sample);
	sample.file.e_entry = 0;
	assert_refused(&sample, ENTRY_OUTSIDE);
}

static void test_shared_object_needs_no_entry(void **state)
{
	struct sample sample = sample_at(ET_DYN, 0);
	struct parsed parsed;

	(void)state;
	sample.file.e_entry = 0;
	sample.headers[HEADER_TEXT].p_flags = PF_R;
	assert_refused(&sample, ENTRY_OUTSIDE);
	remove_header(&sample, HEADER_INTERP);
	parsed = parse_sample(&sample);
	assert_int_equal(parsed.result, 0);
	assert_false(parsed.image.has_entry);
	assert_false(parsed.image.static_pie);
	release(&parsed);
}

static void test_error_is_optional(void **state)
{
	struct sample sample = exec_sample();
	struct elf_image image;

	(void)state;
	assert_int_equal(elf_image_parse(&image, &sample, sizeof(sample), NULL), 0);
	assert_int_equal(elf_image_parse(&image, &sample, 0, NULL), -ENOEXEC);
	assert_int_equal(elf_image_parse(&image, NULL, 0, NULL), -ENOEXEC);
}

/*
 * -z noseparate-code and -n: segments that meet in one page, also with other file
 * pages behind it.
 */
static void test_segments_may_share_a_page(void **state)
{
	struct sample sample = exec_sample();

	(void)state;
	sample.headers[HEADER_DATA].p_vaddr = EXEC_BASE + TEXT_END;
	remove_header(&sample, HEADER_TLS);
	remove_header(&sample, HEADER_RELRO);
	assert_accepted(&sample);
	sample.headers[HEADER_DATA].p_vaddr--;
	sample.headers[HEADER_DATA].p_offset--;
	assert_refused(&sample, "program header 3: p_vaddr overlaps the PT_LOAD before it");
}

static void test_segments_at_the_limits(void **state)
{
	struct sample sample = sample_at(ET_EXEC, ELF_IMAGE_LOWEST_ADDRESS);
	struct sample high = sample_at(ET_DYN, ELF_IMAGE_ADDRESS_LIMIT - 2 * DATA_DISTANCE);

	(void)state;
	assert_accepted(&sample);
	high.headers[HEADER_DATA].p_memsz = ELF_IMAGE_ADDRESS_LIMIT -
	                                    high.headers[HEADER_DATA].p_vaddr;
	assert_accepted(&high);
	high.headers[HEADER_DATA].p_memsz++;
	assert_refused(
		&high,
		"program header 3: p_vaddr + p_memsz is past the end of the user address space");
}

static void test_segment_to_the_end_of_the_file(void **state)
{
	struct sample sample = exec_sample();

	(void)state;
	sample.headers[HEADER_DATA].p_filesz = sizeof(sample) - TEXT_END;
	assert_accepted(&sample);
	sample.headers[HEADER_DATA].p_filesz++;
	assert_refused(&sample, LOAD_PAST_FILE);
	/* The sum wraps to TEXT_END, which would be well inside. */
	sample.headers[HEADER_DATA].p_offset = UINT64_MAX - 0xfff + TEXT_END;
	sample.headers[HEADER_DATA].p_filesz = 0x1000;
	sample.headers[HEADER_DATA].p_memsz = 0x1000;
	assert_refused(&sample, LOAD_PAST_FILE);
}

static void test_empty_segment_is_ignored(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed;

	(void)state;
	/* All but the sizes would be refused. */
	sample.headers[HEADER_STACK] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = UINT64_MAX,
		.p_vaddr = 1,
		.p_align = 3,
	};
	parsed = parse_sample(&sample);
	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.image.segment_count, 2);
	release(&parsed);
}

static void test_bss_segment_has_no_file_offset(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed;

	(void)state;
	remove_header(&sample, HEADER_TLS);
	sample.headers[HEADER_DATA].p_filesz = 0;
	sample.headers[HEADER_DATA].p_offset = UINT64_MAX;
	parsed = parse_sample(&sample);
	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.image.segments[1].file_offset, 0);
	assert_int_equal(parsed.image.segments[1].file_size, 0);
	release(&parsed);
}

static void test_alignment_zero_and_one(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed;

	(void)state;
	sample.headers[HEADER_TEXT].p_align = 0;
	sample.headers[HEADER_DATA].p_align = 1;
	sample.headers[HEADER_TLS].p_align = 0;
	parsed = parse_sample(&sample);
	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.image.alignment, PAGE_SIZE);
	assert_int_equal(parsed.image.tls.alignment, 1);
	release(&parsed);
	sample.headers[HEADER_DATA].p_align = ELF_IMAGE_MAX_ALIGNMENT;
	sample.headers[HEADER_TLS].p_align = ELF_IMAGE_MAX_ALIGNMENT;
	assert_accepted(&sample);
}

/* As Go's linker writes it. */
static void test_tls_without_initial_bytes(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed;

	(void)state;
	sample.headers[HEADER_TLS] = (Elf64_Phdr){.p_type = PT_TLS, .p_memsz = 8, .p_align = 8};
	parsed = parse_sample(&sample);
	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.image.tls.memory_size, 8);
	assert_int_equal(parsed.image.tls.file_size, 0);
	release(&parsed);
}

/* lld rounds the end up to a page. */
static void test_relro_to_the_end_of_the_page(void **state)
{
	struct sample sample = exec_sample();
	Elf64_Phdr *relro = &sample.headers[HEADER_RELRO];

	(void)state;
	relro->p_memsz = EXEC_BASE + 2 * DATA_DISTANCE - relro->p_vaddr;
	assert_accepted(&sample);
	relro->p_memsz++;
	assert_refused(
		&sample,
		"program header 7: p_vaddr + p_memsz of PT_GNU_RELRO is outside of the image");
}

/* Refusals of one changed field. */

struct refusal {
	size_t offset;
	size_t size;
	uint64_t value;
	const char *text;
};

#define REFUSAL(field, value, text)                                                                \
	{                                                                                          \
		offsetof(struct sample, field), sizeof(((struct sample *)0)->field), value, text   \
	}

static const struct refusal refusals[] = {
	REFUSAL(file.e_ident[EI_MAG0], 0, "file header: e_ident has no ELF magic"),
	REFUSAL(file.e_ident[EI_MAG1], 'e', "file header: e_ident has no ELF magic"),
	REFUSAL(file.e_ident[EI_MAG2], 'l', "file header: e_ident has no ELF magic"),
	REFUSAL(file.e_ident[EI_MAG3], 'f', "file header: e_ident has no ELF magic"),
	REFUSAL(file.e_ident[EI_CLASS], ELFCLASS32, "file header: EI_CLASS is not ELFCLASS64"),
	REFUSAL(file.e_ident[EI_DATA], ELFDATA2MSB, "file header: EI_DATA is not ELFDATA2LSB"),
	REFUSAL(file.e_ident[EI_VERSION], 2, "file header: EI_VERSION is not EV_CURRENT"),
	REFUSAL(file.e_version, 0, "file header: e_version is not EV_CURRENT"),
	REFUSAL(file.e_machine, EM_386, "file header: e_machine is not EM_X86_64"),
	REFUSAL(file.e_type, ET_REL, "file header: e_type is neither ET_EXEC nor ET_DYN"),
	REFUSAL(file.e_type, ET_CORE, "file header: e_type is neither ET_EXEC nor ET_DYN"),
	REFUSAL(file.e_phentsize, sizeof(Elf64_Phdr) - 1,
                "file header: e_phentsize is not that of Elf64_Phdr"),
	REFUSAL(file.e_phentsize, sizeof(Elf64_Phdr) + 8,
                "file header: e_phentsize is not that of Elf64_Phdr"),
	REFUSAL(file.e_phnum, 0, "file header: e_phnum is zero"),
	REFUSAL(file.e_phnum, ELF_IMAGE_MAX_PROGRAM_HEADERS + 1, "file header: e_phnum is above 64"),
	REFUSAL(file.e_phnum, PN_XNUM, "file header: e_phnum is PN_XNUM"),
	REFUSAL(file.e_phoff, 0, "file header: e_phoff is zero"),
	REFUSAL(file.e_phoff, sizeof(struct sample) - sizeof(Elf64_Phdr) * HEADERS + 1,
                TABLE_PAST_FILE),
	REFUSAL(file.e_phoff, UINT64_MAX - 8, TABLE_PAST_FILE),
	REFUSAL(file.e_phnum, 64, TABLE_PAST_FILE),
	REFUSAL(file.e_entry, 0, ENTRY_OUTSIDE),
	REFUSAL(file.e_entry, EXEC_BASE - 1, ENTRY_OUTSIDE),
	REFUSAL(file.e_entry, EXEC_BASE + TEXT_END, ENTRY_OUTSIDE),
	REFUSAL(file.e_entry, DATA_ADDRESS(data), ENTRY_OUTSIDE),
	REFUSAL(file.e_entry, UINT64_MAX, ENTRY_OUTSIDE),
	REFUSAL(headers[HEADER_TEXT].p_flags, PF_R, ENTRY_OUTSIDE),

	REFUSAL(headers[HEADER_DATA].p_offset, UINT64_MAX - 0xfff + TEXT_END, LOAD_PAST_FILE),
	REFUSAL(headers[HEADER_DATA].p_offset, TEXT_END + 0x1000, LOAD_PAST_FILE),
	REFUSAL(headers[HEADER_DATA].p_filesz, sizeof(struct sample) - TEXT_END + 1, LOAD_PAST_FILE),
	REFUSAL(headers[HEADER_DATA].p_filesz, DATA_END - TEXT_END + BSS_SIZE + 1,
                "program header 3: p_filesz is larger than p_memsz"),
	REFUSAL(headers[HEADER_DATA].p_memsz, 0, "program header 3: p_filesz is larger than p_memsz"),
	REFUSAL(headers[HEADER_DATA].p_memsz, UINT64_MAX, LOAD_PAST_SPACE),
	REFUSAL(headers[HEADER_DATA].p_memsz, ELF_IMAGE_ADDRESS_LIMIT - DATA_ADDRESS(tls) + 1,
                LOAD_PAST_SPACE),
	REFUSAL(headers[HEADER_DATA].p_vaddr, UINT64_MAX - 0xfff + TEXT_END, LOAD_PAST_SPACE),
	REFUSAL(headers[HEADER_DATA].p_vaddr, UINT64_C(0x7fffffffd000) + TEXT_END + 0x1000,
                LOAD_PAST_SPACE),
	REFUSAL(headers[HEADER_DATA].p_vaddr, DATA_ADDRESS(tls) + 8,
                "program header 3: p_vaddr and p_offset are not congruent modulo the page size"),
	REFUSAL(headers[HEADER_DATA].p_offset, TEXT_END - 1,
                "program header 3: p_vaddr and p_offset are not congruent modulo the page size"),
	REFUSAL(headers[HEADER_DATA].p_vaddr, EXEC_BASE - 0x1000 + TEXT_END,
                "program header 3: p_vaddr is below that of the PT_LOAD before it"),
	REFUSAL(headers[HEADER_TEXT].p_memsz, 0x10000,
                "program header 3: p_vaddr overlaps the PT_LOAD before it"),
	REFUSAL(headers[HEADER_TEXT].p_memsz, DATA_ADDRESS(tls) - EXEC_BASE + 1,
                "program header 3: p_vaddr overlaps the PT_LOAD before it"),
	REFUSAL(headers[HEADER_DATA].p_align, 3, "program header 3: p_align is not a power of two"),
	REFUSAL(headers[HEADER_DATA].p_align, 0x1001,
                "program header 3: p_align is not a power of two"),
	REFUSAL(headers[HEADER_DATA].p_align, UINT64_C(1) << 31,
                "program header 3: p_align is larger than 1 GiB"),
	REFUSAL(headers[HEADER_TEXT].p_vaddr, 0xf000,
                "program header 2: p_vaddr of an ET_EXEC is below the lowest address"),

	REFUSAL(headers[HEADER_INTERP].p_offset, sizeof(struct sample) - 7,
                "program header 1: p_offset + p_filesz of PT_INTERP is past the end of the file"),
	REFUSAL(headers[HEADER_INTERP].p_offset, UINT64_MAX,
                "program header 1: p_offset + p_filesz of PT_INTERP is past the end of the file"),
	REFUSAL(headers[HEADER_INTERP].p_filesz, 0,
                "program header 1: the path of PT_INTERP does not end in a NUL"),
	REFUSAL(headers[HEADER_INTERP].p_filesz, 7,
                "program header 1: the path of PT_INTERP does not end in a NUL"),
	REFUSAL(interpreter[0], 0, "program header 1: the path of PT_INTERP is empty"),

	REFUSAL(headers[HEADER_PHDR].p_vaddr, EXEC_BASE - 1,
                "program header 0: p_vaddr of PT_PHDR is outside of every segment"),
	REFUSAL(headers[HEADER_PHDR].p_vaddr, EXEC_BASE + TEXT_END - sizeof(Elf64_Phdr) * HEADERS + 1,
                "program header 0: p_vaddr of PT_PHDR is outside of every segment"),

	REFUSAL(headers[HEADER_TLS].p_filesz, 33,
                "program header 4: p_filesz of PT_TLS is larger than p_memsz"),
	REFUSAL(headers[HEADER_TLS].p_offset, sizeof(struct sample) - 15,
                "program header 4: p_offset + p_filesz of PT_TLS is past the end of the file"),
	REFUSAL(headers[HEADER_TLS].p_offset, UINT64_MAX - 8,
                "program header 4: p_offset + p_filesz of PT_TLS is past the end of the file"),
	REFUSAL(headers[HEADER_TLS].p_align, 12,
                "program header 4: p_align of PT_TLS is not a power of two"),
	REFUSAL(headers[HEADER_TLS].p_align, UINT64_C(1) << 40,
                "program header 4: p_align of PT_TLS is larger than 1 GiB"),
	REFUSAL(headers[HEADER_TLS].p_memsz, UINT64_MAX, TLS_PAST_SPACE),
	REFUSAL(headers[HEADER_TLS].p_vaddr, ELF_IMAGE_ADDRESS_LIMIT - 31, TLS_PAST_SPACE),
	REFUSAL(headers[HEADER_TLS].p_vaddr, EXEC_BASE + TEXT_END - 15, TLS_OUTSIDE),
	REFUSAL(headers[HEADER_TLS].p_vaddr, 0, TLS_OUTSIDE),

	REFUSAL(headers[HEADER_RELRO].p_vaddr, EXEC_BASE - 1, RELRO_OUTSIDE),
	REFUSAL(headers[HEADER_RELRO].p_memsz, UINT64_MAX, RELRO_OUTSIDE),

	REFUSAL(headers[HEADER_RELRO].p_type, PT_PHDR, "program header 7: a second PT_PHDR"),
	REFUSAL(headers[HEADER_RELRO].p_type, PT_INTERP, "program header 7: a second PT_INTERP"),
	REFUSAL(headers[HEADER_RELRO].p_type, PT_TLS, "program header 7: a second PT_TLS"),
	REFUSAL(headers[HEADER_RELRO].p_type, PT_DYNAMIC, "program header 7: a second PT_DYNAMIC"),
	REFUSAL(headers[HEADER_RELRO].p_type, PT_GNU_STACK, "program header 7: a second PT_GNU_STACK"),
	REFUSAL(headers[HEADER_STACK].p_type, PT_GNU_RELRO, "program header 7: a second PT_GNU_RELRO"),
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct sample sample = exec_sample();

		/* Little-endian: the low bytes come first. */
		memcpy((unsigned char *)&sample + refusals[i].offset, &refusals[i].value,
		       refusals[i].size);
		assert_refused(&sample, refusals[i].text);
	}
}

static void test_no_segment(void **state)
{
	struct sample sample = exec_sample();

	(void)state;
	sample.headers[HEADER_TEXT].p_type = PT_NOTE;
	sample.headers[HEADER_DATA].p_filesz = 0;
	sample.headers[HEADER_DATA].p_memsz = 0;
	assert_refused(&sample, "program headers: no PT_LOAD that occupies memory");
}

static void test_truncation(void **state)
{
	struct sample sample = exec_sample();

	(void)state;
	for (size_t size = 0; size < sizeof(Elf64_Ehdr); size++)
		assert_refused_bytes(&sample, size,
		                     "file header: the file is shorter than Elf64_Ehdr");
	for (size_t size = sizeof(Elf64_Ehdr); size < offsetof(struct sample, interpreter); size++)
		assert_refused_bytes(&sample, size, TABLE_PAST_FILE);
	for (size_t size = offsetof(struct sample, interpreter); size < TEXT_END; size++)
		assert_refused_bytes(
			&sample, size,
			"program header 2: p_offset + p_filesz is past the end of the file");
	for (size_t size = TEXT_END; size < DATA_END; size++)
		assert_refused_bytes(&sample, size, LOAD_PAST_FILE);
	/* From here on it only loses symbols. */
	for (size_t size = DATA_END; size < sizeof(sample); size++) {
		struct parsed parsed = parse_shifted(&sample, size, 0);

		assert_int_equal(parsed.result, 0);
		assert_int_equal(parsed.image.symbol_tables[ELF_IMAGE_SYMTAB].count, 0);
		assert_int_equal(parsed.image.symbol_tables[ELF_IMAGE_DYNSYM].count,
		                 ARRAY_SIZE(sample.dynsym));
		release(&parsed);
	}
}

/* A file of that many bytes that starts with the sample, all of it in the text segment. */
static unsigned char *grown_sample(const struct sample *sample, size_t size)
{
	unsigned char *bytes = calloc(1, size);
	struct sample grown = *sample;

	assert_non_null(bytes);
	remove_header(&grown, HEADER_DATA);
	remove_header(&grown, HEADER_TLS);
	remove_header(&grown, HEADER_RELRO);
	grown.headers[HEADER_TEXT].p_filesz = size;
	grown.headers[HEADER_TEXT].p_memsz = size;
	memcpy(bytes, &grown, sizeof(grown));
	return bytes;
}

static void test_length_of_the_interpreter(void **state)
{
	struct sample sample = exec_sample();
	size_t size = sizeof(sample) + ELF_IMAGE_MAX_INTERPRETER + 1;
	unsigned char *bytes;

	(void)state;
	sample.headers[HEADER_INTERP].p_offset = sizeof(sample);
	for (size_t length = ELF_IMAGE_MAX_INTERPRETER; length <= ELF_IMAGE_MAX_INTERPRETER + 1;
	     length++) {
		struct parsed parsed;

		sample.headers[HEADER_INTERP].p_filesz = length;
		bytes = grown_sample(&sample, size);
		memset(bytes + sizeof(sample), 'x', length - 1);
		parsed = parse_shifted(bytes, size, 0);
		if (length <= ELF_IMAGE_MAX_INTERPRETER)
			assert_int_equal(strlen(parsed.image.interpreter), length - 1);
		else
			assert_string_equal(parsed.error.text,
			                    "program header 1: p_filesz of PT_INTERP is above the "
			                    "longest path");
		release(&parsed);
		free(bytes);
	}
}

/* count program headers, all of them a PT_LOAD of one byte, 24 bytes apart: many to a page. */
static struct parsed parse_many_segments(unsigned int count)
{
	unsigned char bytes[sizeof(Elf64_Ehdr) + 65 * sizeof(Elf64_Phdr)] = {0};
	struct sample sample = exec_sample();

	sample.file.e_phnum = (uint16_t)count;
	sample.file.e_entry = EXEC_BASE;
	memcpy(bytes, &sample.file, sizeof(sample.file));
	for (unsigned int i = 0; i < count; i++) {
		Elf64_Phdr header = program_header(PT_LOAD, PF_X, i * 24, EXEC_BASE, 1);

		memcpy(bytes + sizeof(sample.file) + i * sizeof(header), &header, sizeof(header));
	}
	return parse_shifted(bytes, sizeof(bytes), 1);
}

static void test_most_segments(void **state)
{
	struct parsed parsed = parse_many_segments(ELF_IMAGE_MAX_PROGRAM_HEADERS);

	(void)state;
	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.image.segment_count, ELF_IMAGE_MAX_PROGRAM_HEADERS);
	assert_int_equal(parsed.image.highest, EXEC_BASE + PAGE_SIZE);
	release(&parsed);
	parsed = parse_many_segments(ELF_IMAGE_MAX_PROGRAM_HEADERS + 1);
	assert_string_equal(parsed.error.text, "file header: e_phnum is above 64");
	release(&parsed);
}

/* Symbols by name. */

static void assert_symbol(const struct elf_image *image, const char *name, uint64_t address,
                          uint64_t size)
{
	uint64_t found_address, found_size;

	if (elf_image_symbol(image, name, &found_address, &found_size) != 0)
		fail_msg("symbol %s is not found", name);
	assert_int_equal(found_address, address);
	assert_int_equal(found_size, size);
}

static void assert_no_symbol(const struct elf_image *image, const char *name)
{
	uint64_t address = 1, size = 2;

	assert_int_equal(elf_image_symbol(image, name, &address, &size), -ENOENT);
	assert_int_equal(address, 1);
	assert_int_equal(size, 2);
}

static void test_symbol_by_name(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed = parse_sample(&sample);
	uint64_t address;

	(void)state;
	assert_symbol(&parsed.image, "_start", TEXT_ADDRESS(text), 0x20);
	assert_symbol(&parsed.image, "label", TEXT_ADDRESS(text) + 0x10, 0);
	assert_symbol(&parsed.image, "variable", DATA_ADDRESS(data), 8);
	assert_symbol(&parsed.image, "_end", parsed.image.highest, 0);
	/* Only in .dynsym. */
	assert_symbol(&parsed.image, "exported", TEXT_ADDRESS(text) + 0x70, 8);
	/* The local one comes first in the table. */
	assert_symbol(&parsed.image, "twice", TEXT_ADDRESS(text) + 0x48, 8);
	assert_int_equal(elf_image_symbol(&parsed.image, "inner", &address, NULL), 0);
	assert_int_equal(address, TEXT_ADDRESS(text) + 8);
	release(&parsed);
}

static void test_symbol_that_is_not_found(void **state)
{
	static const char *const names[] = {
		"",         "_star",   "_startx",  "chosen",       "thread",
		"absolute", "missing", "imported", "no such name",
	};
	struct sample sample = exec_sample();
	struct parsed parsed = parse_sample(&sample);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_no_symbol(&parsed.image, names[i]);
	release(&parsed);
}

/* Each spoils one symbol; the others stay. */
static void test_hostile_symbols(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed;

	(void)state;
	symbol_of(&sample, "_start")->st_value = EXEC_BASE - 1;
	symbol_of(&sample, "_end")->st_value++;
	symbol_of(&sample, "label")->st_info = 5 << 4 | STT_FUNC;
	symbol_of(&sample, "assembly")->st_shndx = SHN_COMMON;
	symbol_of(&sample, "inner")->st_size = UINT64_MAX;
	symbol_of(&sample, "twice")->st_shndx = SHN_XINDEX;
	symbol_of(&sample, "variable")->st_name = sizeof(sample.strtab);
	parsed = parse_sample(&sample);
	assert_no_symbol(&parsed.image, "_start");
	assert_no_symbol(&parsed.image, "_end");
	assert_no_symbol(&parsed.image, "label");
	assert_no_symbol(&parsed.image, "assembly");
	assert_no_symbol(&parsed.image, "inner");
	assert_symbol(&parsed.image, "twice", TEXT_ADDRESS(text) + 0x48, 8);
	assert_no_symbol(&parsed.image, "variable");
	assert_symbol(&parsed.image, "same", TEXT_ADDRESS(text), 0x20);
	release(&parsed);
}

/*
 * Where .symtab or its strings cannot be used: the program is still accepted,
 * .dynsym still found.
 */
static void test_broken_symtab(void **state)
{
	static const struct refusal breakages[] = {
		REFUSAL(sections[SECTION_SYMTAB].sh_offset, UINT64_MAX, NULL),
		REFUSAL(sections[SECTION_SYMTAB].sh_offset, sizeof(struct sample) - 8, NULL),
		REFUSAL(sections[SECTION_SYMTAB].sh_size, UINT64_MAX, NULL),
		REFUSAL(sections[SECTION_SYMTAB].sh_size, 0, NULL),
		REFUSAL(sections[SECTION_SYMTAB].sh_entsize, 0, NULL),
		REFUSAL(sections[SECTION_SYMTAB].sh_entsize, 25, NULL),
		REFUSAL(sections[SECTION_SYMTAB].sh_link, SECTIONS, NULL),
		REFUSAL(sections[SECTION_SYMTAB].sh_link, UINT32_MAX, NULL),
		REFUSAL(sections[SECTION_SYMTAB].sh_link, SECTION_SYMTAB, NULL),
		REFUSAL(sections[SECTION_STRTAB].sh_offset, UINT64_MAX, NULL),
		REFUSAL(sections[SECTION_STRTAB].sh_size, sizeof(struct sample), NULL),
		REFUSAL(sections[SECTION_STRTAB].sh_size, UINT64_MAX, NULL),
		REFUSAL(sections[SECTION_STRTAB].sh_size, 0, NULL),
		REFUSAL(sections[SECTION_STRTAB].sh_size, 2, NULL),
		REFUSAL(sections[SECTION_STRTAB].sh_type, SHT_NOBITS, NULL),
		REFUSAL(file.e_shoff, UINT64_MAX - 7, NULL),
		REFUSAL(file.e_shoff, 0, NULL),
		REFUSAL(file.e_shentsize, 63, NULL),
		REFUSAL(file.e_shnum, 0xffff, NULL),
		REFUSAL(file.e_shnum, 0, NULL),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(breakages); i++) {
		struct sample sample = exec_sample();
		struct parsed parsed;

		memcpy((unsigned char *)&sample + breakages[i].offset, &breakages[i].value,
		       breakages[i].size);
		parsed = parse_sample(&sample);
		assert_int_equal(parsed.result, 0);
		assert_int_equal(parsed.image.symbol_tables[ELF_IMAGE_SYMTAB].count, 0);
		assert_no_symbol(&parsed.image, "_start");
		assert_symbol(&parsed.image, "exported", TEXT_ADDRESS(text) + 0x70, 8);
		release(&parsed);
	}
}

/* 0xff00 sections or more: the number is in section 0. */
static void test_extended_section_count(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed;

	(void)state;
	sample.file.e_shnum = 0;
	sample.sections[0].sh_size = SECTIONS;
	parsed = parse_sample(&sample);
	assert_symbol(&parsed.image, "_start", TEXT_ADDRESS(text), 0x20);
	release(&parsed);
	sample.sections[0].sh_size = UINT64_MAX / sizeof(Elf64_Shdr) + 2;
	parsed = parse_sample(&sample);
	assert_no_symbol(&parsed.image, "_start");
	release(&parsed);
}

/* Symbols through PT_DYNAMIC. */

enum {
	DYNAMIC_GNU_HASH,
	DYNAMIC_SYMTAB,
	DYNAMIC_STRTAB,
	DYNAMIC_STRSZ,
	DYNAMIC_SYMENT,
	DYNAMIC_HASH,
};

static struct sample sample_without_sections(void)
{
	struct sample sample = exec_sample();

	sample.file.e_shoff = 0;
	sample.file.e_shnum = 0;
	return sample;
}

static void assert_dynamic_symbols(const struct sample *sample, bool found)
{
	struct parsed parsed = parse_sample(sample);

	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.image.symbol_tables[ELF_IMAGE_SYMTAB].count, 0);
	assert_int_equal(parsed.image.symbol_tables[ELF_IMAGE_DYNSYM].count, found ? 4 : 0);
	if (found)
		assert_symbol(&parsed.image, "last", TEXT_ADDRESS(text) + 0x78, 8);
	else
		assert_no_symbol(&parsed.image, "last");
	release(&parsed);
}

static void test_symbols_without_sections(void **state)
{
	struct sample sample = sample_without_sections();

	(void)state;
	assert_dynamic_symbols(&sample, true);
	sample.dynamic[DYNAMIC_HASH].d_tag = DT_DEBUG;
	assert_dynamic_symbols(&sample, true);
	sample.dynamic[DYNAMIC_SYMENT].d_tag = DT_DEBUG;
	assert_dynamic_symbols(&sample, true);
	sample.dynamic[DYNAMIC_GNU_HASH].d_tag = DT_DEBUG;
	assert_dynamic_symbols(&sample, false);
	sample = sample_without_sections();
	remove_header(&sample, HEADER_DYNAMIC);
	assert_dynamic_symbols(&sample, false);
}

static void test_broken_dynamic(void **state)
{
	static const struct refusal breakages[] = {
		REFUSAL(headers[HEADER_DYNAMIC].p_offset, UINT64_MAX, NULL),
		REFUSAL(headers[HEADER_DYNAMIC].p_filesz, UINT64_MAX, NULL),
		REFUSAL(headers[HEADER_DYNAMIC].p_filesz, 0, NULL),
		REFUSAL(dynamic[0].d_tag, DT_NULL, NULL),
		REFUSAL(dynamic[DYNAMIC_SYMTAB].d_un, 0, NULL),
		REFUSAL(dynamic[DYNAMIC_SYMTAB].d_un, EXEC_BASE + TEXT_END - 24, NULL),
		REFUSAL(dynamic[DYNAMIC_SYMTAB].d_un, UINT64_MAX, NULL),
		/* Memory that the file says nothing of. */
		REFUSAL(dynamic[DYNAMIC_SYMTAB].d_un, DATA_ADDRESS(symtab) + 8, NULL),
		REFUSAL(dynamic[DYNAMIC_STRTAB].d_un, 0, NULL),
		REFUSAL(dynamic[DYNAMIC_STRTAB].d_un, EXEC_BASE - 1, NULL),
		REFUSAL(dynamic[DYNAMIC_STRSZ].d_un, 0, NULL),
		REFUSAL(dynamic[DYNAMIC_STRSZ].d_un, 5, NULL),
		/* Ends in a NUL, but past the segment. */
		REFUSAL(dynamic[DYNAMIC_STRSZ].d_un,
	                sizeof(struct sample) - offsetof(struct sample, dynstr), NULL),
		REFUSAL(dynamic[DYNAMIC_STRSZ].d_un, UINT64_MAX, NULL),
		REFUSAL(dynamic[DYNAMIC_SYMENT].d_un, 16, NULL),
		REFUSAL(dynamic[DYNAMIC_HASH].d_un, 8, NULL),
		REFUSAL(dynamic[DYNAMIC_HASH].d_un, EXEC_BASE + TEXT_END - 7, NULL),
		REFUSAL(hash[1], UINT32_MAX, NULL),
		REFUSAL(hash[1], 0, NULL),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(breakages); i++) {
		struct sample sample = sample_without_sections();

		memcpy((unsigned char *)&sample + breakages[i].offset, &breakages[i].value,
		       breakages[i].size);
		assert_dynamic_symbols(&sample, false);
	}
}

static void test_broken_gnu_hash(void **state)
{
	static const struct refusal breakages[] = {
		REFUSAL(dynamic[DYNAMIC_GNU_HASH].d_un, EXEC_BASE + TEXT_END - 8, NULL),
		REFUSAL(gnu_hash[0], UINT32_MAX, NULL),
		REFUSAL(gnu_hash[0], 0, NULL),
		REFUSAL(gnu_hash[1], 3, NULL),
		REFUSAL(gnu_hash[2], UINT32_MAX, NULL),
		REFUSAL(gnu_hash[6], UINT32_MAX, NULL),
		REFUSAL(gnu_hash[6], 1, NULL),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(breakages); i++) {
		struct sample sample = sample_without_sections();
		struct parsed parsed;

		sample.dynamic[DYNAMIC_HASH].d_tag = DT_DEBUG;
		memcpy((unsigned char *)&sample + breakages[i].offset, &breakages[i].value,
		       breakages[i].size);
		parsed = parse_sample(&sample);
		assert_int_equal(parsed.result, 0);
		assert_no_symbol(&parsed.image, "last");
		release(&parsed);
	}
}

/* A program that exports nothing: all symbols precede the hashed ones. */
static void test_empty_gnu_hash(void **state)
{
	struct sample sample = sample_without_sections();

	(void)state;
	sample.dynamic[DYNAMIC_HASH].d_tag = DT_DEBUG;
	sample.gnu_hash[1] = 4;
	sample.gnu_hash[6] = 0;
	assert_dynamic_symbols(&sample, true);
}

/* Symbols by address. */

static void assert_name_at(const struct elf_image *image, uint64_t address, const char *name,
                           uint64_t offset)
{
	const char *found_name = NULL;
	uint64_t found_offset = 0;

	assert_int_equal(elf_image_symbol_at(image, address, &found_name, &found_offset), 0);
	assert_string_equal(found_name, name);
	assert_int_equal(found_offset, offset);
}

static void assert_no_name_at(const struct elf_image *image, uint64_t address)
{
	const char *name = "untouched";
	uint64_t offset = 1;

	assert_int_equal(elf_image_symbol_at(image, address, &name, &offset), -ENOENT);
	assert_string_equal(name, "untouched");
	assert_int_equal(offset, 1);
}

static void test_symbol_at_address(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed = parse_sample(&sample);
	uint64_t text = TEXT_ADDRESS(text);

	(void)state;
	/* The global one of three. */
	assert_name_at(&parsed.image, text, "_start", 0);
	/* The inner one of two, and around it. */
	assert_name_at(&parsed.image, text + 7, "_start", 7);
	assert_name_at(&parsed.image, text + 8, "inner", 0);
	assert_name_at(&parsed.image, text + 11, "inner", 3);
	assert_name_at(&parsed.image, text + 12, "_start", 12);
	assert_name_at(&parsed.image, text + 0x1f, "_start", 0x1f);
	assert_name_at(&parsed.image, text + 0x57, "chosen", 7);
	/* No size. */
	assert_name_at(&parsed.image, text + 0x60, "assembly", 0);
	assert_name_at(&parsed.image, text + 0x6f, "assembly", 0xf);
	/* From .dynsym, as it covers. */
	assert_name_at(&parsed.image, text + 0x71, "exported", 1);
	release(&parsed);
}

static void test_no_symbol_at_address(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed = parse_sample(&sample);

	(void)state;
	assert_no_name_at(&parsed.image, TEXT_ADDRESS(text) - 1);
	assert_no_name_at(&parsed.image, TEXT_ADDRESS(text) + 0x20);
	assert_no_name_at(&parsed.image, EXEC_BASE + TEXT_END);
	/* "assembly" is below, but in another segment. */
	assert_no_name_at(&parsed.image, DATA_ADDRESS(data));
	assert_no_name_at(&parsed.image, 0);
	assert_no_name_at(&parsed.image, UINT64_MAX);
	release(&parsed);
}

/* Files of this machine. */

static unsigned char *read_file(const char *path, size_t *size)
{
	unsigned char *bytes = NULL;
	FILE *file = fopen(path, "rb");
	size_t capacity = 0, length = 1;

	if (!file)
		return NULL;
	for (*size = 0; length != 0; *size += length) {
		if (capacity - *size == 0) {
			capacity = capacity ? capacity * 2 : 1 << 16;
			bytes = realloc(bytes, capacity);
			assert_non_null(bytes);
		}
		length = fread(bytes + *size, 1, capacity - *size, file);
	}
	fclose(file);
	return bytes;
}

struct real_file {
	const char *path;
	uint16_t type;
	bool interpreted;
	const char *symbol; /* in .dynsym */
};

static const struct real_file real_files[] = {
	{"/bin/ls", ET_DYN, true, NULL},
	{"/lib64/ld-linux-x86-64.so.2", ET_DYN, false, "_dl_allocate_tls"},
	{"/usr/bin/busybox", ET_EXEC, false, NULL},
	{"/usr/bin/lua5.4", ET_DYN, true, "lua_pushfstring"},
	{"/lib/x86_64-linux-gnu/libc.so.6", ET_DYN, true, "printf"},
	{"/lib/x86_64-linux-gnu/libm.so.6", ET_DYN, false, "cbrt"},
};

/*
 * The table that PT_DYNAMIC leads to is the one that the section headers
 * describe; but where nothing is exported, GNU ld has its hash table say that
 * there is just one symbol.
 */
static void check_without_sections(const unsigned char *bytes, size_t size,
                                   const struct elf_image *whole)
{
	const struct elf_image_symbol_table *expected = &whole->symbol_tables[ELF_IMAGE_DYNSYM],
					    *table;
	struct parsed parsed = parse_shifted(bytes, size, 0);

	memset(parsed.copy + offsetof(Elf64_Ehdr, e_shoff), 0, sizeof(Elf64_Off));
	parse_in_place(&parsed, parsed.copy, size);
	table = &parsed.image.symbol_tables[ELF_IMAGE_DYNSYM];
	assert_true(table->count == expected->count || table->count == 1);
	assert_int_equal(table->offset, expected->offset);
	assert_int_equal(table->strings_offset, expected->strings_offset);
	assert_int_equal(table->strings_size, expected->strings_size);
	release(&parsed);
}

static void check_real_file(const struct real_file *expected, const unsigned char *bytes, size_t size)
{
	struct parsed parsed = parse_shifted(bytes, size, 1);
	uint64_t address, length, offset;
	const char *name;

	if (parsed.result)
		fail_msg("%s: %s", expected->path, parsed.error.text);
	assert_int_equal(parsed.image.type, expected->type);
	assert_int_equal(parsed.image.interpreter != NULL, expected->interpreted);
	if (expected->interpreted)
		assert_string_equal(parsed.image.interpreter, "/lib64/ld-linux-x86-64.so.2");
	assert_true(parsed.image.has_stack_flags && !parsed.image.stack_executable);
	assert_true(parsed.image.program_headers >= parsed.image.lowest + sizeof(Elf64_Ehdr));
	if (expected->symbol) {
		assert_true(parsed.image.symbol_tables[ELF_IMAGE_DYNSYM].count > 1);
		assert_int_equal(
			elf_image_symbol(&parsed.image, expected->symbol, &address, &length), 0);
		assert_true(length > 1);
		assert_int_equal(elf_image_symbol_at(&parsed.image, address + 1, &name, &offset), 0);
		assert_int_equal(offset, 1);
	}
	check_without_sections(bytes, size, &parsed.image);
	release(&parsed);
}

static void test_real_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(real_files); i++) {
		size_t size;
		unsigned char *bytes = read_file(real_files[i].path, &size);

		if (bytes)
			check_real_file(&real_files[i], bytes, size);
		else
			print_message("%s is not there: left out\n", real_files[i].path);
		free(bytes);
	}
}

int elf_image_test_landmark(int value);

int elf_image_test_landmark(int value)
{
	return value * 3 + 1;
}

/* This program: the kernel and the linker have done to it what the description says. */
static void test_own_program(void **state)
{
	size_t size;
	unsigned char *bytes = read_file("/proc/self/exe", &size);
	struct parsed parsed = parse_shifted(bytes, size, 0);
	uint64_t bias, address, length, offset;
	const char *name;

	(void)state;
	assert_int_equal(parsed.result, 0);
	bias = getauxval(AT_ENTRY) - parsed.image.entry;
	assert_true(is_aligned(bias, PAGE_SIZE));
	assert_true(parsed.image.type == ET_DYN || bias == 0);
	assert_int_equal(parsed.image.program_headers + bias, getauxval(AT_PHDR));
	assert_int_equal(parsed.image.program_header_count, getauxval(AT_PHNUM));
	assert_int_equal(
		elf_image_symbol(&parsed.image, "elf_image_test_landmark", &address, &length), 0);
	assert_int_equal(address + bias, (uintptr_t)&elf_image_test_landmark);
	assert_true(length > 0);
	assert_int_equal(elf_image_symbol_at(&parsed.image, address + length - 1, &name, &offset), 0);
	assert_string_equal(name, "elf_image_test_landmark");
	assert_int_equal(offset, length - 1);
	release(&parsed);
	free(bytes);
}

/* Mutations. */

static void test_every_header_byte(void **state)
{
	struct sample sample = exec_sample();
	struct parsed parsed = parse_sample(&sample);
	size_t accepted = 0, refused = 0;

	(void)state;
	for (size_t offset = 0; offset < offsetof(struct sample, interpreter); offset++) {
		unsigned char original = parsed.copy[offset];

		for (unsigned int change = 1; change < 256; change++) {
			parsed.copy[offset] = (unsigned char)(original ^ change);
			parse_in_place(&parsed, parsed.copy, sizeof(sample));
			if (parsed.result)
				refused++;
			else
				accepted++;
		}
		parsed.copy[offset] = original;
	}
	/* Neither outcome is left out: p_paddr, for one, means nothing. */
	assert_true(accepted > 10000 && refused > 10000);
	release(&parsed);
}

/* xorshift64: the same numbers each time. */
static uint64_t next_random(uint64_t *random_state)
{
	*random_state ^= *random_state << 13;
	*random_state ^= *random_state >> 7;
	*random_state ^= *random_state << 17;
	return *random_state;
}

/* A number where comparisons and sums go wrong. */
static uint64_t interesting_number(uint64_t *random_state)
{
	static const uint64_t numbers[] = {
		0,
		1,
		24,
		0xfff,
		0x1000,
		sizeof(struct sample),
		TEXT_END,
		DATA_END,
		EXEC_BASE,
		DATA_ADDRESS(tls),
		ELF_IMAGE_ADDRESS_LIMIT,
		ELF_IMAGE_LOWEST_ADDRESS,
		UINT32_MAX,
		UINT64_C(1) << 63,
		UINT64_MAX,
	};
	uint64_t number = numbers[next_random(random_state) % ARRAY_SIZE(numbers)];

	return number + next_random(random_state) % 3 - 1;
}

static void mutate(unsigned char *bytes, uint64_t *random_state)
{
	static const size_t widths[] = {1, 2, 4, 8};
	unsigned int changes = 1 + (unsigned int)(next_random(random_state) % 4);

	for (unsigned int i = 0; i < changes; i++) {
		size_t width = widths[next_random(random_state) % ARRAY_SIZE(widths)];
		/* As often in the headers as in all the rest. */
		size_t end = next_random(random_state) % 2 ? sizeof(struct sample)
		                                           : offsetof(struct sample, interpreter);
		size_t offset = next_random(random_state) % (end / width) * width;
		uint64_t value = next_random(random_state) % 2 ? next_random(random_state)
		                                               : interesting_number(random_state);

		memcpy(bytes + offset, &value, width);
	}
}

static void test_random_mutations(void **state)
{
	struct sample samples[] = {exec_sample(), sample_at(ET_DYN, 0), sample_without_sections()};
	uint64_t random_state = UINT64_C(0x9e3779b97f4a7c15);
	size_t accepted = 0, refused = 0;

	(void)state;
	for (unsigned int i = 0; i < 300000; i++) {
		struct sample sample = samples[i % ARRAY_SIZE(samples)];
		struct parsed parsed;

		mutate((unsigned char *)&sample, &random_state);
		parsed = parse_shifted(&sample, sizeof(sample), i % 2);
		if (parsed.result)
			refused++;
		else
			accepted++;
		release(&parsed);
	}
	assert_true(accepted > 10000 && refused > 10000);
}

/* Time. */

enum {
	HOSTILE_SIZE = 16 << 20,
	MOST_SECONDS = 10
};

/* Anything quadratic takes hours for this many words. */
static void assert_quick(unsigned char *bytes, size_t size)
{
	clock_t start = clock();
	struct parsed parsed;

	parse_in_place(&parsed, bytes, size);
	assert_int_equal(parsed.result, 0);
	assert_true((clock() - start) / CLOCKS_PER_SEC < MOST_SECONDS);
	free(bytes);
}

/* Each bucket names the first symbol, whose chain goes on to the end of the file. */
static void test_gigantic_gnu_hash(void **state)
{
	struct sample sample = sample_without_sections();
	uint32_t header[] = {HOSTILE_SIZE / 8, 1, 0, 0}, first = 1;
	unsigned char *bytes;

	(void)state;
	sample.headers[HEADER_DYNAMIC].p_offset = offsetof(struct sample, dynamic);
	sample.dynamic[DYNAMIC_HASH].d_tag = DT_DEBUG;
	sample.dynamic[DYNAMIC_GNU_HASH].d_un.d_ptr = EXEC_BASE + sizeof(sample);
	bytes = grown_sample(&sample, HOSTILE_SIZE);
	memcpy(bytes + sizeof(sample), header, sizeof(header));
	for (size_t i = 0; i < header[0]; i++)
		memcpy(bytes + sizeof(sample) + sizeof(header) + i * sizeof(first), &first,
		       sizeof(first));
	assert_quick(bytes, HOSTILE_SIZE);
}

/*
 * Each section header claims a symbol table, all with the longest strings there
 * can be, none with a good end.
 */
static void test_gigantic_section_table(void **state)
{
	struct sample sample = exec_sample();
	Elf64_Shdr strings = section_header(SHT_STRTAB, 0, HOSTILE_SIZE, 0, 0);
	Elf64_Shdr symbols = section_header(SHT_SYMTAB, 0, HOSTILE_SIZE, 1, sizeof(Elf64_Sym));
	size_t start = align_down(sizeof(sample), 64) + 64,
	       count = (HOSTILE_SIZE - start) / sizeof(strings);
	unsigned char *bytes;

	(void)state;
	sample.file.e_shoff = start;
	sample.file.e_shnum = 0;
	bytes = grown_sample(&sample, HOSTILE_SIZE);
	for (size_t i = 2; i < count; i++)
		memcpy(bytes + start + i * sizeof(symbols), &symbols, sizeof(symbols));
	memcpy(bytes + start + sizeof(strings), &strings, sizeof(strings));
	memcpy(bytes + start + offsetof(Elf64_Shdr, sh_size), &count, sizeof(count));
	bytes[HOSTILE_SIZE - 1] = 1;
	assert_quick(bytes, HOSTILE_SIZE);
}

/* Function after function, each a better answer than the one before and none with a short name. */
static void test_gigantic_symbol_table(void **state)
{
	struct sample sample = exec_sample();
	Elf64_Sym symbol = {.st_name = 1, .st_info = STB_LOCAL << 4 | STT_FUNC, .st_shndx = 1};
	size_t half = HOSTILE_SIZE / 2, count = (half - sizeof(sample)) / sizeof(symbol);
	unsigned char *bytes;

	(void)state;
	sample.sections[SECTION_SYMTAB].sh_offset = sizeof(sample);
	sample.sections[SECTION_SYMTAB].sh_size = count * sizeof(symbol);
	sample.sections[SECTION_STRTAB].sh_offset = half;
	sample.sections[SECTION_STRTAB].sh_size = half;
	bytes = grown_sample(&sample, HOSTILE_SIZE);
	for (size_t i = 0; i < count; i++) {
		symbol.st_value = EXEC_BASE + i;
		memcpy(bytes + sizeof(sample) + i * sizeof(symbol), &symbol, sizeof(symbol));
	}
	memset(bytes + half, 'a', half - 1);
	assert_quick(bytes, HOSTILE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_describes_header_and_segments),
		cmocka_unit_test(test_describes_one_segment),
		cmocka_unit_test(test_describes_the_other_headers),
		cmocka_unit_test(test_absent_headers),
		cmocka_unit_test(test_program_headers_in_no_segment),
		cmocka_unit_test(test_executable_stack),
		cmocka_unit_test(test_static_pie),
		cmocka_unit_test(test_static_program_needs_an_entry),
		cmocka_unit_test(test_shared_object_needs_no_entry),
		cmocka_unit_test(test_error_is_optional),
		cmocka_unit_test(test_segments_may_share_a_page),
		cmocka_unit_test(test_segments_at_the_limits),
		cmocka_unit_test(test_segment_to_the_end_of_the_file),
		cmocka_unit_test(test_empty_segment_is_ignored),
		cmocka_unit_test(test_bss_segment_has_no_file_offset),
		cmocka_unit_test(test_alignment_zero_and_one),
		cmocka_unit_test(test_tls_without_initial_bytes),
		cmocka_unit_test(test_relro_to_the_end_of_the_page),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_no_segment),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_length_of_the_interpreter),
		cmocka_unit_test(test_most_segments),
		cmocka_unit_test(test_symbol_by_name),
		cmocka_unit_test(test_symbol_that_is_not_found),
		cmocka_unit_test(test_hostile_symbols),
		cmocka_unit_test(test_broken_symtab),
		cmocka_unit_test(test_extended_section_count),
		cmocka_unit_test(test_symbols_without_sections),
		cmocka_unit_test(test_broken_dynamic),
		cmocka_unit_test(test_broken_gnu_hash),
		cmocka_unit_test(test_empty_gnu_hash),
		cmocka_unit_test(test_symbol_at_address),
		cmocka_unit_test(test_no_symbol_at_address),
		cmocka_unit_test(test_real_files),
		cmocka_unit_test(test_own_program),
		cmocka_unit_test(test_every_header_byte),
		cmocka_unit_test(test_random_mutations),
		cmocka_unit_test(test_gigantic_gnu_hash),
		cmocka_unit_test(test_gigantic_section_table),
		cmocka_unit_test(test_gigantic_symbol_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
