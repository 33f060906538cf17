/* host/image/data.c - the contents of one file, written front to back */
#include "image/image-internal.h"

#include <errno.h>

void data_begin(struct data *d, struct builder *b, uint32_t ino)
{
	*d = (struct data) { .b = b };
	extent_tree_begin(b->extents, ino);
}

/* Room for up to @want blocks at d->pos, which is at the start of a block. The caller asks again
 * until @want blocks are filled. */
static int claim(struct data *d, uint32_t want, uint8_t **ret, struct err *err)
{
	struct builder *b = d->b;
	int n;

	if (d->run_left == 0) {
		n = alloc_blocks(b, MIN(want, 32768u), &d->run, err);
		if (n < 0)
			return n;
		d->run_left = (uint32_t)n;
		d->blocks += (uint64_t)n;
		/* May write a block of the tree, so before the memory for data is handed out. */
		n = extent_tree_add(b, b->extents, (uint32_t)(d->pos / BLOCK_BYTES), d->run,
				    d->run_left, err);
		if (n < 0)
			return n;
	}
	n = out_blocks(b->out, d->run, d->run_left, ret);
	if (n < 0)
		return err_io(err, n, b->name);
	d->run += (blk64_t)n;
	d->run_left -= (uint32_t)n;
	return n;
}

static int too_large(struct data *d, struct err *err)
{
	return err_set(err, -EFBIG, "the file is larger than ext4 can hold (16 TiB)");
}

int data_write(struct data *d, const void *bytes, size_t len, struct err *err)
{
	const uint8_t *from = bytes;

	if (len > IMAGE_MAX_FILE - d->pos)
		return too_large(d, err);
	while (len) {
		size_t in_block = (size_t)(d->pos % BLOCK_BYTES);
		size_t n = MIN(len, (size_t)(BLOCK_BYTES - in_block));
		uint8_t *to = d->slot;

		if (in_block == 0) {
			uint32_t want = (uint32_t)MIN(len / BLOCK_BYTES, (size_t)UINT16_MAX);
			int got = claim(d, MAX(want, 1u), &to, err);

			if (got < 0)
				return got;
			n = MIN(len, (size_t)got * BLOCK_BYTES);
			d->slot = to;
		}
		memcpy(to + in_block, from, n);
		from += n;
		len -= n;
		d->pos += n;
	}
	return 0;
}

/* Zeroes the rest of the last block, up to @pos at most. */
static void pad(struct data *d, uint64_t pos)
{
	size_t in_block = (size_t)(d->pos % BLOCK_BYTES);
	size_t n;

	if (in_block == 0)
		return;
	n = (size_t)MIN(pos - d->pos, (uint64_t)(BLOCK_BYTES - in_block));
	memset(d->slot + in_block, 0, n);
	d->pos += n;
}

int data_skip_to(struct data *d, uint64_t pos, struct err *err)
{
	uint64_t start = pos - pos % BLOCK_BYTES;
	int r;

	if (pos > IMAGE_MAX_FILE)
		return too_large(d, err);
	pad(d, pos);
	if (d->pos == pos)
		return 0;
	d->pos = start;
	if (start == pos)
		return 0;
	r = claim(d, 1, &d->slot, err);
	if (r < 0)
		return r;
	memset(d->slot, 0, (size_t)(pos - start));
	d->pos = pos;
	return 0;
}

int data_end(struct data *d, uint64_t size, union inode_buf *inode, struct err *err)
{
	int r;

	if (size > IMAGE_MAX_FILE)
		return too_large(d, err);
	size = MAX(size, d->pos);
	pad(d, d->pos + BLOCK_BYTES);
	r = extent_tree_end(d->b, d->b->extents, inode, err);
	if (r < 0)
		return r;
	inode_set_size(inode, size);
	inode_add_blocks(inode, d->blocks);
	return 0;
}
