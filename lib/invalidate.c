/* SPDX-License-Identifier: MIT */
/* Invalidation of translations; see invalidate.h. */
#include "invalidate.h"

#include "kvm.h"
#include "machine.h"
#include "memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define SHADOW_SLOT 0u
/* A guest physical page that nothing else uses: data begins at 4 GiB. */
#define SHADOW_SLOT_ADDRESS PAGE_SIZE

/* Table frames in quarantine that are worth a drop: 16 MiB. */
#define QUARANTINE_LIMIT 4096u

void invalidation_begin(struct invalidation *invalidation, struct machine *machine)
{
	invalidation->machine = machine;
	invalidation->count = 0;
}

void invalidation_note(struct invalidation *invalidation, gpa_t frame, bool shared)
{
	uint32_t count = invalidation->count;

	if (count < INVALIDATION_FRAMES) {
		invalidation->changed[count].frame = frame;
		invalidation->changed[count].shared = shared;
	}
	if (count <= INVALIDATION_FRAMES)
		invalidation->count = count + 1;
}

/* Taking write permission from the host's mapping and giving it back: contents never change. */
static int drop_shared(uint8_t *page)
{
	if (mprotect(page, PAGE_SIZE, PROT_READ) < 0)
		return -errno;
	/* Merges what the first call split, so it cannot run out of anything; it would be
	 * harmless, too: nobody writes to a frame that is shared. */
	return mprotect(page, PAGE_SIZE, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
}

/* Nobody else uses the frame, so its page can go and come back. */
static int drop_private(uint8_t *page)
{
	uint8_t contents[PAGE_SIZE];

	memcpy(contents, page, sizeof(contents));
	if (madvise(page, PAGE_SIZE, MADV_DONTNEED) < 0)
		return -errno;
	memcpy(page, contents, sizeof(contents));
	return 0;
}

int invalidation_finish(struct invalidation *invalidation)
{
	struct machine *machine = invalidation->machine;
	int result = 0;

	if (!machine->host->shadow_paging || invalidation->count == 0)
		return 0;
	if (invalidation->count > INVALIDATION_FRAMES)
		return invalidate_everything(machine);
	for (uint32_t i = 0; i < invalidation->count && result == 0; i++) {
		uint8_t *page = memory_data(&machine->memory, invalidation->changed[i].frame);

		result = invalidation->changed[i].shared ? drop_shared(page) : drop_private(page);
		machine->statistics.frame_drops++;
	}
	return result < 0 ? invalidate_everything(machine) : 0;
}

int invalidate_everything(struct machine *machine)
{
	uint32_t waiting;
	int result;

	if (!machine->host->shadow_paging)
		return 0;
	pthread_mutex_lock(&machine->drop_lock);
	waiting = memory_quarantined(&machine->memory);
	result = kvm_memory_slot(machine->vm, SHADOW_SLOT, SHADOW_SLOT_ADDRESS, PAGE_SIZE,
	                         machine->vcpu_pages);
	if (result == 0)
		result = kvm_memory_slot(machine->vm, SHADOW_SLOT, SHADOW_SLOT_ADDRESS, 0,
		                         machine->vcpu_pages);
	if (result == 0) {
		memory_quarantine_release(&machine->memory, waiting);
		machine->statistics.shadow_drops++;
	}
	pthread_mutex_unlock(&machine->drop_lock);
	return result;
}

void invalidate_when_due(struct machine *machine)
{
	/* Nothing is lost when it fails: they go on waiting. */
	if (memory_quarantined(&machine->memory) >= QUARANTINE_LIMIT)
		invalidate_everything(machine);
}
