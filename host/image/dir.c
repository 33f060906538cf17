/* host/image/dir.c - directory blocks, written once all names are known
 *
 * A directory that fits into one block is a list of entries. A larger one gets the hashed index
 * (htree) the kernel would have built: block 0 is the root of the index, then come the index nodes
 * if there is a second level, then the leaves, whose entries are sorted by hash and which keep some
 * slack for additions. All blocks end with checksums.
 */
#include "image/image-internal.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#define USABLE       (BLOCK_BYTES - sizeof(struct ext2_dir_entry_tail))
#define LEAF_FILL    (USABLE * 7 / 8)
#define DOT_BYTES    12u
#define ROOT_HEAD    (2 * DOT_BYTES + 8u)
#define NODE_HEAD    8u
#define ROOT_LIMIT   ((BLOCK_BYTES - ROOT_HEAD) / 8u - 1u)
#define NODE_LIMIT   ((BLOCK_BYTES - NODE_HEAD) / 8u - 1u)
#define DIR_MAX_BLKS (1u << 19) /* 2 GiB */

struct name {
	uint32_t hash, minor;
	const struct node *node;
};

struct leaf {
	size_t first, end; /* of dir.names */
	uint32_t hash;     /* of the first entry; bit 0: continues the leaf before */
};

struct dir {
	struct builder *b;
	const struct node *node;
	struct name *names;
	size_t n_names, bytes, subdirs;
	struct leaf *leaves;
	size_t n_leaves;
	struct data data;
	uint8_t block[BLOCK_BYTES];
};

static size_t entry_bytes(const struct node *n)
{
	return (8u + n->name_len + 3u) & ~3u;
}

static void put_entry(uint8_t *at, uint32_t ino, size_t rec_len, uint8_t type, const char *name,
		      size_t len)
{
	struct ext2_dir_entry_2 e = { .inode = htole32(ino),
				      .rec_len = htole16((uint16_t)rec_len),
				      .name_len = (uint8_t)len,
				      .file_type = type };

	memcpy(at, &e, 8);
	memcpy(at + 8, name, len);
}

static uint32_t crc_start(const struct dir *d)
{
	uint32_t ids[2] = { htole32(d->node->ino), 0 }; /* inode and its generation */

	return ext2fs_crc32c_le(d->b->fs->csum_seed, (uint8_t *)ids, sizeof(ids));
}

static int put_block(struct dir *d, struct err *err)
{
	return data_write(&d->data, d->block, BLOCK_BYTES, err);
}

/* Ends a block of entries: @last is the offset of the last one, which gets the free space. */
static int put_list(struct dir *d, size_t last, struct err *err)
{
	uint16_t rec_len = htole16((uint16_t)(USABLE - last));
	struct ext2_dir_entry_tail tail = { .det_rec_len = htole16(sizeof(tail)),
					    .det_reserved_name_len = htole16(0xde00) };

	memcpy(d->block + last + 4, &rec_len, 2);
	tail.det_checksum = htole32(ext2fs_crc32c_le(crc_start(d), d->block, USABLE));
	memcpy(d->block + USABLE, &tail, sizeof(tail));
	return put_block(d, err);
}

static uint32_t parent_ino(const struct dir *d)
{
	return d->node->parent ? d->node->parent->ino : d->node->ino;
}

static size_t put_dots(struct dir *d)
{
	memset(d->block, 0, sizeof(d->block));
	put_entry(d->block, d->node->ino, DOT_BYTES, EXT2_FT_DIR, ".", 1);
	put_entry(d->block + DOT_BYTES, parent_ino(d), DOT_BYTES, EXT2_FT_DIR, "..", 2);
	return 2 * DOT_BYTES;
}

/* Directories of one block, and those too large for two index levels. */
static int write_linear(struct dir *d, struct err *err)
{
	size_t at = put_dots(d), last = DOT_BYTES;

	for (const struct node *n = d->node->child; n; n = n->next) {
		size_t size = entry_bytes(n);

		if (at + size > USABLE) {
			int r = put_list(d, last, err);

			if (r < 0)
				return r;
			memset(d->block, 0, sizeof(d->block));
			at = 0;
		}
		put_entry(d->block + at, n->ino, size, n->type, n->name, n->name_len);
		last = at;
		at += size;
	}
	return put_list(d, last, err);
}

static int by_hash(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->minor < y->minor ? -1 : x->minor > y->minor;
}

static int sort_names(struct dir *d, struct err *err)
{
	size_t i = 0;

	d->names = calloc(d->n_names, sizeof(*d->names));
	if (!d->names)
		return err_nomem(err);
	for (const struct node *n = d->node->child; n; n = n->next, i++) {
		d->names[i].node = n;
		ext2fs_dirhash2(EXT2_HASH_HALF_MD4, n->name, n->name_len, NULL, 0,
				d->b->fs->super->s_hash_seed, &d->names[i].hash,
				&d->names[i].minor);
	}
	qsort(d->names, d->n_names, sizeof(*d->names), by_hash);
	return 0;
}

static int split_leaves(struct dir *d, struct err *err)
{
	size_t used = LEAF_FILL;

	/* Each leaf but the last holds more than LEAF_FILL less one longest entry. */
	d->leaves = calloc(d->bytes / (LEAF_FILL - 264) + 2, sizeof(*d->leaves));
	if (!d->leaves)
		return err_nomem(err);
	for (size_t i = 0; i < d->n_names; i++) {
		size_t size = entry_bytes(d->names[i].node);

		if (used + size > LEAF_FILL) {
			bool more = i > 0 && d->names[i].hash == d->names[i - 1].hash;

			d->leaves[d->n_leaves++] =
				(struct leaf) { .first = i, .hash = d->names[i].hash | more };
			used = 0;
		}
		used += size;
		d->leaves[d->n_leaves - 1].end = i + 1;
	}
	return 0;
}

struct index_entry {
	uint32_t hash, block;
};

/* Fills an index block whose head is in place: @n entries, the first @stride leaves apart. */
static int put_index(struct dir *d, size_t head, size_t limit, size_t n,
		     struct index_entry (*entry)(const struct dir *d, size_t i), size_t first,
		     struct err *err)
{
	struct ext2_dx_countlimit counts = { .limit = htole16((uint16_t)limit),
					     .count = htole16((uint16_t)n) };
	struct ext2_dx_tail tail = { 0 };
	uint32_t crc;

	for (size_t i = 0; i < n; i++) {
		struct index_entry e = entry(d, first + i);
		struct ext2_dx_entry out = { htole32(e.hash), htole32(e.block) };

		memcpy(d->block + head + i * sizeof(out), &out, sizeof(out));
	}
	memcpy(d->block + head, &counts, sizeof(counts)); /* in place of the first hash */
	crc = ext2fs_crc32c_le(crc_start(d), d->block, head + n * sizeof(struct ext2_dx_entry));
	crc = ext2fs_crc32c_le(crc, (uint8_t *)&tail, sizeof(tail));
	tail.dt_checksum = htole32(crc);
	memcpy(d->block + head + limit * sizeof(struct ext2_dx_entry), &tail, sizeof(tail));
	return put_block(d, err);
}

static size_t index_nodes(const struct dir *d)
{
	return d->n_leaves <= ROOT_LIMIT ? 0 : (d->n_leaves + NODE_LIMIT - 1) / NODE_LIMIT;
}

static struct index_entry leaf_entry(const struct dir *d, size_t i)
{
	return (struct index_entry) { d->leaves[i].hash, (uint32_t)(1 + index_nodes(d) + i) };
}

static struct index_entry node_entry(const struct dir *d, size_t i)
{
	return (struct index_entry) { d->leaves[i * NODE_LIMIT].hash, (uint32_t)(1 + i) };
}

static int write_index(struct dir *d, struct err *err)
{
	size_t nodes = index_nodes(d), at = put_dots(d);
	struct ext2_dx_root_info info = { .hash_version = EXT2_HASH_HALF_MD4,
					  .info_length = 8,
					  .indirect_levels = nodes ? 1 : 0 };
	uint16_t rest = htole16(BLOCK_BYTES - DOT_BYTES);
	int r;

	memcpy(d->block + DOT_BYTES + 4, &rest, 2); /* ".." hides the index from old code */
	memcpy(d->block + at, &info, sizeof(info));
	r = put_index(d, ROOT_HEAD, ROOT_LIMIT, nodes ? nodes : d->n_leaves,
		      nodes ? node_entry : leaf_entry, 0, err);
	for (size_t i = 0; r == 0 && i < nodes; i++) {
		size_t first = i * NODE_LIMIT;

		memset(d->block, 0, sizeof(d->block));
		put_entry(d->block, 0, BLOCK_BYTES, 0, "", 0);
		r = put_index(d, NODE_HEAD, NODE_LIMIT, MIN(NODE_LIMIT, d->n_leaves - first),
			      leaf_entry, first, err);
	}
	return r;
}

static int write_leaves(struct dir *d, struct err *err)
{
	int r = 0;

	for (size_t l = 0; r == 0 && l < d->n_leaves; l++) {
		size_t at = 0, last = 0;

		memset(d->block, 0, sizeof(d->block));
		for (size_t i = d->leaves[l].first; i < d->leaves[l].end; i++) {
			const struct node *n = d->names[i].node;

			last = at;
			put_entry(d->block + at, n->ino, entry_bytes(n), n->type, n->name,
				  n->name_len);
			at += entry_bytes(n);
		}
		r = put_list(d, last, err);
	}
	return r;
}

static int write_blocks(struct dir *d, uint32_t *flags, struct err *err)
{
	int r;

	if (2 * DOT_BYTES + d->bytes <= USABLE)
		return write_linear(d, err);
	r = sort_names(d, err);
	if (r == 0)
		r = split_leaves(d, err);
	if (r < 0)
		return r;
	if (index_nodes(d) > ROOT_LIMIT)
		return write_linear(d, err);
	*flags |= EXT2_INDEX_FL;
	r = write_index(d, err);
	return r < 0 ? r : write_leaves(d, err);
}

static void count(struct dir *d)
{
	for (const struct node *n = d->node->child; n; n = n->next) {
		d->n_names++;
		d->bytes += entry_bytes(n);
		d->subdirs += n->type == EXT2_FT_DIR;
	}
}

static int write_dir(struct builder *b, const struct node *node, struct err *err)
{
	struct dir d = { .b = b, .node = node };
	union inode_buf inode;
	int r;

	count(&d);
	if (d.bytes / (LEAF_FILL - 264) >= DIR_MAX_BLKS)
		return err_set(err, -EFBIG, "a directory has too many entries for ext4");
	r = read_inode(b, node->ino, &inode, err);
	if (r < 0)
		return r;
	data_begin(&d.data, b, node->ino);
	r = write_blocks(&d, &inode.s.i_flags, err);
	free(d.names);
	free(d.leaves);
	if (r == 0)
		r = data_end(&d.data, 0, &inode, err);
	if (r < 0)
		return r;
	inode.s.i_links_count = (uint16_t)(d.subdirs + 2 < EXT4_MAX_HARDLINKS ? d.subdirs + 2 : 1);
	return write_inode(b, node->ino, &inode, err);
}

int dirs_write(struct builder *b, struct err *err)
{
	int r = 0;

	for (struct node *n = tree_root(b->tree); r == 0 && n; n = tree_next(n))
		if (n->type == EXT2_FT_DIR)
			r = write_dir(b, n, err);
	return r;
}
