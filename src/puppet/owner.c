#include "puppet/owner.h"

#include <linux/futex.h>
#include <sys/syscall.h>

/* The node lies in the ring itself, behind the words: the kernel finds the futex at a fixed offset. */
struct owner_node {
	struct robust_list list;
	struct owner_node *previous;
};

_Static_assert(sizeof(struct owner_node) <= sizeof(((struct ring *)NULL)->reserved), "room");

static struct robust_list_head head;
static size_t linked;

static struct owner_node *node_of(struct ring *ring)
{
	return (struct owner_node *)ring->reserved;
}

uint32_t owner_word(void)
{
	static uint32_t word;

	/* Asked for each visit; the thread that traces is always the same. */
	if (!word)
		word = (uint32_t)gettid() | FUTEX_WAITERS;
	return word;
}

int owner_link(struct ring *ring, struct error *err)
{
	struct owner_node *node = node_of(ring);

	if (!head.list.next) {
		head.list.next = &head.list;
		head.futex_offset =
			(long)offsetof(struct ring, owner) - (long)offsetof(struct ring, reserved);
		if (syscall(SYS_set_robust_list, &head, sizeof(head)) < 0)
			return error_set(err, errno, "registering the robust list");
	}
	if (linked >= OWNER_RINGS_MAX)
		return error_set(err, EMFILE, "more than %d tasks at a time", OWNER_RINGS_MAX);
	ring->owner = owner_word();
	node->previous = NULL;
	node->list.next = head.list.next;
	if (head.list.next != &head.list)
		((struct owner_node *)head.list.next)->previous = node;
	__atomic_store_n(&head.list.next, &node->list, __ATOMIC_SEQ_CST);
	linked++;
	return 0;
}

void owner_unlink(struct ring *ring)
{
	struct owner_node *node = node_of(ring);

	if (node->list.next != &head.list)
		((struct owner_node *)node->list.next)->previous = node->previous;
	if (node->previous)
		node->previous->list.next = node->list.next;
	else
		head.list.next = node->list.next;
	linked--;
}
