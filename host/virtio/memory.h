/* host/virtio/memory.h - a guest's physical memory, as far as its VMM shares it with us
 *
 * A table of at most GUEST_MEMORY_REGIONS mapped regions. Addresses come from the guest and mean
 * nothing until one of the functions below has checked them; pointers they return are valid until
 * guest_memory_clear().
 *
 * Ownership  guest_memory_add() maps and leaves the descriptor to the caller.
 */
#ifndef HOST_VIRTIO_MEMORY_H
#define HOST_VIRTIO_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define GUEST_MEMORY_REGIONS 8u

struct guest_region {
	uint64_t gpa;  /* guest-physical address: what descriptors name */
	uint64_t user; /* the VMM's own address: what ring addresses are given in */
	uint64_t size;
	uint8_t *host; /* where it begins here */
	void *map;     /* what munmap() wants; NULL: not ours to unmap (tests) */
	size_t map_bytes;
};

struct guest_memory { /* zero-initialised: empty */
	struct guest_region regions[GUEST_MEMORY_REGIONS];
	unsigned n;
};

/* Maps @size bytes at @offset of @fd. -EINVAL for empty, wrapping, overlapping or short regions,
 * -ENOSPC for too many, -errno. */
int guest_memory_add(struct guest_memory *m, uint64_t gpa, uint64_t user, uint64_t size,
		     uint64_t offset, int fd);
void guest_memory_clear(struct guest_memory *m);

/* @len bytes at a VMM address within one region, or NULL. */
void *guest_user_ptr(const struct guest_memory *m, uint64_t user, uint64_t len);
/* The same for a guest-physical address. */
void *guest_ptr(const struct guest_memory *m, uint64_t gpa, uint64_t len);

/* Appends to iov[n..max) what covers @len bytes at @gpa, across adjacent regions if need be.
 * Returns the new count, -EFAULT when a byte is outside the memory, -E2BIG when @max is reached. */
int guest_iov(const struct guest_memory *m, uint64_t gpa, uint64_t len, struct iovec *iov,
	      unsigned n, unsigned max);

#endif
