/* host/image/extent.c - extent trees, written bottom up in constant memory
 *
 * Extents arrive in ascending order. Each level of the tree has one open block; when it is full it
 * goes to disk and an index entry for it to the level above. At the end the open blocks are closed
 * from the bottom until what remains fits into the four entries of the inode.
 */
#include "image/image-internal.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <ext2fs/ext3_extents.h>

#define LEVELS       5u
#define ROOT_ENTRIES 4u
#define NODE_ENTRIES                                                                               \
	((BLOCK_BYTES - sizeof(struct ext3_extent_header)) / sizeof(struct ext3_extent))

struct level {
	uint32_t n, first_lblk;
	uint8_t block[BLOCK_BYTES];
};

struct extent_tree {
	uint32_t ino, blocks;
	unsigned depth; /* highest level that has entries */
	uint32_t lblk, n;
	blk64_t pblk; /* the open extent [lblk, lblk + n) */
	struct level levels[LEVELS];
};

struct extent_tree *extent_tree_new(void)
{
	return calloc(1, sizeof(struct extent_tree));
}

void extent_tree_begin(struct extent_tree *t, uint32_t ino)
{
	t->ino = ino;
	t->blocks = 0;
	t->depth = 0;
	t->n = 0;
	for (unsigned i = 0; i < LEVELS; i++)
		t->levels[i].n = 0;
}

static void put_header(uint8_t *at, uint32_t entries, uint32_t max, unsigned depth)
{
	struct ext3_extent_header h = { .eh_magic = htole16(EXT3_EXT_MAGIC),
					.eh_entries = htole16((uint16_t)entries),
					.eh_max = htole16((uint16_t)max),
					.eh_depth = htole16((uint16_t)depth) };

	memcpy(at, &h, sizeof(h));
}

static uint8_t *entry_at(uint8_t *block, uint32_t i)
{
	return block + sizeof(struct ext3_extent_header) + i * sizeof(struct ext3_extent);
}

static void seal(struct builder *b, uint32_t ino, uint8_t *block)
{
	size_t end = sizeof(struct ext3_extent_header) + NODE_ENTRIES * sizeof(struct ext3_extent);
	uint32_t ids[2] = { htole32(ino), 0 }; /* inode and its generation, always 0 here */
	uint32_t crc = ext2fs_crc32c_le(b->fs->csum_seed, (uint8_t *)ids, sizeof(ids));

	crc = htole32(ext2fs_crc32c_le(crc, block, end));
	memcpy(block + end, &crc, sizeof(crc));
}

static int push(struct builder *b, struct extent_tree *t, unsigned depth, uint32_t lblk,
		const void *entry, struct err *err);

/* Writes the open block of a level and enters it into the level above. */
static int close_level(struct builder *b, struct extent_tree *t, unsigned depth, struct err *err)
{
	struct level *l = &t->levels[depth];
	struct ext3_extent_idx idx = { .ei_block = htole32(l->first_lblk) };
	blk64_t pblk;
	uint8_t *at;
	int r = alloc_blocks(b, 1, &pblk, err);

	if (r < 0)
		return r;
	put_header(l->block, l->n, NODE_ENTRIES, depth);
	memset(entry_at(l->block, l->n), 0, (NODE_ENTRIES - l->n) * sizeof(idx));
	seal(b, t->ino, l->block);
	r = out_blocks(b->out, pblk, 1, &at);
	if (r < 0)
		return err_io(err, r, b->name);
	memcpy(at, l->block, BLOCK_BYTES);
	l->n = 0;
	t->blocks++;
	idx.ei_leaf = htole32((uint32_t)pblk);
	idx.ei_leaf_hi = htole16((uint16_t)(pblk >> 32));
	return push(b, t, depth + 1, l->first_lblk, &idx, err);
}

static int push(struct builder *b, struct extent_tree *t, unsigned depth, uint32_t lblk,
		const void *entry, struct err *err)
{
	struct level *l = &t->levels[depth];

	if (depth == LEVELS)
		return err_set(err, -EFBIG, "a file of '%s' has too many pieces", b->name);
	if (l->n == NODE_ENTRIES) {
		int r = close_level(b, t, depth, err);

		if (r < 0)
			return r;
	}
	if (l->n == 0)
		l->first_lblk = lblk;
	memcpy(entry_at(l->block, l->n++), entry, sizeof(struct ext3_extent));
	t->depth = MAX(t->depth, depth);
	return 0;
}

static int push_open(struct builder *b, struct extent_tree *t, struct err *err)
{
	struct ext3_extent e = { .ee_block = htole32(t->lblk),
				 .ee_len = htole16((uint16_t)t->n),
				 .ee_start_hi = htole16((uint16_t)(t->pblk >> 32)),
				 .ee_start = htole32((uint32_t)t->pblk) };

	t->n = 0;
	return push(b, t, 0, t->lblk, &e, err);
}

int extent_tree_add(struct builder *b, struct extent_tree *t, uint32_t lblk, blk64_t pblk,
		    uint32_t n, struct err *err)
{
	if (t->n && lblk == t->lblk + t->n && pblk == t->pblk + t->n &&
	    t->n + n <= EXT_INIT_MAX_LEN) {
		t->n += n;
		return 0;
	}
	if (t->n) {
		int r = push_open(b, t, err);

		if (r < 0)
			return r;
	}
	t->lblk = lblk;
	t->pblk = pblk;
	t->n = n;
	return 0;
}

int extent_tree_end(struct builder *b, struct extent_tree *t, union inode_buf *inode,
		    struct err *err)
{
	uint8_t *root = (uint8_t *)inode->s.i_block;
	unsigned depth = 0;
	int r = t->n ? push_open(b, t, err) : 0;

	for (; r == 0 && (depth < t->depth || t->levels[depth].n > ROOT_ENTRIES); depth++)
		if (t->levels[depth].n)
			r = close_level(b, t, depth, err);
	if (r < 0)
		return r;
	memset(root, 0, sizeof(inode->s.i_block));
	put_header(root, t->levels[depth].n, ROOT_ENTRIES, depth);
	memcpy(root + sizeof(struct ext3_extent_header), entry_at(t->levels[depth].block, 0),
	       t->levels[depth].n * sizeof(struct ext3_extent));
	inode->s.i_flags |= EXT4_EXTENTS_FL;
	inode_add_blocks(inode, t->blocks);
	return 0;
}

static int walk_node(struct builder *b, uint8_t *node,
		     void (*fn)(struct builder *b, blk64_t first, uint32_t n), struct err *err)
{
	struct ext3_extent_header h;
	int r = 0;

	memcpy(&h, node, sizeof(h));
	for (uint32_t i = 0; r == 0 && i < le16toh(h.eh_entries); i++) {
		uint8_t block[BLOCK_BYTES];
		struct ext3_extent_idx idx;
		struct ext3_extent e;
		blk64_t pblk;

		memcpy(&e, entry_at(node, i), sizeof(e));
		if (!h.eh_depth) {
			fn(b, le32toh(e.ee_start) | (blk64_t)le16toh(e.ee_start_hi) << 32,
			   le16toh(e.ee_len));
			continue;
		}
		memcpy(&idx, &e, sizeof(idx));
		pblk = le32toh(idx.ei_leaf) | (blk64_t)le16toh(idx.ei_leaf_hi) << 32;
		if (pread(b->fd, block, sizeof(block), (off_t)(pblk * BLOCK_BYTES)) !=
		    (ssize_t)sizeof(block))
			return err_set(err, -EIO, "cannot read back '%s'", b->name);
		r = walk_node(b, block, fn, err);
		fn(b, pblk, 1);
	}
	return r;
}

int extent_tree_walk(struct builder *b, const union inode_buf *inode,
		     void (*fn)(struct builder *b, blk64_t first, uint32_t n), struct err *err)
{
	uint8_t root[sizeof(inode->s.i_block)];
	int r;

	if (!(inode->s.i_flags & EXT4_EXTENTS_FL))
		return 0;
	memcpy(root, inode->s.i_block, sizeof(root));
	r = out_flush(b->out); /* the tree's blocks may still be on their way */
	if (r < 0)
		return err_io(err, r, b->name);
	return walk_node(b, root, fn, err);
}
