/* SPDX-License-Identifier: MIT */
/*
 * Sparse arrays that share their parts: trees of nodes with sixteen children,
 * as high as the largest index needs. Sixteen, not more: a change copies a node
 * of each level, and takes a reference of each of its children.
 */
#include "sparse.h"

#include <errno.h>
#include <stdlib.h>

#define NODE_BITS 4u
#define NODE_CHILDREN (1u << NODE_BITS)
#define HEIGHT_MAXIMUM (64 / NODE_BITS)

struct node {
	struct shared shared;
	unsigned used; /* children that are there */
	struct shared *child[NODE_CHILDREN];
};

_Static_assert(sizeof(struct node) + 16 <= SPARSE_NODE_COST, "what a node costs");

void shared_init(struct shared *shared)
{
	atomic_init(&shared->references, 1);
}

void shared_reference(struct shared *shared)
{
	atomic_fetch_add_explicit(&shared->references, 1, memory_order_relaxed);
}

bool shared_drop(struct shared *shared)
{
	return atomic_fetch_sub_explicit(&shared->references, 1, memory_order_acq_rel) == 1;
}

bool shared_is_own(const struct shared *shared)
{
	return atomic_load_explicit(&shared->references, memory_order_acquire) == 1;
}

static struct node *as_node(struct shared *shared)
{
	return (struct node *)(void *)shared;
}

static unsigned digit(uint64_t index, unsigned level)
{
	return (unsigned)(index >> (NODE_BITS * (level - 1))) % NODE_CHILDREN;
}

/* Whether the index lies within what a tree of this height has room for. */
static bool covers(unsigned height, uint64_t index)
{
	return height >= HEIGHT_MAXIMUM || index >> (NODE_BITS * height) == 0;
}

void sparse_init(struct sparse *array, void (*destroy)(struct shared *item))
{
	*array = (struct sparse){.destroy = destroy};
}

struct sparse sparse_share(const struct sparse *array)
{
	if (array->root != NULL)
		shared_reference(array->root);
	return *array;
}

/* Calls itself for each level, of which there are HEIGHT_MAXIMUM at most. */
static void release(const struct sparse *array, struct shared *object, unsigned level)
{
	if (object == NULL || !shared_drop(object))
		return;
	if (level == 0) {
		array->destroy(object);
		return;
	}
	for (unsigned i = 0; i < NODE_CHILDREN; i++)
		release(array, as_node(object)->child[i], level - 1);
	free(object);
}

void sparse_release(struct sparse *array)
{
	release(array, array->root, array->height);
	sparse_init(array, array->destroy);
}

struct shared *sparse_get(const struct sparse *array, uint64_t index)
{
	struct shared *object = array->root;

	if (!covers(array->height, index))
		return NULL;
	for (unsigned level = array->height; level > 0 && object != NULL; level--)
		object = as_node(object)->child[digit(index, level)];
	return object;
}

/*
 * Goes down to the first item from *index on within the tree. False: there is
 * none beneath the node that it came to, and *index is the first one behind it.
 */
static bool descend(const struct sparse *array, uint64_t *index)
{
	struct shared *object = array->root;

	for (unsigned level = array->height; level > 0; level--) {
		unsigned shift = NODE_BITS * (level - 1), slot = digit(*index, level);

		while (slot < NODE_CHILDREN && as_node(object)->child[slot] == NULL) {
			*index = ((*index >> shift) + 1) << shift;
			slot++;
		}
		if (slot == NODE_CHILDREN)
			return false;
		object = as_node(object)->child[slot];
	}
	return true;
}

bool sparse_next(const struct sparse *array, uint64_t *index)
{
	uint64_t at = *index, before = at;

	while (array->root != NULL && covers(array->height, at) && at >= before) {
		before = at;
		if (descend(array, &at)) {
			*index = at;
			return true;
		}
	}
	return false;
}

/*
 * Changing.
 */

static struct node *create_node(void)
{
	struct node *node = calloc(1, sizeof(*node));

	if (node != NULL)
		shared_init(&node->shared);
	return node;
}

static struct node *copy_node(struct node *from)
{
	struct node *node = create_node();

	if (node == NULL)
		return NULL;
	node->used = from->used;
	for (unsigned i = 0; i < NODE_CHILDREN; i++) {
		node->child[i] = from->child[i];
		if (node->child[i] != NULL)
			shared_reference(node->child[i]);
	}
	return node;
}

/* Makes the tree so high that it covers the index. */
static int grow(struct sparse *array, uint64_t index)
{
	while (!covers(array->height, index)) {
		struct node *node;

		if (array->root != NULL) {
			node = create_node();
			if (node == NULL)
				return -ENOMEM;
			node->child[0] = array->root;
			node->used = 1;
			array->root = &node->shared;
			array->nodes++;
		}
		array->height++;
	}
	return 0;
}

/*
 * Makes the node that *link refers to, or is to refer to, the array's own; the
 * node with the link, NULL for the root's, is its own already.
 */
static int make_own(struct sparse *array, struct shared **link, struct node *parent, unsigned level)
{
	struct shared *old = *link;
	struct node *node;

	if (old != NULL && shared_is_own(old))
		return 0;
	node = old != NULL ? copy_node(as_node(old)) : create_node();
	if (node == NULL)
		return -ENOMEM;
	*link = &node->shared;
	/* The others that have it may be letting go just now. */
	release(array, old, level);
	if (old == NULL) {
		array->nodes++;
		if (parent != NULL)
			parent->used++;
	}
	return 0;
}

/* The nodes on the way to an index; that of level n is node[n - 1]. */
struct way {
	struct node *node[HEIGHT_MAXIMUM];
};

/* Makes all nodes to where an item stands, or will, the array's own. */
static int walk(struct sparse *array, uint64_t index, struct way *way, struct shared ***slot)
{
	int error = grow(array, index);

	*slot = &array->root;
	for (unsigned level = array->height; level > 0 && error == 0; level--) {
		struct node *parent = level < array->height ? way->node[level] : NULL;

		error = make_own(array, *slot, parent, level);
		if (error != 0)
			break;
		way->node[level - 1] = as_node(**slot);
		*slot = &way->node[level - 1]->child[digit(index, level)];
	}
	return error;
}

int sparse_reach(struct sparse *array, uint64_t index, struct shared ***slot)
{
	struct way way;

	return walk(array, index, &way, slot);
}

int sparse_set(struct sparse *array, uint64_t index, struct shared *item)
{
	struct shared **slot;
	struct way way;
	int error = walk(array, index, &way, &slot);

	if (error != 0)
		return error;
	if (*slot == NULL && array->height > 0)
		way.node[0]->used++;
	release(array, *slot, 0);
	*slot = item;
	return 0;
}

/* The root is the array's own, or an item. */
static void lower(struct sparse *array)
{
	while (array->height > 0 && array->root != NULL) {
		struct node *node = as_node(array->root);

		if (node->used > 1 || node->child[0] == NULL || !shared_is_own(array->root))
			return;
		array->root = node->child[0];
		array->height--;
		array->nodes--;
		free(node);
	}
	if (array->root == NULL)
		array->height = 0;
}

/* Frees the nodes that hold nothing any more, from the lowest up. */
static void prune(struct sparse *array, uint64_t index, const struct way *way)
{
	for (unsigned level = 1; level <= array->height; level++) {
		if (--way->node[level - 1]->used > 0)
			break;
		free(way->node[level - 1]);
		array->nodes--;
		if (level == array->height)
			array->root = NULL;
		else
			way->node[level]->child[digit(index, level + 1)] = NULL;
	}
	lower(array);
}

int sparse_remove(struct sparse *array, uint64_t index)
{
	struct shared **slot;
	struct way way;
	int error;

	if (sparse_get(array, index) == NULL)
		return 0;
	error = walk(array, index, &way, &slot);
	if (error != 0)
		return error;
	release(array, *slot, 0);
	*slot = NULL;
	prune(array, index, &way);
	return 0;
}
