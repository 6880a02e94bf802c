/* SPDX-License-Identifier: MIT */
/*
 * Lending a machine's vCPUs to the threads that run guests; see machine.h.
 *
 * Who moves a vCPU's state to BUSY holds it. A thread's own idle one changes
 * hands by that alone, without the lock. Whoever waits announces it in
 * vcpu_wanted first and then looks at all states once more; whoever gives back
 * sets the state first and then looks at vcpu_wanted: one of them sees the other.
 *
 * The lock is held neither while a vCPU is made, destroyed or set up for a
 * thread, nor while a state is saved.
 */
#include "machine.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A call in a queue, on its thread's stack. */
struct vcpu_waiter {
	struct vcpu_queue *queue;
	struct vcpu_waiter *next, *previous;
	pthread_cond_t served;
	struct vcpu *vcpu; /* what it got, and holds; the slot of one to be made, too */
	bool made_only;    /* it has failed to make one */
};

/*
 * The vCPU that this thread used last, by machine. Its memory is there as long
 * as the machine, whose identity no other machine gets.
 */
struct own_vcpu {
	uint64_t machine;
	struct vcpu *vcpu;
};

static struct own_vcpu *own_vcpu(const struct machine *machine)
{
	static _Thread_local struct own_vcpu remembered[16];

	return &remembered[machine->identity % (sizeof(remembered) / sizeof(remembered[0]))];
}

static bool claim(struct vcpu *vcpu, enum vcpu_state from)
{
	uint32_t state = from;

	return vcpu->state == from && atomic_compare_exchange_strong(&vcpu->state, &state, VCPU_BUSY);
}

/* Queues. All of these hold the lock. */

static void enqueue(struct machine *machine, struct vcpu_waiter *waiter, bool first)
{
	struct vcpu_queue *queue = waiter->queue;

	waiter->previous = first ? NULL : queue->last;
	waiter->next = first ? queue->first : NULL;
	if (waiter->previous != NULL)
		waiter->previous->next = waiter;
	else
		queue->first = waiter;
	if (waiter->next != NULL)
		waiter->next->previous = waiter;
	else
		queue->last = waiter;
	machine->vcpu_waiting++;
	machine->vcpu_wanted++;
}

static void dequeue(struct machine *machine, struct vcpu_waiter *waiter)
{
	struct vcpu_queue *queue = waiter->queue;

	if (waiter->previous != NULL)
		waiter->previous->next = waiter->next;
	else
		queue->first = waiter->next;
	if (waiter->next != NULL)
		waiter->next->previous = waiter->previous;
	else
		queue->last = waiter->previous;
	machine->vcpu_waiting--;
	machine->vcpu_wanted--;
}

/* An empty slot is of no use to those that failed to fill one, while others are filled. */
static struct vcpu_waiter *find_waiter(const struct machine *machine, const struct vcpu *vcpu)
{
	const struct vcpu_queue *const queues[] = {&machine->returning, &machine->arriving};
	bool for_all = vcpu->fd >= 0 || machine->vcpu_count == 0;

	for (size_t i = 0; i < 2; i++)
		for (struct vcpu_waiter *waiter = queues[i]->first; waiter != NULL;
		     waiter = waiter->next)
			if (for_all || !waiter->made_only)
				return waiter;
	return NULL;
}

/* Hands on a vCPU that the caller holds, or lets it be idle. */
static void hand_on(struct machine *machine, struct vcpu *vcpu)
{
	struct vcpu_waiter *waiter = find_waiter(machine, vcpu);

	if (waiter == NULL) {
		vcpu->state = vcpu->fd >= 0 ? VCPU_IDLE : VCPU_ABSENT;
		return;
	}
	dequeue(machine, waiter);
	waiter->vcpu = vcpu;
	pthread_cond_signal(&waiter->served);
}

static void hand_on_all(struct machine *machine)
{
	for (unsigned i = 0; i < machine->vcpu_limit && machine->vcpus[i] != NULL; i++)
		if (claim(machine->vcpus[i], VCPU_IDLE) || claim(machine->vcpus[i], VCPU_ABSENT))
			hand_on(machine, machine->vcpus[i]);
}

/* A cancelled thread would leave its waiter behind, and the lock. */
static int wait_uncancelled(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t deadline)
{
	const struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000u),
	                               .tv_nsec = (long)(deadline % 1000000000u)};
	int before, result;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	result = pthread_cond_timedwait(condition, lock, &until);
	pthread_setcancelstate(before, &before);
	return -result;
}

static int wait_in_queue(struct machine *machine, struct vcpu_waiter *waiter, uint64_t deadline)
{
	int result = 0;

	/* With such attributes it does not fail on Linux. */
	pthread_cond_init(&waiter->served, &machine->monotonic);
	/* Who failed to make one has had its turn. */
	enqueue(machine, waiter, waiter->made_only);
	hand_on_all(machine);
	while (waiter->vcpu == NULL && result != -ETIMEDOUT)
		result = wait_uncancelled(&waiter->served, &machine->lock, deadline);
	if (waiter->vcpu == NULL)
		dequeue(machine, waiter);
	pthread_cond_destroy(&waiter->served);
	return waiter->vcpu == NULL ? -ETIMEDOUT : 0;
}

/* Choosing. All of these hold the lock, and what they return is the caller's. */

static struct vcpu *claim_of_thread(struct machine *machine, uint64_t thread)
{
	for (unsigned i = 0; i < machine->vcpu_limit && machine->vcpus[i] != NULL; i++)
		if (machine->vcpus[i]->thread == thread && claim(machine->vcpus[i], VCPU_IDLE))
			return machine->vcpus[i];
	return NULL;
}

/* An id that another thread of the process has by now is no harm: it passes for alive. */
static bool thread_has_ended(int thread_id)
{
	return syscall(SYS_tgkill, getpid(), thread_id, 0) < 0 && errno == ESRCH;
}

static struct vcpu *claim_of_nobody(struct machine *machine)
{
	for (unsigned i = 0; i < machine->vcpu_limit && machine->vcpus[i] != NULL; i++) {
		struct vcpu *vcpu = machine->vcpus[i];

		if (vcpu->state == VCPU_IDLE &&
		    (vcpu->thread == 0 || thread_has_ended(vcpu->thread_id)) &&
		    claim(vcpu, VCPU_IDLE))
			return vcpu;
	}
	return NULL;
}

/* A place for one that is to be made. */
static struct vcpu *claim_slot(struct machine *machine)
{
	for (unsigned i = 0; i < machine->vcpu_limit; i++) {
		struct vcpu *vcpu = machine->vcpus[i];

		if (vcpu != NULL && claim(vcpu, VCPU_ABSENT))
			return vcpu;
		if (vcpu != NULL)
			continue;
		vcpu = malloc(sizeof(*vcpu));
		if (vcpu == NULL)
			return NULL;
		vcpu_init(vcpu, machine, i);
		vcpu->state = VCPU_BUSY;
		machine->vcpus[i] = vcpu;
		return vcpu;
	}
	return NULL;
}

/* Better one that nobody's state has to be saved from. */
static struct vcpu *claim_any(struct machine *machine)
{
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < machine->vcpu_limit && machine->vcpus[i] != NULL; i++)
			if ((pass > 0 || machine->vcpus[i]->resident == NULL) &&
			    claim(machine->vcpus[i], VCPU_IDLE))
				return machine->vcpus[i];
	return NULL;
}

static bool has_free_slot(const struct machine *machine)
{
	for (unsigned i = 0; i < machine->vcpu_limit; i++)
		if (machine->vcpus[i] == NULL || machine->vcpus[i]->state == VCPU_ABSENT)
			return true;
	return false;
}

static struct vcpu *choose(struct machine *machine, bool made_only)
{
	struct vcpu *vcpu = claim_of_thread(machine, machine_thread());

	if (vcpu == NULL && !made_only && has_free_slot(machine)) {
		vcpu = claim_of_nobody(machine);
		if (vcpu == NULL)
			vcpu = claim_slot(machine);
	}
	return vcpu != NULL ? vcpu : claim_any(machine);
}

/*
 * Until it is settled where a suspended context's state is: on a vCPU that is
 * the caller's now, or with the context (NULL). Who holds its vCPU saves the
 * state or gives the vCPU back, soon.
 */
static int settle(struct machine *machine, struct vcpu_context *context, uint64_t deadline,
                  struct vcpu **vcpu)
{
	int result = 0;

	*vcpu = NULL;
	machine->vcpu_wanted++;
	machine->settling++;
	while (context->home != NULL && *vcpu == NULL && result != -ETIMEDOUT) {
		if (claim(context->home, VCPU_IDLE))
			*vcpu = context->home;
		else
			result = wait_uncancelled(&machine->settled, &machine->lock, deadline);
	}
	machine->settling--;
	machine->vcpu_wanted--;
	return context->home != NULL && *vcpu == NULL ? -ETIMEDOUT : 0;
}

static int choose_or_wait(struct machine *machine, const struct vcpu_context *context,
                          bool made_only, uint64_t deadline, struct vcpu **vcpu)
{
	struct vcpu_queue *queue = context->suspended ? &machine->returning : &machine->arriving;
	struct vcpu_waiter waiter = {.queue = queue, .made_only = made_only};
	int result;

	if (machine->returning.first == NULL && queue->first == NULL)
		*vcpu = choose(machine, made_only);
	if (*vcpu != NULL)
		return 0;
	/* No memory for the first: there is none to wait for. */
	if (machine->vcpus[0] == NULL)
		return -ENOMEM;
	if (!context->suspended && !made_only && machine->vcpu_waiting >= machine->vcpu_queue_limit) {
		machine->statistics.vcpu_refusals++;
		return -EUSERS;
	}
	machine->statistics.vcpu_waits++;
	result = wait_in_queue(machine, &waiter, deadline);
	*vcpu = waiter.vcpu;
	return result;
}

/* From here on nobody holds the lock. */

/* The caller's no more. */
static void give_back(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->machine;
	enum vcpu_state state = vcpu->fd >= 0 ? VCPU_IDLE : VCPU_ABSENT;

	vcpu->state = state;
	if (machine->vcpu_wanted == 0)
		return;
	pthread_mutex_lock(&machine->lock);
	if (claim(vcpu, state))
		hand_on(machine, vcpu);
	if (machine->settling > 0)
		pthread_cond_broadcast(&machine->settled);
	pthread_mutex_unlock(&machine->lock);
}

/* The thread's own, with the state of a context that goes on; NULL: it takes more than that. */
static struct vcpu *claim_own(struct machine *machine, const struct vcpu_context *context)
{
	const struct own_vcpu *own = own_vcpu(machine);
	struct vcpu *vcpu = own->vcpu;

	if (machine->vcpu_wanted != 0 || own->machine != machine->identity ||
	    vcpu->thread != machine_thread() || !claim(vcpu, VCPU_IDLE))
		return NULL;
	if (vcpu->thread == machine_thread() && (!context->suspended || vcpu->resident == context))
		return vcpu;
	give_back(vcpu);
	return NULL;
}

static int borrow(struct machine *machine, struct vcpu_context *context, bool made_only,
                  uint64_t deadline, struct vcpu **vcpu)
{
	int result = 0;

	*vcpu = made_only ? NULL : claim_own(machine, context);
	if (*vcpu != NULL)
		return 0;
	pthread_mutex_lock(&machine->lock);
	if (context->suspended)
		result = settle(machine, context, deadline, vcpu);
	if (result == 0 && *vcpu == NULL)
		result = choose_or_wait(machine, context, made_only, deadline, vcpu);
	pthread_mutex_unlock(&machine->lock);
	return result;
}

static int make(struct vcpu *vcpu)
{
	int result = vcpu_create(vcpu);

	if (result == 0)
		vcpu->machine->vcpu_count++;
	return result;
}

/* One that has been made. */
static int borrow_made(struct machine *machine, struct vcpu_context *context, uint64_t deadline,
                       struct vcpu **vcpu)
{
	bool made_only = false;

	for (;;) {
		int result = borrow(machine, context, made_only, deadline, vcpu);

		if (result < 0 || (*vcpu)->fd >= 0)
			return result;
		result = make(*vcpu);
		if (result == 0)
			return 0;
		give_back(*vcpu);
		/* One that cannot be made is no reason to fail while another can be had. */
		if (machine->vcpu_count == 0)
			return result;
		made_only = true;
	}
}

/* Saves whatever suspended context has its state there: with the context, for another vCPU. */
static int evict(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->machine;
	struct vcpu_context *context;
	int result = 0;

	pthread_mutex_lock(&machine->lock);
	context = vcpu->resident;
	if (context != NULL) {
		context->evicting = true;
		pthread_mutex_unlock(&machine->lock);
		result = vcpu_save(vcpu, context);
		pthread_mutex_lock(&machine->lock);
		context->evicting = false;
		if (result == 0) {
			context->state_saved = true;
			context->home = NULL;
			vcpu->resident = NULL;
		}
		if (machine->settling > 0)
			pthread_cond_broadcast(&machine->settled);
	}
	pthread_mutex_unlock(&machine->lock);
	return result;
}

/* Makes a vCPU that the caller holds the thread's own and the context's. */
static int take(struct vcpu *vcpu, struct vcpu_context *context)
{
	struct machine *machine = vcpu->machine;
	const uint64_t thread = machine_thread();
	int result = 0;

	if (vcpu->resident != NULL && vcpu->resident != context)
		result = evict(vcpu);
	if (result == 0 && vcpu->thread != thread) {
		if (vcpu->thread != 0)
			machine->statistics.migrations++;
		result = vcpu_adopt(vcpu, thread);
		*own_vcpu(machine) = (struct own_vcpu){machine->identity, vcpu};
	}
	if (result < 0)
		return result;
	vcpu->resident = NULL;
	context->home = NULL;
	context->suspended = false;
	return 0;
}

int machine_vcpu_acquire(struct machine *machine, struct vcpu_context *context, uint64_t deadline,
                         struct vcpu **vcpu)
{
	int result = borrow_made(machine, context, deadline, vcpu);

	if (result < 0)
		return result;
	result = take(*vcpu, context);
	if (result < 0)
		give_back(*vcpu);
	return result;
}

void machine_vcpu_release(struct vcpu *vcpu, struct vcpu_context *suspended)
{
	if (vcpu->broken) {
		/* It makes room for a new one. */
		vcpu_destroy(vcpu);
		vcpu->machine->vcpu_count--;
	} else if (suspended != NULL) {
		suspended->suspended = true;
		suspended->home = vcpu;
		vcpu->resident = suspended;
	}
	give_back(vcpu);
}

void machine_context_forget(struct machine *machine, struct vcpu_context *context)
{
	if (!context->suspended)
		return;
	pthread_mutex_lock(&machine->lock);
	machine->settling++;
	/* No deadline: the one who saves is about it. */
	while (context->evicting)
		wait_uncancelled(&machine->settled, &machine->lock, INT64_MAX);
	machine->settling--;
	if (context->home != NULL)
		context->home->resident = NULL;
	context->home = NULL;
	context->suspended = false;
	pthread_mutex_unlock(&machine->lock);
}
