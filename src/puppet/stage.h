#pragma once
/*
 * What all puppets of a restore stand on: one range of addresses that is free in every address space of
 * the checkpoint, the same in each puppet ("keep"):
 *
 *	code	the restore executor, one page (memfd)
 *	stub	the program that the first puppet is born with, one page, gone afterwards
 *	vdso	this kernel's vvar and vdso, parked until the memory room puts them in place
 *	rings	one for each thread to come (memfd, shared by all and by us)
 */
#include "base/error.h"
#include "puppet/ring.h"

struct stage {
	raddr start, end; /* keep */
	raddr code, stub, vdso, rings;
	size_t ring_count;
	struct ring *ring; /* array, as we have it mapped */
	int code_fd, rings_fd, stub_fd; /* ours; close-on-exec */
	uint64_t vvar_size, vdso_size; /* of the running kernel */
};

#define STAGE_INIT ((struct stage){.code_fd = -1, .rings_fd = -1, .stub_fd = -1})

/* How many bytes of address space a stage for this many threads needs. */
uint64_t stage_size(size_t ring_count);
/* Sets everything up at `start`. */
int stage_create(struct stage *stage, raddr start, size_t ring_count, struct error *err);
/* Writes the stub's program with these numbers of the two memfds in the puppet. */
int stage_write_stub(struct stage *stage, int code_fd, int rings_fd, struct error *err);
void stage_destroy(struct stage *stage);
raddr stage_ring(const struct stage *stage, size_t index);
