/* host/image/copy.c - a raw copy of an image that keeps its holes
 *
 * A file system that can share blocks between files does so (FICLONE). Otherwise data ranges are
 * copied by the kernel where it can, and by us where it cannot; a pipe gets zeros for holes.
 */
#include "image/image-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

#define COPY_BYTES (1u << 20)

struct copier {
	const struct image_export *job;
	uint8_t *buf;
	bool regular; /* the target: holes can stay holes */
	off_t base;   /* of the target */
	uint64_t size, data_total, done;
	bool by_hand; /* copy_file_range() does not work here */
	struct ticker ticker;
};

static int read_failed(struct copier *c, struct err *err)
{
	return err_errno(err, "cannot read '%s'", c->job->image_name);
}

static int write_out(struct copier *c, const void *bytes, size_t len, uint64_t at, struct err *err)
{
	size_t done = 0;
	int r;

	if (!c->regular) {
		r = write_all(c->job->target_fd, bytes, len);
		return r < 0 ? err_io(err, r, c->job->target_name) : 0;
	}
	while (done < len) {
		ssize_t n = pwrite(c->job->target_fd, (const uint8_t *)bytes + done, len - done,
				   c->base + (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_io(err, -errno, c->job->target_name);
		done += (size_t)n;
	}
	return 0;
}

static int copy_hole(struct copier *c, uint64_t from, uint64_t to, struct err *err)
{
	int r = 0;

	if (c->regular)
		return 0;
	memset(c->buf, 0, COPY_BYTES);
	for (; r == 0 && from < to; from += COPY_BYTES)
		r = write_out(c, c->buf, (size_t)MIN(to - from, (uint64_t)COPY_BYTES), from, err);
	return r;
}

/* Returns bytes copied by the kernel, 0 if it cannot. */
static ssize_t copy_in_kernel(struct copier *c, uint64_t at, uint64_t len)
{
	off_t in = (off_t)at, out = c->base + (off_t)at;
	ssize_t n;

	if (c->by_hand)
		return 0;
	n = copy_file_range(c->job->image_fd, &in, c->job->target_fd, c->regular ? &out : NULL,
			    (size_t)MIN(len, (uint64_t)64 << 20), 0);
	if (n <= 0 && errno != ENOSPC && errno != EDQUOT && errno != EFBIG) {
		c->by_hand = true;
		return 0;
	}
	return n;
}

static int copy_data(struct copier *c, uint64_t from, uint64_t to, struct err *err)
{
	while (from < to) {
		ssize_t n = copy_in_kernel(c, from, to - from);
		int r;

		if (n < 0)
			return err_io(err, -errno, c->job->target_name);
		if (n == 0) {
			n = pread(c->job->image_fd, c->buf,
				  (size_t)MIN(to - from, (uint64_t)COPY_BYTES), (off_t)from);
			if (n < 0)
				return read_failed(c, err);
			if (n == 0)
				return err_set(err, -EIO, "'%s' became shorter",
					       c->job->image_name);
			r = write_out(c, c->buf, (size_t)n, from, err);
			if (r < 0)
				return r;
		}
		from += (uint64_t)n;
		c->done += (uint64_t)n;
		ticker_tick(&c->ticker, c->done, c->data_total);
	}
	return 0;
}

static int copy_ranges(struct copier *c, struct err *err)
{
	uint64_t at = 0;

	while (at < c->size) {
		off_t data = lseek(c->job->image_fd, (off_t)at, SEEK_DATA), hole;
		int r;

		if (data < 0 && errno != ENXIO)
			return read_failed(c, err);
		if (data < 0)
			return copy_hole(c, at, c->size, err);
		r = copy_hole(c, at, (uint64_t)data, err);
		if (r < 0)
			return r;
		hole = lseek(c->job->image_fd, data, SEEK_HOLE);
		if (hole < 0)
			return read_failed(c, err);
		hole = MIN(hole, (off_t)c->size);
		r = copy_data(c, (uint64_t)data, (uint64_t)hole, err);
		if (r < 0)
			return r;
		at = (uint64_t)hole;
	}
	return 0;
}

static int copy_all(struct copier *c, struct err *err)
{
	struct stat in, out;
	int r;

	if (fstat(c->job->image_fd, &in) < 0)
		return read_failed(c, err);
	if (fstat(c->job->target_fd, &out) < 0)
		return err_errno(err, "cannot use '%s'", c->job->target_name);
	c->size = (uint64_t)in.st_size;
	c->data_total = (uint64_t)in.st_blocks * 512;
	c->base = lseek(c->job->target_fd, 0, SEEK_CUR);
	c->regular = S_ISREG(out.st_mode) && c->base >= 0 && out.st_size <= c->base &&
		     !(fcntl(c->job->target_fd, F_GETFL) & O_APPEND);
	if (c->regular && c->base == 0 && ioctl(c->job->target_fd, FICLONE, c->job->image_fd) == 0)
		return 0;
	r = copy_ranges(c, err);
	if (r < 0 || !c->regular)
		return r;
	if (ftruncate(c->job->target_fd, c->base + (off_t)c->size) < 0)
		return err_io(err, -errno, c->job->target_name);
	return 0;
}

int copy_image(const struct image_export *job, struct err *err)
{
	struct copier c = { .job = job };
	auto_free uint8_t *buf = malloc(COPY_BYTES);
	int r;

	if (!buf)
		return err_nomem(err);
	c.buf = buf;
	ticker_init(&c.ticker, &job->events, "export");
	r = copy_all(&c, err);
	if (r == 0)
		ticker_done(&c.ticker, c.data_total, c.data_total);
	return r;
}
