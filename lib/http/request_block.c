/* SPDX-License-Identifier: MIT */
/* The layout of a request in guest memory; see request_block.h. */
#include "request_block.h"

#include "../util.h"
#include "fields.h"

#include <string.h>

#define WARM_UP_FLAG 1u

/* struct kvm_request_header. */
struct guest_field {
	uint64_t text;
	uint32_t colon;
	uint32_t length;
};
_Static_assert(sizeof(struct guest_field) == 16, "the guest's layout");

/* struct kvm_request. */
struct guest_request {
	uint64_t method, url, argument, content_type;
	uint16_t method_length, url_length, argument_length, content_type_length;
	uint64_t content, content_length;
	uint64_t fields;
	uint16_t field_count;
	uint16_t flags;
	uint32_t reserved;
	uint64_t random[2];
	uint64_t reserved_more[2];
};
_Static_assert(sizeof(struct guest_request) == REQUEST_BLOCK_HEAD, "the guest's layout");
_Static_assert(offsetof(struct guest_request, content) == 40, "the guest's layout");
_Static_assert(offsetof(struct guest_request, random) == 72, "the guest's layout");

/* Filled from its start: the head, the list of fields, the texts. */
struct writer {
	uint8_t *block;
	uint64_t address; /* of the block in the guest */
	uint64_t used;
};

uint64_t request_block_size(const struct request_parts *parts)
{
	uint64_t size = sizeof(struct guest_request) +
	                parts->field_count * sizeof(struct guest_field) + strlen(parts->method) +
	                strlen(parts->url) + strlen(parts->argument) + strlen(parts->content_type) +
	                4;

	for (size_t i = 0; i < parts->field_count; i++)
		size += parts->fields[i].length + 1;
	return size;
}

/* Returns the guest's address of a copy with a NUL behind it. */
static uint64_t add_text(struct writer *writer, const char *text, size_t length)
{
	uint64_t address = writer->address + writer->used;

	memcpy(writer->block + writer->used, text, length);
	writer->block[writer->used + length] = '\0';
	writer->used += length + 1;
	return address;
}

/* Lengths of texts are cut to 16 bits: so the guest API has it. */
static uint64_t add_string(struct writer *writer, const char *text, uint16_t *length)
{
	*length = (uint16_t)strlen(text);
	return add_text(writer, text, strlen(text));
}

static void add_fields(struct writer *writer, const struct request_parts *parts, uint8_t *list)
{
	for (size_t i = 0; i < parts->field_count; i++) {
		const struct kvmsb_http_field *field = &parts->fields[i];
		const struct guest_field entry = {
			.text = add_text(writer, field->text, field->length),
			.colon = (uint32_t)field_name_length(field->text, field->length),
			.length = (uint32_t)field->length,
		};

		memcpy(list + i * sizeof(entry), &entry, sizeof(entry));
	}
}

void request_block_fill(const struct request_parts *parts, uint64_t address, void *block)
{
	struct writer writer = {
		.block = block,
		.address = address,
		.used = sizeof(struct guest_request) + parts->field_count * sizeof(struct guest_field),
	};
	struct guest_request head = {
		.content = parts->content,
		.content_length = parts->content_length,
		.fields = parts->field_count > 0 ? address + sizeof(head) : 0,
		.field_count = (uint16_t)parts->field_count,
		.flags = parts->is_warm_up ? WARM_UP_FLAG : 0,
		.random = {parts->random[0], parts->random[1]},
	};

	head.method = add_string(&writer, parts->method, &head.method_length);
	head.url = add_string(&writer, parts->url, &head.url_length);
	head.argument = add_string(&writer, parts->argument, &head.argument_length);
	head.content_type = add_string(&writer, parts->content_type, &head.content_type_length);
	add_fields(&writer, parts, writer.block + sizeof(head));
	memcpy(block, &head, sizeof(head));
}
