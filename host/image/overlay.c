/* host/image/overlay.c - reading an image as recovery of its journal would leave it
 *
 * THEORY OF OPERATION
 *   An image whose VM was killed has a journal with transactions that are not in place yet.
 *   Instead of writing them back, which would change an image that is only to be read, we find for
 *   each block the newest committed copy in the journal and read that one instead.
 *   Three passes as in the kernel: find the end of the committed transactions, collect revocations,
 *   collect blocks. The map is sorted by block number, so a read costs a binary search.
 * HOSTILE IMAGE
 *   The journal is at most JOURNAL_MAX blocks; every journal block is visited once per pass; block
 *   numbers outside of the image are an error, as are bad checksums inside a committed transaction.
 * FORMAT   big-endian; see jbd2.h of the kernel. Fast commits are refused: we never enable them.
 */
#include "image/image-internal.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define JBD_MAGIC   0xc03b3998u
#define JOURNAL_MAX (1u << 20) /* blocks */
#define REVOKED     UINT64_MAX

enum { DESCRIPTOR = 1, COMMIT = 2, SUPER_V1 = 3, SUPER_V2 = 4, REVOKE = 5 };
enum { TAG_ESCAPE = 1, TAG_SAME_UUID = 2, TAG_LAST = 8 };
enum { INC_REVOKE = 1, INC_64BIT = 2, INC_ASYNC = 4, INC_CSUM2 = 8, INC_CSUM3 = 16, INC_FAST = 32 };

struct copy {
	uint64_t fs_block, at; /* at: byte offset of the copy in the image */
	uint32_t seq;
	bool escaped;
};

struct revoke {
	uint64_t fs_block;
	uint32_t seq;
};

struct overlay {
	int fd; /* of the image, borrowed */
	uint32_t block_size;
	struct copy *copies;
	size_t n_copies, room_copies;
	struct revoke *revokes;
	size_t n_revokes, room_revokes;
};

struct journal {
	struct reader *r;
	struct overlay *o;
	uint64_t *map; /* journal block to image block */
	uint32_t blocks, first, start, seq, features, csum_seed;
	uint64_t fs_blocks;
	uint32_t end_seq; /* first one that is not committed */
	uint8_t *block, *data;
};

static uint32_t be32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint16_t be16_at(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static int bad(struct journal *j, const char *what, struct err *err)
{
	return err_id(err, ERR_WSL_E_DISK_CORRUPTED, "the journal of '%s' is damaged: %s",
		      j->r->name, what);
}

static int read_block(struct journal *j, uint32_t n, uint8_t *buf, struct err *err)
{
	if (n >= j->blocks || j->map[n] == 0)
		return bad(j, "a block is missing", err);
	return reader_pread(j->r, buf, j->o->block_size, j->map[n] * j->o->block_size, err);
}

static bool has_csum(const struct journal *j)
{
	return j->features & (INC_CSUM2 | INC_CSUM3);
}

static uint32_t after(const struct journal *j, uint32_t n, uint32_t step)
{
	n += step;
	return n >= j->blocks ? n - (j->blocks - j->first) : n;
}

/* ---- opening ---- */

static int on_run(void *arg, const struct run *run, struct err *err)
{
	struct journal *j = arg;

	for (uint64_t i = 0; i < run->n && run->lblk + i < j->blocks; i++)
		j->map[run->lblk + i] = run->pblk + i;
	return 0;
}

static int map_journal(struct journal *j, struct err *err)
{
	uint32_t ino = j->r->fs->super->s_journal_inum;
	struct ext2_inode inode;
	errcode_t e;

	if (ino == 0)
		return err_set(err, -EOPNOTSUPP, "'%s' has its journal on another disk",
			       j->r->name);
	e = ext2fs_read_inode(j->r->fs, ino, &inode);
	if (e)
		return err_ext2(err, e, "cannot read the journal of '%s'", j->r->name);
	if (EXT2_I_SIZE(&inode) / j->o->block_size > JOURNAL_MAX)
		return bad(j, "it is too large", err);
	j->blocks = (uint32_t)(EXT2_I_SIZE(&inode) / j->o->block_size);
	j->map = calloc((size_t)j->blocks + 1, sizeof(*j->map));
	j->block = malloc(j->o->block_size);
	j->data = malloc(j->o->block_size);
	if (!j->map || !j->block || !j->data)
		return err_nomem(err);
	return reader_runs(j->r, ino, &inode, on_run, j, err);
}

static int read_super(struct journal *j, struct err *err)
{
	uint32_t type, max;
	int r = read_block(j, 0, j->block, err);

	if (r < 0)
		return r;
	type = be32_at(j->block + 4);
	max = be32_at(j->block + 16);
	if (be32_at(j->block) != JBD_MAGIC || (type != SUPER_V1 && type != SUPER_V2) ||
	    be32_at(j->block + 12) != j->o->block_size || max > j->blocks)
		return bad(j, "bad superblock", err);
	j->blocks = max;
	j->first = be32_at(j->block + 20);
	j->seq = be32_at(j->block + 24);
	j->start = be32_at(j->block + 28);
	j->features = type == SUPER_V2 ? be32_at(j->block + 40) : 0;
	if (j->features & ~(uint32_t)(INC_REVOKE | INC_64BIT | INC_ASYNC | INC_CSUM2 | INC_CSUM3))
		return err_set(err, -EOPNOTSUPP,
			       "the journal of '%s' needs recovery and uses features that are not "
			       "supported; run e2fsck on it",
			       j->r->name);
	if (j->first == 0 || j->first >= j->blocks || j->start >= j->blocks)
		return bad(j, "bad superblock", err);
	j->csum_seed = ext2fs_crc32c_le(~0u, j->block + 48, 16);
	return 0;
}

/* ---- blocks of the log ---- */

static bool is_log_block(const struct journal *j, uint32_t seq, uint32_t *ret_type)
{
	*ret_type = be32_at(j->block + 4);
	return be32_at(j->block) == JBD_MAGIC && be32_at(j->block + 8) == seq;
}

/* @at: offset of the be32 checksum inside j->block. */
static bool block_csum_ok(struct journal *j, size_t at)
{
	uint32_t found, zero = 0, crc;

	if (!has_csum(j))
		return true;
	found = be32_at(j->block + at);
	memcpy(j->block + at, &zero, sizeof(zero));
	crc = ext2fs_crc32c_le(j->csum_seed, j->block, j->o->block_size);
	return crc == found;
}

struct tag {
	uint64_t fs_block;
	uint32_t flags, csum;
};

static size_t tag_bytes(const struct journal *j)
{
	if (j->features & INC_CSUM3)
		return 16;
	return (j->features & INC_64BIT ? 12u : 8u) + (j->features & INC_CSUM2 ? 2u : 0u);
}

static void read_tag(const struct journal *j, const uint8_t *p, struct tag *t)
{
	t->fs_block = be32_at(p);
	if (j->features & INC_CSUM3) {
		t->flags = be32_at(p + 4);
		t->csum = be32_at(p + 12);
	} else {
		t->csum = be16_at(p + 4);
		t->flags = be16_at(p + 6);
	}
	if (j->features & INC_64BIT)
		t->fs_block |= (uint64_t)be32_at(p + 8) << 32;
}

typedef int (*tag_fn)(struct journal *j, const struct tag *t, uint32_t at, uint32_t seq,
		      struct err *err);

/* Calls @fn (may be NULL) for each tag of the descriptor in j->block; counts them. */
static int each_tag(struct journal *j, uint32_t at, uint32_t seq, tag_fn fn, uint32_t *ret_n,
		    struct err *err)
{
	size_t size = tag_bytes(j), end = j->o->block_size - (has_csum(j) ? 4 : 0);
	size_t pos = 12;
	struct tag t = { 0 };
	uint32_t n = 0;
	int r = 0;

	while (r == 0 && pos + size <= end && !(t.flags & TAG_LAST)) {
		read_tag(j, j->block + pos, &t);
		pos += size + (t.flags & TAG_SAME_UUID ? 0 : 16);
		at = after(j, at, 1);
		n++;
		if (fn)
			r = fn(j, &t, at, seq, err);
	}
	*ret_n = n;
	return r;
}

/* ---- the passes ---- */

static bool reserve(void **array, size_t n, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : 256;
	void *p;

	if (n < *room)
		return true;
	p = realloc(*array, more * size);
	if (!p)
		return false;
	*array = p;
	*room = more;
	return true;
}

static int on_tag(struct journal *j, const struct tag *t, uint32_t at, uint32_t seq,
		  struct err *err)
{
	struct overlay *o = j->o;

	if (t->fs_block >= j->fs_blocks || at >= j->blocks || j->map[at] == 0)
		return bad(j, "a block number is out of range", err);
	if (has_csum(j)) {
		uint32_t be_seq = htobe32(seq), crc;
		int r = read_block(j, at, j->data, err);

		if (r < 0)
			return r;
		crc = ext2fs_crc32c_le(j->csum_seed, (uint8_t *)&be_seq, sizeof(be_seq));
		crc = ext2fs_crc32c_le(crc, j->data, o->block_size);
		if (t->csum != (j->features & INC_CSUM3 ? crc : crc & 0xffff))
			return bad(j, "a block has a bad checksum", err);
	}
	if (!reserve((void **)&o->copies, o->n_copies, &o->room_copies, sizeof(*o->copies)))
		return err_nomem(err);
	o->copies[o->n_copies++] = (struct copy) { .fs_block = t->fs_block,
						   .at = j->map[at] * o->block_size,
						   .seq = seq,
						   .escaped = t->flags & TAG_ESCAPE };
	return 0;
}

static int take_revokes(struct journal *j, uint32_t seq, struct err *err)
{
	struct overlay *o = j->o;
	size_t size = j->features & INC_64BIT ? 8 : 4, end = be32_at(j->block + 12);

	if (end > o->block_size - (has_csum(j) ? 4 : 0) || !block_csum_ok(j, o->block_size - 4))
		return bad(j, "bad revocation block", err);
	for (size_t at = 16; at + size <= end; at += size) {
		uint64_t block = be32_at(j->block + at);

		if (size == 8)
			block = block << 32 | be32_at(j->block + at + 4);
		if (!reserve((void **)&o->revokes, o->n_revokes, &o->room_revokes,
			     sizeof(*o->revokes)))
			return err_nomem(err);
		o->revokes[o->n_revokes++] = (struct revoke) { block, seq };
	}
	return 0;
}

/* Walks the log. Without @collect only finds its end; with it takes what is before that end. */
static int walk(struct journal *j, bool collect, struct err *err)
{
	uint32_t at = j->start, seq = j->seq, visited = 0;

	while (visited < j->blocks && (!collect || seq != j->end_seq)) {
		uint32_t type, n = 0;
		int r = read_block(j, at, j->block, err);

		if (r < 0)
			return r;
		if (!is_log_block(j, seq, &type))
			break;
		if (type == DESCRIPTOR) {
			if (!block_csum_ok(j, j->o->block_size - 4)) {
				if (collect)
					return bad(j, "bad descriptor", err);
				break;
			}
			r = each_tag(j, at, seq, collect ? on_tag : NULL, &n, err);
		} else if (type == COMMIT) {
			if (!block_csum_ok(j, 16))
				break;
			seq++;
		} else if (type == REVOKE && collect) {
			r = take_revokes(j, seq, err);
		} else if (type != REVOKE) {
			break;
		}
		if (r < 0)
			return r;
		visited += n + 1;
		at = after(j, at, n + 1);
	}
	if (!collect)
		j->end_seq = seq;
	return 0;
}

/* ---- the map ---- */

static int by_block(const void *a, const void *b)
{
	const struct copy *x = a, *y = b;

	if (x->fs_block != y->fs_block)
		return x->fs_block < y->fs_block ? -1 : 1;
	return x->seq != y->seq ? ((int32_t)(x->seq - y->seq) < 0 ? -1 : 1)
				: (x->at > y->at) - (x->at < y->at);
}

static int by_revoked(const void *a, const void *b)
{
	const struct revoke *x = a, *y = b;

	if (x->fs_block != y->fs_block)
		return x->fs_block < y->fs_block ? -1 : 1;
	return (int32_t)(x->seq - y->seq) < 0 ? -1 : x->seq != y->seq;
}

/* Revoked in the copy's transaction or a later one. */
static bool is_revoked(const struct overlay *o, const struct copy *c)
{
	size_t low = 0, high = o->n_revokes;

	while (low < high) { /* first revocation of a higher block */
		size_t mid = (low + high) / 2;

		if (o->revokes[mid].fs_block <= c->fs_block)
			low = mid + 1;
		else
			high = mid;
	}
	return low > 0 && o->revokes[low - 1].fs_block == c->fs_block &&
	       (int32_t)(o->revokes[low - 1].seq - c->seq) >= 0;
}

static void keep_newest(struct overlay *o)
{
	size_t kept = 0;

	if (o->n_copies)
		qsort(o->copies, o->n_copies, sizeof(*o->copies), by_block);
	if (o->n_revokes)
		qsort(o->revokes, o->n_revokes, sizeof(*o->revokes), by_revoked);
	for (size_t i = 0; i < o->n_copies; i++) {
		if (i + 1 < o->n_copies && o->copies[i + 1].fs_block == o->copies[i].fs_block)
			continue;
		if (!is_revoked(o, &o->copies[i]))
			o->copies[kept++] = o->copies[i];
	}
	o->n_copies = kept;
}

int overlay_load(struct reader *r, struct overlay **ret, struct err *err)
{
	struct overlay *o = calloc(1, sizeof(*o));
	struct journal j = { .r = r, .o = o, .fs_blocks = ext2fs_blocks_count(r->fs->super) };
	int e;

	if (!o)
		return err_nomem(err);
	o->fd = r->fd;
	o->block_size = r->fs->blocksize;
	e = map_journal(&j, err);
	if (e == 0)
		e = read_super(&j, err);
	if (e == 0 && j.start)
		e = walk(&j, false, err);
	if (e == 0 && j.start)
		e = walk(&j, true, err);
	free(j.map);
	free(j.block);
	free(j.data);
	if (e < 0) {
		overlay_free(o);
		return e;
	}
	keep_newest(o);
	*ret = o;
	return 0;
}

struct overlay *overlay_free(struct overlay *o)
{
	if (o) {
		free(o->copies);
		free(o->revokes);
		free(o);
	}
	return NULL;
}

static int patch_one(const struct overlay *o, const struct copy *c, uint8_t *buf, size_t len,
		     uint64_t offset)
{
	const uint32_t magic = htobe32(JBD_MAGIC);
	uint64_t start = c->fs_block * o->block_size;
	uint64_t from = MAX(start, offset), to = MIN(start + o->block_size, offset + len);
	uint8_t *at = buf + (from - offset);

	if (pread(o->fd, at, (size_t)(to - from), (off_t)(c->at + (from - start))) !=
	    (ssize_t)(to - from))
		return -EIO;
	if (c->escaped && from == start && to - from >= sizeof(magic))
		memcpy(at, &magic, sizeof(magic));
	return 0;
}

int overlay_patch(struct overlay *o, void *buf, size_t len, uint64_t offset)
{
	uint64_t first = offset / o->block_size;
	size_t low = 0, high = o->n_copies;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (o->copies[mid].fs_block < first)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < o->n_copies && o->copies[low].fs_block * o->block_size < offset + len; low++) {
		int r = patch_one(o, &o->copies[low], buf, len, offset);

		if (r < 0)
			return r;
	}
	return 0;
}
