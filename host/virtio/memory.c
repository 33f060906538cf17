/* host/virtio/memory.c - mapping a guest's memory and checking its addresses
 *
 * The file behind a region belongs to the VMM. A VMM that truncates it makes our next access a
 * SIGBUS, which ends this process and with it the VM's devices: the same as the VMM exiting.
 */
#include "virtio/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/util.h"

static bool overlaps(uint64_t a, uint64_t b, uint64_t a_size, uint64_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

static int check_region(const struct guest_memory *m, uint64_t gpa, uint64_t user, uint64_t size)
{
	uint64_t end;

	if (m->n == GUEST_MEMORY_REGIONS)
		return -ENOSPC;
	if (size == 0 || size > SIZE_MAX / 4 || __builtin_add_overflow(gpa, size, &end) ||
	    __builtin_add_overflow(user, size, &end))
		return -EINVAL;
	for (unsigned i = 0; i < m->n; i++) {
		const struct guest_region *r = &m->regions[i];

		if (overlaps(gpa, r->gpa, size, r->size) || overlaps(user, r->user, size, r->size))
			return -EINVAL;
	}
	return 0;
}

/* fstat() of the C library is newfstatat(), whose path argument no seccomp filter can check. */
static int file_bytes(int fd, uint64_t *ret)
{
	struct stat st;

	if (syscall(SYS_fstat, fd, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

int guest_memory_add(struct guest_memory *m, uint64_t gpa, uint64_t user, uint64_t size,
		     uint64_t offset, int fd)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), slack = offset % page, end, file = 0;
	struct guest_region *r = &m->regions[m->n];
	void *map;
	int e = check_region(m, gpa, user, size);

	if (e == 0)
		e = file_bytes(fd, &file);
	if (e < 0)
		return e;
	if (__builtin_add_overflow(offset, size, &end) || end > file)
		return -EINVAL;
	map = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		   (off_t)(offset - slack));
	if (map == MAP_FAILED)
		return -errno;
	*r = (struct guest_region) {
		.gpa = gpa,
		.user = user,
		.size = size,
		.host = (uint8_t *)map + slack,
		.map = map,
		.map_bytes = size + slack,
	};
	m->n++;
	return 0;
}

void guest_memory_clear(struct guest_memory *m)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->regions[i].map)
			munmap(m->regions[i].map, m->regions[i].map_bytes);
	*m = (struct guest_memory) { 0 };
}

void *guest_user_ptr(const struct guest_memory *m, uint64_t user, uint64_t len)
{
	for (const struct guest_region *r = m->regions; r < m->regions + m->n; r++)
		if (user >= r->user && user - r->user < r->size &&
		    len <= r->size - (user - r->user))
			return r->host + (user - r->user);
	return NULL;
}

static const struct guest_region *region_of(const struct guest_memory *m, uint64_t gpa)
{
	for (const struct guest_region *r = m->regions; r < m->regions + m->n; r++)
		if (gpa >= r->gpa && gpa - r->gpa < r->size)
			return r;
	return NULL;
}

void *guest_ptr(const struct guest_memory *m, uint64_t gpa, uint64_t len)
{
	const struct guest_region *r = region_of(m, gpa);

	return r && len <= r->size - (gpa - r->gpa) ? r->host + (gpa - r->gpa) : NULL;
}

int guest_iov(const struct guest_memory *m, uint64_t gpa, uint64_t len, struct iovec *iov,
	      unsigned n, unsigned max)
{
	while (len) {
		const struct guest_region *r = region_of(m, gpa);
		uint64_t part;

		if (!r)
			return -EFAULT;
		if (n == max)
			return -E2BIG;
		part = MIN(len, r->size - (gpa - r->gpa));
		iov[n++] = (struct iovec) { r->host + (gpa - r->gpa), part };
		len -= part;
		gpa += part;
	}
	return (int)n;
}
