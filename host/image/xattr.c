/* host/image/xattr.c - extended attributes in ext4's layout
 *
 * Small attributes live in the inode behind its fields (92 bytes with their headers), the others in
 * one block. In the block entries are sorted as the kernel expects; values grow from the end.
 */
#include "image/image-internal.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#define BODY_START (EXT2_GOOD_OLD_INODE_SIZE + 32u) /* after i_extra_isize bytes */
#define BODY_FIRST (BODY_START + 4u)
#define BODY_BYTES (INODE_BYTES - BODY_FIRST)
#define BLOCK_HEAD sizeof(struct ext2_ext_attr_header)

static const struct {
	const char *prefix;
	uint8_t index;
} prefixes[] = {
	{ "user.", 1 },
	{ "system.posix_acl_access", 2 },
	{ "system.posix_acl_default", 3 },
	{ "trusted.", 4 },
	{ "security.", 6 },
};

void xattrs_done(struct xattrs *x)
{
	for (size_t i = 0; i < x->n_owned; i++)
		free(x->owned[i]);
	x->n = x->n_owned = 0;
}

static int split_name(const char *name, struct xattr *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		const char *rest = str_after(name, prefixes[i].prefix);
		bool whole = prefixes[i].index == 2 || prefixes[i].index == 3;

		if (!rest || (whole ? *rest != '\0' : *rest == '\0'))
			continue;
		if (strlen(rest) > UINT8_MAX)
			return -ERANGE;
		ret->index = prefixes[i].index;
		ret->name = rest;
		ret->name_len = (uint8_t)strlen(rest);
		return 0;
	}
	return -EOPNOTSUPP;
}

int xattrs_add(struct xattrs *x, const char *name, const void *value, size_t size)
{
	struct xattr item = { .value = value, .size = size };
	int r = split_name(name, &item);

	if (r < 0)
		return r;
	for (size_t i = 0; i < x->n; i++) {
		if (x->items[i].index == item.index && streq(x->items[i].name, item.name)) {
			x->items[i] = item;
			return 0;
		}
	}
	if (x->n == XATTRS_MAX)
		return -E2BIG;
	x->items[x->n++] = item;
	return 0;
}

int xattrs_own(struct xattrs *x, const char *name, uint8_t *value, size_t size)
{
	if (x->n_owned == ARRAY_SIZE(x->owned)) {
		free(value);
		return -E2BIG;
	}
	x->owned[x->n_owned++] = value;
	return xattrs_add(x, name, value, size);
}

static int in_block_order(const void *a, const void *b)
{
	const struct xattr *x = a, *y = b;

	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	if (x->name_len != y->name_len)
		return x->name_len < y->name_len ? -1 : 1;
	return memcmp(x->name, y->name, x->name_len);
}

struct area { /* where entries (from the front) and values (from the end) are placed */
	uint8_t *next, *values;
	uint8_t *origin; /* value offsets count from here */
	uint32_t hash;
};

static bool place(struct area *a, const struct xattr *x)
{
	size_t entry = EXT2_EXT_ATTR_LEN(x->name_len), value = EXT2_EXT_ATTR_SIZE(x->size);
	struct ext2_ext_attr_entry e = { .e_name_len = x->name_len, .e_name_index = x->index };
	size_t room = (size_t)(a->values - a->next);

	if (x->size > BLOCK_BYTES || entry + value + 4 > room) /* 4: end of the list */
		return false;
	a->values -= value;
	if (x->size)
		memcpy(a->values, x->value, x->size);
	e.e_value_offs = htole16((uint16_t)(x->size ? a->values - a->origin : 0));
	e.e_value_size = htole32((uint32_t)x->size);
	memcpy(a->next + sizeof(e), x->name, x->name_len);
	memcpy(a->next, &e, sizeof(e));
	e.e_hash = ext2fs_ext_attr_hash_entry((struct ext2_ext_attr_entry *)(void *)a->next,
					      a->values);
	a->hash = (a->hash << 16) ^ (a->hash >> 16) ^ e.e_hash;
	e.e_hash = htole32(e.e_hash);
	memcpy(a->next, &e, sizeof(e));
	a->next += entry;
	return true;
}

static int write_block(struct builder *b, uint32_t ino, union inode_buf *inode, uint8_t *block,
		       uint32_t hash, struct err *err)
{
	struct ext2_ext_attr_header *h = (struct ext2_ext_attr_header *)(void *)block;
	blk64_t pblk;
	uint8_t *to;
	int r = alloc_blocks(b, 1, &pblk, err);

	if (r < 0)
		return r;
	h->h_magic = htole32(EXT2_EXT_ATTR_MAGIC);
	h->h_refcount = htole32(1);
	h->h_blocks = htole32(1);
	h->h_hash = htole32(hash);
	ext2fs_ext_attr_block_csum_set(b->fs, ino, pblk, h);
	r = out_blocks(b->out, pblk, 1, &to);
	if (r < 0)
		return err_io(err, r, b->name);
	memcpy(to, block, BLOCK_BYTES);
	ext2fs_file_acl_block_set(b->fs, &inode->s, pblk);
	inode_add_blocks(inode, 1);
	return 0;
}

int xattrs_store(struct builder *b, uint32_t ino, union inode_buf *inode, struct xattrs *x,
		 struct err *err)
{
	_Alignas(8) uint8_t block[BLOCK_BYTES] = { 0 };
	uint32_t magic = htole32(EXT2_EXT_ATTR_MAGIC);
	uint8_t *body = inode->raw + BODY_FIRST;
	struct area in_inode = { .next = body, .values = body + BODY_BYTES, .origin = body };
	struct area in_block = { .next = block + BLOCK_HEAD,
				 .values = block + sizeof(block),
				 .origin = block };
	bool body_used = false, block_used = false;

	memset(inode->raw + BODY_START, 0, INODE_BYTES - BODY_START);
	if (x->n == 0)
		return 0;
	qsort(x->items, x->n, sizeof(x->items[0]), in_block_order);
	for (size_t i = 0; i < x->n; i++) {
		if (place(&in_inode, &x->items[i]))
			body_used = true;
		else if (place(&in_block, &x->items[i]))
			block_used = true;
		else
			return err_set(err, -E2BIG,
				       "its extended attributes need more than the 4 KiB that ext4 "
				       "has for them");
	}
	if (body_used)
		memcpy(inode->raw + BODY_START, &magic, sizeof(magic));
	return block_used ? write_block(b, ino, inode, block, in_block.hash, err) : 0;
}
