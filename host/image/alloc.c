/* host/image/alloc.c - blocks and inodes of the image being built
 *
 * Blocks are given out in ascending order from the free runs of libext2fs's bitmap, which learns of
 * them in large pieces (alloc_settle). Freed blocks are reused only after the end of the image was
 * reached once, so a file that was replaced costs sparse space, not time.
 */
#include "image/image-internal.h"

#include <errno.h>

void alloc_settle(struct builder *b)
{
	while (b->marked < b->next) {
		blk_t n = (blk_t)MIN(b->next - b->marked, (blk64_t)1 << 20);

		ext2fs_block_alloc_stats_range(b->fs, b->marked, n, +1);
		b->marked += n;
	}
}

/* Finds the next free run at or after @from; false: none. */
static bool find_run(struct builder *b, blk64_t from)
{
	blk64_t last = ext2fs_blocks_count(b->fs->super) - 1, first, end;

	if (from > last ||
	    ext2fs_find_first_zero_block_bitmap2(b->fs->block_map, from, last, &first) != 0)
		return false;
	if (ext2fs_find_first_set_block_bitmap2(b->fs->block_map, first, last, &end) != 0)
		end = last + 1;
	b->marked = b->next = first;
	b->end = end;
	return true;
}

int alloc_blocks(struct builder *b, uint32_t want, blk64_t *ret, struct err *err)
{
	uint32_t n;

	if (b->next == b->end) {
		blk64_t from = b->end;

		alloc_settle(b);
		if (!find_run(b, from)) {
			char size[32];

			if (!find_run(b, b->fs->super->s_first_data_block + 1)) {
				format_size(size, sizeof(size),
					    ext2fs_blocks_count(b->fs->super) * BLOCK_BYTES);
				return err_id(
					err, ERR_ERROR_DISK_FULL,
					"the content does not fit into an image of %s; choose "
					"a larger size",
					size);
			}
		}
	}
	n = (uint32_t)MIN((blk64_t)want, b->end - b->next);
	*ret = b->next;
	b->next += n;
	b->blocks += n;
	return (int)n;
}

void free_blocks(struct builder *b, blk64_t first, uint32_t n)
{
	alloc_settle(b);
	ext2fs_block_alloc_stats_range(b->fs, first, n, -1);
	b->blocks -= n;
}

int alloc_inode(struct builder *b, bool dir, uint32_t *ret, struct err *err)
{
	if (b->next_ino > b->fs->super->s_inodes_count)
		return err_id(err, ERR_ERROR_DISK_FULL,
			      "an image of this size has room for %u files; choose a larger size",
			      b->fs->super->s_inodes_count);
	*ret = b->next_ino++;
	ext2fs_inode_alloc_stats2(b->fs, *ret, +1, dir);
	b->files++;
	return 0;
}

int read_inode(struct builder *b, uint32_t ino, union inode_buf *ret, struct err *err)
{
	errcode_t e = ext2fs_read_inode_full(b->fs, ino, &ret->s, sizeof(*ret));

	return e ? err_ext2(err, e, "cannot read inode %u of '%s'", ino, b->name) : 0;
}

int write_inode(struct builder *b, uint32_t ino, union inode_buf *inode, struct err *err)
{
	errcode_t e;

	inode->l.i_extra_isize = 32;
	inode_set_time(&inode->l.i_ctime, &inode->l.i_ctime_extra, b->now.tv_sec, b->now.tv_nsec);
	if (!inode->l.i_crtime) {
		inode->l.i_crtime = inode->l.i_ctime;
		inode->l.i_crtime_extra = inode->l.i_ctime_extra;
	}
	e = ext2fs_write_inode_full(b->fs, ino, &inode->s, sizeof(*inode));
	return e ? err_ext2(err, e, "cannot write '%s'", b->name) : 0;
}

int release_inode(struct builder *b, uint32_t ino, bool whole, struct err *err)
{
	union inode_buf inode;
	blk64_t acl;
	int r = read_inode(b, ino, &inode, err);

	if (r < 0)
		return r;
	r = extent_tree_walk(b, &inode, free_blocks, err);
	if (r < 0)
		return r;
	memset(inode.s.i_block, 0, sizeof(inode.s.i_block));
	inode_set_size(&inode, 0);
	acl = ext2fs_file_acl_block(b->fs, &inode.s);
	inode.s.i_blocks = 0;
	inode.s.osd2.linux2.l_i_blocks_hi = 0;
	if (!whole) { /* the attributes stay */
		inode_add_blocks(&inode, acl ? 1 : 0);
		return write_inode(b, ino, &inode, err);
	}
	if (acl)
		free_blocks(b, acl, 1);
	ext2fs_inode_alloc_stats2(b->fs, ino, -1, LINUX_S_ISDIR(inode.s.i_mode));
	b->files--;
	memset(&inode, 0, sizeof(inode));
	inode.s.i_dtime = (uint32_t)b->now.tv_sec;
	return write_inode(b, ino, &inode, err);
}

/* ext4's 34-bit seconds and 30-bit nanoseconds; later and earlier times are clamped. */
void inode_set_time(uint32_t *sec, uint32_t *extra, int64_t s, long ns)
{
	const int64_t first = INT32_MIN, last = first + (1ll << 34) - 1;

	if (s < first || s > last) {
		s = s < first ? first : last;
		ns = 0;
	}
	if (ns < 0 || ns > 999999999)
		ns = 0;
	*sec = (uint32_t)s;
	*extra = (uint32_t)((s - (int32_t)s) >> 32 & EXT4_EPOCH_MASK) | (uint32_t)ns << 2;
}

uint64_t inode_blocks(const union inode_buf *inode)
{
	return (inode->l.i_blocks | (uint64_t)inode->l.osd2.linux2.l_i_blocks_hi << 32) /
	       (BLOCK_BYTES / 512);
}

void inode_add_blocks(union inode_buf *inode, uint64_t blocks)
{
	uint64_t sectors = (inode_blocks(inode) + blocks) * (BLOCK_BYTES / 512);

	inode->l.i_blocks = (uint32_t)sectors;
	inode->l.osd2.linux2.l_i_blocks_hi = (uint16_t)(sectors >> 32);
}

void inode_set_size(union inode_buf *inode, uint64_t size)
{
	inode->l.i_size = (uint32_t)size;
	inode->l.i_size_high = (uint32_t)(size >> 32);
}
