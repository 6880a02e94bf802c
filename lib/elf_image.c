/* SPDX-License-Identifier: MIT */
/*
 * Parser and validator of x86-64 ELF files: the file header, the program
 * headers, then where the symbol tables are, and the look-ups in those.
 * Every number is hostile and every header may be unaligned, so all are copied
 * out first. Follows the System V gABI chapters 4 and 5, the x86-64 psABI
 * chapters 4 and 5, man 5 elf, and Linux fs/binfmt_elf.c for what real programs need.
 */
#include "elf_image.h"

#include "util.h"

#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ELFDATA2LSB is read without swapping");
_Static_assert((ELF_IMAGE_ADDRESS_LIMIT & (PAGE_SIZE - 1)) == 0,
               "the limit must hold for page-rounded ends");
_Static_assert((ELF_IMAGE_LOWEST_ADDRESS & (PAGE_SIZE - 1)) == 0,
               "the limit must hold for page-rounded starts");

struct parser {
	struct elf_image *image;
	struct elf_image_error *error;
	Elf64_Ehdr file;
	Elf64_Phdr dynamic; /* PT_DYNAMIC, zero when absent */
	unsigned int index; /* of the program header at hand */
};

__attribute__((format(printf, 2, 3))) static int refuse(struct elf_image_error *error,
                                                        const char *format, ...)
{
	va_list arguments;

	if (!error)
		return -ENOEXEC;
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return -ENOEXEC;
}

static int refuse_header(const struct parser *parser, const char *reason)
{
	return refuse(parser->error, "program header %u: %s", parser->index, reason);
}

static bool read_at(const struct elf_image *image, uint64_t offset, void *out, size_t length)
{
	if (!range_within(offset, length, image->size))
		return false;
	memcpy(out, image->bytes + offset, length);
	return true;
}

/* The segment whose memory holds [address, address + length), or NULL. */
static const struct elf_image_segment *segment_holding(const struct elf_image *image,
                                                       uint64_t address, uint64_t length)
{
	for (unsigned int i = 0; i < image->segment_count; i++) {
		const struct elf_image_segment *segment = &image->segments[i];

		if (address >= segment->address &&
		    range_within(address - segment->address, length, segment->memory_size))
			return segment;
	}
	return NULL;
}

/*
 * The file header: gABI chapter 4, "ELF Header". e_flags, e_ehsize and EI_OSABI
 * mean nothing to Linux either.
 */

static int check_ident(const struct parser *parser)
{
	static const struct {
		unsigned int index;
		unsigned char expected;
		const char *reason;
	} rows[] = {
		{EI_MAG0, ELFMAG0, "e_ident has no ELF magic"},
		{EI_MAG1, ELFMAG1, "e_ident has no ELF magic"},
		{EI_MAG2, ELFMAG2, "e_ident has no ELF magic"},
		{EI_MAG3, ELFMAG3, "e_ident has no ELF magic"},
		{EI_CLASS, ELFCLASS64, "EI_CLASS is not ELFCLASS64"},
		{EI_DATA, ELFDATA2LSB, "EI_DATA is not ELFDATA2LSB"},
		{EI_VERSION, EV_CURRENT, "EI_VERSION is not EV_CURRENT"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (parser->file.e_ident[rows[i].index] != rows[i].expected)
			return refuse(parser->error, "file header: %s", rows[i].reason);
	return 0;
}

static int check_program_header_table(const struct parser *parser)
{
	const Elf64_Ehdr *file = &parser->file;

	if (file->e_phentsize != sizeof(Elf64_Phdr))
		return refuse(parser->error, "file header: e_phentsize is not that of Elf64_Phdr");
	if (file->e_phnum == 0)
		return refuse(parser->error, "file header: e_phnum is zero");
	/* The real number would be in section header 0; Linux does not run such a file either. */
	if (file->e_phnum == PN_XNUM)
		return refuse(parser->error, "file header: e_phnum is PN_XNUM");
	if (file->e_phnum > ELF_IMAGE_MAX_PROGRAM_HEADERS)
		return refuse(parser->error, "file header: e_phnum is above %d",
		              ELF_IMAGE_MAX_PROGRAM_HEADERS);
	if (file->e_phoff == 0)
		return refuse(parser->error, "file header: e_phoff is zero");
	if (!range_within(file->e_phoff, file->e_phnum * sizeof(Elf64_Phdr), parser->image->size))
		return refuse(parser->error,
		              "file header: e_phoff + e_phnum headers is past the end of the file");
	return 0;
}

static int parse_file_header(struct parser *parser)
{
	const Elf64_Ehdr *file = &parser->file;
	struct elf_image *image = parser->image;
	int result;

	if (!read_at(image, 0, &parser->file, sizeof(parser->file)))
		return refuse(parser->error, "file header: the file is shorter than Elf64_Ehdr");
	result = check_ident(parser);
	if (result)
		return result;
	if (file->e_type != ET_EXEC && file->e_type != ET_DYN)
		return refuse(parser->error, "file header: e_type is neither ET_EXEC nor ET_DYN");
	if (file->e_machine != EM_X86_64)
		return refuse(parser->error, "file header: e_machine is not EM_X86_64");
	if (file->e_version != EV_CURRENT)
		return refuse(parser->error, "file header: e_version is not EV_CURRENT");
	image->type = file->e_type;
	image->entry = file->e_entry;
	image->program_header_count = file->e_phnum;
	image->program_header_size = file->e_phentsize;
	return check_program_header_table(parser);
}

/* Segments: gABI chapter 5, "Program Header". */

static int check_load_file(const struct parser *parser, const Elf64_Phdr *header)
{
	/*
	 * No byte of the file is mapped, and linkers write anything into the
	 * p_offset of a segment that is all .bss.
	 */
	if (header->p_filesz == 0)
		return 0;
	if (!range_within(header->p_offset, header->p_filesz, parser->image->size))
		return refuse_header(parser, "p_offset + p_filesz is past the end of the file");
	/*
	 * gABI asks for congruence modulo p_align; mmap, and so Linux, needs that
	 * of the page only.
	 */
	if (!is_aligned(header->p_vaddr - header->p_offset, PAGE_SIZE))
		return refuse_header(parser,
		                     "p_vaddr and p_offset are not congruent modulo the page size");
	return 0;
}

static int check_load_memory(const struct parser *parser, const Elf64_Phdr *header)
{
	/* gABI: 0 and 1 both mean that no alignment is required. */
	if (header->p_align != 0 && !is_power_of_two(header->p_align))
		return refuse_header(parser, "p_align is not a power of two");
	if (header->p_align > ELF_IMAGE_MAX_ALIGNMENT)
		return refuse_header(parser, "p_align is larger than 1 GiB");
	if (!range_within(header->p_vaddr, header->p_memsz, ELF_IMAGE_ADDRESS_LIMIT))
		return refuse_header(parser,
		                     "p_vaddr + p_memsz is past the end of the user address space");
	if (parser->image->type == ET_EXEC && header->p_vaddr < ELF_IMAGE_LOWEST_ADDRESS)
		return refuse_header(parser, "p_vaddr of an ET_EXEC is below the lowest address");
	return 0;
}

/*
 * gABI: PT_LOAD entries appear in ascending order of p_vaddr. Only the bytes
 * may not overlap: without -z separate-code two segments can meet in one page.
 */
static int check_load_order(const struct parser *parser, const Elf64_Phdr *header)
{
	const struct elf_image *image = parser->image;
	const struct elf_image_segment *before;

	if (image->segment_count == 0)
		return 0;
	before = &image->segments[image->segment_count - 1];
	if (header->p_vaddr < before->address)
		return refuse_header(parser, "p_vaddr is below that of the PT_LOAD before it");
	if (header->p_vaddr - before->address < before->memory_size)
		return refuse_header(parser, "p_vaddr overlaps the PT_LOAD before it");
	return 0;
}

static void add_segment(struct elf_image *image, const Elf64_Phdr *header)
{
	if (image->segment_count == 0)
		image->lowest = align_down(header->p_vaddr, PAGE_SIZE);
	/* Cannot wrap: check_load_memory() has put the end below a page-aligned limit. */
	image->highest = align_down(header->p_vaddr + header->p_memsz + PAGE_SIZE - 1, PAGE_SIZE);
	image->alignment = max_u64(image->alignment, header->p_align);
	image->segments[image->segment_count++] = (struct elf_image_segment){
		.address = header->p_vaddr,
		.file_offset = header->p_filesz ? header->p_offset : 0,
		.file_size = header->p_filesz,
		.memory_size = header->p_memsz,
		.readable = header->p_flags & PF_R,
		.writable = header->p_flags & PF_W,
		.executable = header->p_flags & PF_X,
	};
}

static int parse_load(struct parser *parser, const Elf64_Phdr *header)
{
	int result;

	if (header->p_filesz > header->p_memsz)
		return refuse_header(parser, "p_filesz is larger than p_memsz");
	if (header->p_memsz == 0)
		return 0;
	result = check_load_file(parser, header);
	if (!result)
		result = check_load_memory(parser, header);
	if (!result)
		result = check_load_order(parser, header);
	if (!result)
		add_segment(parser->image, header);
	return result;
}

/* The other program headers; all segments are known by now. */

/* fs/binfmt_elf.c too wants the NUL to be the last byte. */
static int parse_interpreter(struct parser *parser, const Elf64_Phdr *header)
{
	const unsigned char *path;

	if (!range_within(header->p_offset, header->p_filesz, parser->image->size))
		return refuse_header(
			parser, "p_offset + p_filesz of PT_INTERP is past the end of the file");
	if (header->p_filesz > ELF_IMAGE_MAX_INTERPRETER)
		return refuse_header(parser, "p_filesz of PT_INTERP is above the longest path");
	path = parser->image->bytes + header->p_offset;
	if (header->p_filesz == 0 || path[header->p_filesz - 1] != '\0')
		return refuse_header(parser, "the path of PT_INTERP does not end in a NUL");
	if (path[0] == '\0')
		return refuse_header(parser, "the path of PT_INTERP is empty");
	parser->image->interpreter = (const char *)path;
	return 0;
}

static int parse_program_header_address(struct parser *parser, const Elf64_Phdr *header)
{
	uint64_t length = parser->file.e_phnum * sizeof(Elf64_Phdr);

	if (!segment_holding(parser->image, header->p_vaddr, length))
		return refuse_header(parser, "p_vaddr of PT_PHDR is outside of every segment");
	parser->image->program_headers = header->p_vaddr;
	return 0;
}

static int check_tls(const struct parser *parser, const Elf64_Phdr *header)
{
	if (header->p_filesz > header->p_memsz)
		return refuse_header(parser, "p_filesz of PT_TLS is larger than p_memsz");
	if (!range_within(header->p_offset, header->p_filesz, parser->image->size))
		return refuse_header(parser,
		                     "p_offset + p_filesz of PT_TLS is past the end of the file");
	if (header->p_align != 0 && !is_power_of_two(header->p_align))
		return refuse_header(parser, "p_align of PT_TLS is not a power of two");
	if (header->p_align > ELF_IMAGE_MAX_ALIGNMENT)
		return refuse_header(parser, "p_align of PT_TLS is larger than 1 GiB");
	if (!range_within(header->p_vaddr, header->p_memsz, ELF_IMAGE_ADDRESS_LIMIT))
		return refuse_header(
			parser,
			"p_vaddr + p_memsz of PT_TLS is past the end of the user address space");
	/* .tbss takes no place in the image, and Go writes p_vaddr 0 when there is nothing else. */
	if (header->p_filesz != 0 &&
	    !segment_holding(parser->image, header->p_vaddr, header->p_filesz))
		return refuse_header(parser,
		                     "p_vaddr + p_filesz of PT_TLS is outside of every segment");
	return 0;
}

static int parse_tls(struct parser *parser, const Elf64_Phdr *header)
{
	int result = check_tls(parser, header);

	if (result || header->p_memsz == 0)
		return result;
	parser->image->tls = (struct elf_image_tls){
		.address = header->p_vaddr,
		.file_size = header->p_filesz,
		.memory_size = header->p_memsz,
		.alignment = max_u64(header->p_align, 1),
	};
	return 0;
}

static int parse_stack(struct parser *parser, const Elf64_Phdr *header)
{
	parser->image->has_stack_flags = true;
	parser->image->stack_executable = header->p_flags & PF_X;
	return 0;
}

/*
 * lld pads the range to a whole page, which may be past the segment's end: the
 * image's bounds are what counts.
 */
static int parse_relro(struct parser *parser, const Elf64_Phdr *header)
{
	struct elf_image *image = parser->image;

	if (header->p_memsz == 0)
		return 0;
	if (header->p_vaddr < image->lowest ||
	    !range_within(header->p_vaddr, header->p_memsz, image->highest))
		return refuse_header(parser,
		                     "p_vaddr + p_memsz of PT_GNU_RELRO is outside of the image");
	image->relro.start = header->p_vaddr;
	image->relro.end = header->p_vaddr + header->p_memsz;
	return 0;
}

/* Only the symbol look-up needs it, so a broken one is found out, and ignored, there. */
static int parse_dynamic(struct parser *parser, const Elf64_Phdr *header)
{
	parser->dynamic = *header;
	return 0;
}

/* One row for each type that may appear once; all others are ignored, as gABI asks. */
static const struct unique_header {
	uint32_t type;
	int (*parse)(struct parser *parser, const Elf64_Phdr *header);
	const char *twice;
} unique_headers[] = {
	{PT_PHDR, parse_program_header_address, "a second PT_PHDR"},
	{PT_INTERP, parse_interpreter, "a second PT_INTERP"},
	{PT_TLS, parse_tls, "a second PT_TLS"},
	{PT_DYNAMIC, parse_dynamic, "a second PT_DYNAMIC"},
	{PT_GNU_STACK, parse_stack, "a second PT_GNU_STACK"},
	{PT_GNU_RELRO, parse_relro, "a second PT_GNU_RELRO"},
};

static int parse_unique_header(struct parser *parser, const Elf64_Phdr *header, uint32_t *seen)
{
	for (size_t i = 0; i < ARRAY_SIZE(unique_headers); i++) {
		if (unique_headers[i].type != header->p_type)
			continue;
		if (*seen & UINT32_C(1) << i)
			return refuse_header(parser, unique_headers[i].twice);
		*seen |= UINT32_C(1) << i;
		return unique_headers[i].parse(parser, header);
	}
	return 0;
}

/* Cannot fail to read: check_program_header_table() has bounded the table. */
static void read_program_header(const struct parser *parser, Elf64_Phdr *out)
{
	memcpy(out, parser->image->bytes + parser->file.e_phoff + parser->index * sizeof(*out),
	       sizeof(*out));
}

/* PT_PHDR and PT_INTERP come before the PT_LOAD they are checked against, hence the two passes. */
static int parse_program_headers(struct parser *parser)
{
	uint32_t seen = 0;
	Elf64_Phdr header;
	int result = 0;

	for (parser->index = 0; !result && parser->index < parser->file.e_phnum; parser->index++) {
		read_program_header(parser, &header);
		if (header.p_type == PT_LOAD)
			result = parse_load(parser, &header);
	}
	if (!result && parser->image->segment_count == 0)
		return refuse(parser->error, "program headers: no PT_LOAD that occupies memory");
	for (parser->index = 0; !result && parser->index < parser->file.e_phnum; parser->index++) {
		read_program_header(parser, &header);
		result = parse_unique_header(parser, &header, &seen);
	}
	return result;
}

/*
 * Without PT_PHDR, as Linux does it: where the segment that holds all of e_phoff's
 * table puts it.
 */
static void locate_program_headers(struct elf_image *image, const Elf64_Ehdr *file)
{
	uint64_t length = file->e_phnum * sizeof(Elf64_Phdr);

	for (unsigned int i = 0; i < image->segment_count && image->program_headers == 0; i++) {
		const struct elf_image_segment *segment = &image->segments[i];

		if (file->e_phoff >= segment->file_offset &&
		    range_within(file->e_phoff - segment->file_offset, length, segment->file_size))
			image->program_headers = segment->address +
			                         (file->e_phoff - segment->file_offset);
	}
}

/*
 * gABI: e_entry 0 says that there is none. That is well for a shared object, not
 * for what is to be run.
 */
static int check_entry(const struct parser *parser)
{
	struct elf_image *image = parser->image;
	const struct elf_image_segment *segment;

	if (image->entry == 0 && image->type == ET_DYN && !image->interpreter)
		return 0;
	segment = segment_holding(image, image->entry, 1);
	if (!segment || !segment->executable)
		return refuse(parser->error,
		              "file header: e_entry is outside of every executable segment");
	image->has_entry = true;
	image->static_pie = image->type == ET_DYN && !image->interpreter;
	return 0;
}

/*
 * Symbol tables: gABI chapter 4, "Symbol Table" and "Sections"; chapter 5,
 * "Dynamic Section" and "Hash Table".
 */

/* gABI: a string table ends in a NUL. So then does every name that starts inside it. */
static bool symbol_table_is_sound(const struct elf_image *image,
                                  const struct elf_image_symbol_table *table)
{
	uint64_t length;

	return table->strings_size != 0 &&
	       range_within(table->strings_offset, table->strings_size, image->size) &&
	       image->bytes[table->strings_offset + table->strings_size - 1] == '\0' &&
	       checked_mul(table->count, sizeof(Elf64_Sym), &length) &&
	       range_within(table->offset, length, image->size);
}

static bool read_section(const struct elf_image *image, const Elf64_Ehdr *file, uint64_t index,
                         Elf64_Shdr *out)
{
	uint64_t offset;

	return checked_mul(index, sizeof(*out), &offset) &&
	       checked_add(file->e_shoff, offset, &offset) &&
	       read_at(image, offset, out, sizeof(*out));
}

/*
 * 0 when there are none or the table is broken. From 0xff00 on the number is in
 * section 0 (gABI, e_shnum).
 */
static uint64_t section_count(const struct elf_image *image, const Elf64_Ehdr *file)
{
	uint64_t count = file->e_shnum;
	Elf64_Shdr section;

	if (file->e_shoff == 0 || file->e_shentsize != sizeof(section))
		return 0;
	if (count == 0 && read_section(image, file, 0, &section))
		count = section.sh_size;
	if (count == 0 || !read_section(image, file, count - 1, &section))
		return 0;
	return count;
}

static void add_section_table(struct elf_image *image, const Elf64_Ehdr *file,
                              const Elf64_Shdr *symbols, struct elf_image_symbol_table *out)
{
	struct elf_image_symbol_table table;
	Elf64_Shdr strings;

	if (out->count != 0 || symbols->sh_entsize != sizeof(Elf64_Sym))
		return;
	if (!read_section(image, file, symbols->sh_link, &strings) || strings.sh_type != SHT_STRTAB)
		return;
	table = (struct elf_image_symbol_table){
		.offset = symbols->sh_offset,
		.count = symbols->sh_size / sizeof(Elf64_Sym),
		.strings_offset = strings.sh_offset,
		.strings_size = strings.sh_size,
	};
	if (symbol_table_is_sound(image, &table))
		*out = table;
}

static void find_tables_by_sections(struct elf_image *image, const Elf64_Ehdr *file)
{
	uint64_t count = section_count(image, file);
	Elf64_Shdr section;

	for (uint64_t i = 0; i < count; i++) {
		if (!read_section(image, file, i, &section))
			return;
		if (section.sh_type == SHT_SYMTAB)
			add_section_table(image, file, &section,
			                  &image->symbol_tables[ELF_IMAGE_SYMTAB]);
		if (section.sh_type == SHT_DYNSYM)
			add_section_table(image, file, &section,
			                  &image->symbol_tables[ELF_IMAGE_DYNSYM]);
	}
}

/*
 * A place in the file that a DT_ address stands for, and the bytes from there to
 * the end of its segment's.
 */
struct file_range {
	uint64_t offset;
	uint64_t length;
};

static bool file_range_at(const struct elf_image *image, uint64_t address, struct file_range *out)
{
	const struct elf_image_segment *segment = segment_holding(image, address, 1);
	uint64_t skipped;

	if (!segment)
		return false;
	skipped = address - segment->address;
	if (skipped >= segment->file_size)
		return false;
	out->offset = segment->file_offset + skipped;
	out->length = segment->file_size - skipped;
	return true;
}

static bool read_word(const struct elf_image *image, const struct file_range *range, uint64_t index,
                      uint32_t *out)
{
	uint64_t offset;

	if (!checked_mul(index, sizeof(*out), &offset) ||
	    !range_within(offset, sizeof(*out), range->length))
		return false;
	return read_at(image, range->offset + offset, out, sizeof(*out));
}

/* DT_HASH: nbucket, nchain, ...; nchain is the number of symbols. */
static bool hash_symbol_count(const struct elf_image *image, uint64_t address, uint64_t *count)
{
	struct file_range hash;
	uint32_t chains;

	if (!file_range_at(image, address, &hash) || !read_word(image, &hash, 1, &chains))
		return false;
	*count = chains;
	return true;
}

/*
 * DT_GNU_HASH: nbuckets, symoffset, bloom_size, bloom_shift, bloom[bloom_size]
 * of 64 bits, buckets[nbuckets], then a chain word for each symbol from
 * symoffset on; a bucket holds its first symbol, and the word of its last has
 * bit 0 set. The table does not say how many symbols there are: the highest
 * bucket's chain ends with the last. That chain is walked upwards only, so no
 * file makes it longer than itself.
 */
struct gnu_hash {
	struct file_range range;
	uint32_t bucket_count;
	uint32_t first_symbol;
	uint64_t buckets; /* in words from the start of the range */
	uint64_t chains;
};

static bool read_gnu_hash(const struct elf_image *image, uint64_t address, struct gnu_hash *out)
{
	uint32_t bloom_count;

	if (!file_range_at(image, address, &out->range) ||
	    !read_word(image, &out->range, 0, &out->bucket_count) ||
	    !read_word(image, &out->range, 1, &out->first_symbol) ||
	    !read_word(image, &out->range, 2, &bloom_count))
		return false;
	/* The sums of 32-bit numbers fit. */
	out->buckets = 4 + 2 * (uint64_t)bloom_count;
	out->chains = out->buckets + out->bucket_count;
	return true;
}

static bool gnu_hash_last_bucket(const struct elf_image *image, const struct gnu_hash *hash,
                                 uint32_t *last)
{
	uint32_t symbol;

	*last = 0;
	for (uint64_t i = 0; i < hash->bucket_count; i++) {
		if (!read_word(image, &hash->range, hash->buckets + i, &symbol))
			return false;
		if (symbol > *last)
			*last = symbol;
	}
	return true;
}

static bool gnu_hash_symbol_count(const struct elf_image *image, uint64_t address, uint64_t *count)
{
	struct gnu_hash hash;
	uint32_t last, word;

	if (!read_gnu_hash(image, address, &hash) || !gnu_hash_last_bucket(image, &hash, &last))
		return false;
	/* All buckets are empty: every symbol there is precedes the hashed ones. */
	*count = hash.first_symbol;
	if (last == 0)
		return true;
	if (last < hash.first_symbol)
		return false;
	*count = last;
	do {
		if (!read_word(image, &hash.range, hash.chains + (*count - hash.first_symbol), &word))
			return false;
		++*count;
	} while (!(word & 1));
	return true;
}

struct dynamic {
	uint64_t symbols, symbol_size, strings, strings_size, hash, gnu_hash;
};

static void read_dynamic_entry(struct dynamic *dynamic, const Elf64_Dyn *entry)
{
	switch (entry->d_tag) {
	case DT_SYMTAB:
		dynamic->symbols = entry->d_un.d_ptr;
		break;
	case DT_SYMENT:
		dynamic->symbol_size = entry->d_un.d_val;
		break;
	case DT_STRTAB:
		dynamic->strings = entry->d_un.d_ptr;
		break;
	case DT_STRSZ:
		dynamic->strings_size = entry->d_un.d_val;
		break;
	case DT_HASH:
		dynamic->hash = entry->d_un.d_ptr;
		break;
	case DT_GNU_HASH:
		dynamic->gnu_hash = entry->d_un.d_ptr;
		break;
	default:
		break;
	}
}

/* All that is missing stays 0: no address of a table, as the file header is mapped there. */
static struct dynamic read_dynamic(const struct elf_image *image, const Elf64_Phdr *header)
{
	struct dynamic dynamic = {.symbol_size = sizeof(Elf64_Sym)};
	Elf64_Dyn entry;

	if (!range_within(header->p_offset, header->p_filesz, image->size))
		return dynamic;
	for (uint64_t i = 0; i < header->p_filesz / sizeof(entry); i++) {
		memcpy(&entry, image->bytes + header->p_offset + i * sizeof(entry), sizeof(entry));
		if (entry.d_tag == DT_NULL)
			break;
		read_dynamic_entry(&dynamic, &entry);
	}
	return dynamic;
}

static bool dynamic_symbol_count(const struct elf_image *image, const struct dynamic *dynamic,
                                 uint64_t *count)
{
	if (dynamic->hash)
		return hash_symbol_count(image, dynamic->hash, count);
	return dynamic->gnu_hash && gnu_hash_symbol_count(image, dynamic->gnu_hash, count);
}

/* For files without section headers, such as sstrip leaves. */
static void find_table_by_dynamic(struct elf_image *image, const Elf64_Phdr *header)
{
	struct dynamic dynamic = read_dynamic(image, header);
	struct elf_image_symbol_table table;
	struct file_range symbols, strings;

	if (!dynamic.symbols || !dynamic.strings || dynamic.symbol_size != sizeof(Elf64_Sym))
		return;
	if (!file_range_at(image, dynamic.symbols, &symbols) ||
	    !file_range_at(image, dynamic.strings, &strings) ||
	    !dynamic_symbol_count(image, &dynamic, &table.count))
		return;
	table.offset = symbols.offset;
	table.strings_offset = strings.offset;
	table.strings_size = dynamic.strings_size;
	if (dynamic.strings_size <= strings.length &&
	    table.count <= symbols.length / sizeof(Elf64_Sym) && symbol_table_is_sound(image, &table))
		image->symbol_tables[ELF_IMAGE_DYNSYM] = table;
}

static void find_symbol_tables(const struct parser *parser)
{
	find_tables_by_sections(parser->image, &parser->file);
	if (parser->image->symbol_tables[ELF_IMAGE_DYNSYM].count == 0)
		find_table_by_dynamic(parser->image, &parser->dynamic);
}

int elf_image_parse(struct elf_image *image, const void *bytes, size_t size,
                    struct elf_image_error *error)
{
	struct parser parser = {.image = image, .error = error};
	int result;

	*image = (struct elf_image){.bytes = bytes, .size = size, .alignment = PAGE_SIZE};
	if (error)
		error->text[0] = '\0';
	result = parse_file_header(&parser);
	if (!result)
		result = parse_program_headers(&parser);
	if (!result)
		result = check_entry(&parser);
	if (result) {
		memset(image, 0, sizeof(*image));
		return result;
	}
	locate_program_headers(image, &parser.file);
	find_symbol_tables(&parser);
	return 0;
}

/* Look-ups. */

enum symbol_rank {
	RANK_UNUSABLE,
	RANK_LOCAL,
	RANK_WEAK,
	RANK_GLOBAL,
};

struct symbol {
	const char *name;
	uint64_t address;
	uint64_t size;
	unsigned int type;
	enum symbol_rank rank;
};

static enum symbol_rank symbol_rank(const Elf64_Sym *symbol)
{
	switch (ELF64_ST_BIND(symbol->st_info)) {
	case STB_LOCAL:
		return RANK_LOCAL;
	case STB_WEAK:
		return RANK_WEAK;
	case STB_GLOBAL:
	case STB_GNU_UNIQUE:
		return RANK_GLOBAL;
	default:
		return RANK_UNUSABLE;
	}
}

/* Of the reserved indices only SHN_XINDEX stands for a section, one whose number did not fit. */
static bool symbol_is_defined(const Elf64_Sym *symbol)
{
	return symbol->st_shndx != SHN_UNDEF &&
	       (symbol->st_shndx < SHN_LORESERVE || symbol->st_shndx == SHN_XINDEX);
}

/* Whether the symbol has a name and stands for a place in the image. */
static bool read_symbol(const struct elf_image *image, const struct elf_image_symbol_table *table,
                        uint64_t index, struct symbol *out)
{
	Elf64_Sym symbol;

	memcpy(&symbol, image->bytes + table->offset + index * sizeof(symbol), sizeof(symbol));
	*out = (struct symbol){
		.address = symbol.st_value,
		.size = symbol.st_size,
		.type = ELF64_ST_TYPE(symbol.st_info),
		.rank = symbol_rank(&symbol),
	};
	if (!symbol_is_defined(&symbol) || symbol.st_name >= table->strings_size ||
	    out->rank == RANK_UNUSABLE)
		return false;
	out->name = (const char *)image->bytes + table->strings_offset + symbol.st_name;
	return out->name[0] != '\0' && out->address >= image->lowest &&
	       range_within(out->address, out->size, image->highest);
}

static bool symbol_has_name(const struct symbol *symbol, const char *name)
{
	return (symbol->type == STT_FUNC || symbol->type == STT_OBJECT || symbol->type == STT_NOTYPE) &&
	       strcmp(symbol->name, name) == 0;
}

static void find_in_table(const struct elf_image *image, const struct elf_image_symbol_table *table,
                          const char *name, struct symbol *best)
{
	struct symbol symbol;

	/* To the dynamic linker too weak is as good as global (man 8 ld.so, LD_DYNAMIC_WEAK). */
	for (uint64_t i = 0; i < table->count && best->rank <= RANK_LOCAL; i++)
		if (read_symbol(image, table, i, &symbol) && symbol.rank > best->rank &&
		    symbol_has_name(&symbol, name))
			*best = symbol;
}

int elf_image_symbol(const struct elf_image *image, const char *name, uint64_t *address,
                     uint64_t *size)
{
	struct symbol best = {.rank = RANK_UNUSABLE};

	for (size_t i = 0; i < ARRAY_SIZE(image->symbol_tables); i++)
		find_in_table(image, &image->symbol_tables[i], name, &best);
	if (best.rank == RANK_UNUSABLE)
		return -ENOENT;
	*address = best.address;
	if (size)
		*size = best.size;
	return 0;
}

static bool covers(const struct symbol *symbol, uint64_t address)
{
	return address >= symbol->address && address - symbol->address < symbol->size;
}

/* segment holds address. */
static bool may_name(const struct symbol *symbol, const struct elf_image_segment *segment,
                     uint64_t address)
{
	if (symbol->type != STT_FUNC && symbol->type != STT_GNU_IFUNC)
		return false;
	if (symbol->size != 0)
		return covers(symbol, address);
	return symbol->address >= segment->address && symbol->address <= address;
}

/* Both may name the address, so one with a size covers it. */
static bool names_better(const struct symbol *symbol, const struct symbol *best)
{
	if (best->rank == RANK_UNUSABLE)
		return true;
	if ((symbol->size != 0) != (best->size != 0))
		return symbol->size != 0;
	if (symbol->address != best->address)
		return symbol->address > best->address;
	return symbol->rank > best->rank;
}

static void name_from_table(const struct elf_image *image, const struct elf_image_symbol_table *table,
                            const struct elf_image_segment *segment, uint64_t address,
                            struct symbol *best)
{
	struct symbol symbol;

	for (uint64_t i = 0; i < table->count; i++)
		if (read_symbol(image, table, i, &symbol) && may_name(&symbol, segment, address) &&
		    names_better(&symbol, best))
			*best = symbol;
}

int elf_image_symbol_at(const struct elf_image *image, uint64_t address, const char **name,
                        uint64_t *offset)
{
	const struct elf_image_segment *segment = segment_holding(image, address, 1);
	struct symbol best = {.rank = RANK_UNUSABLE};

	if (!segment)
		return -ENOENT;
	for (size_t i = 0; i < ARRAY_SIZE(image->symbol_tables); i++)
		name_from_table(image, &image->symbol_tables[i], segment, address, &best);
	if (best.rank == RANK_UNUSABLE)
		return -ENOENT;
	*name = best.name;
	*offset = address - best.address;
	return 0;
}
