/* host/image/builder.c - an ext4 file system under construction
 *
 * THEORY OF OPERATION
 *   libext2fs lays out the file system: superblock, groups, bitmaps, inode tables, journal. The
 *   file is sparse and new, so inode tables are zero without being written; the groups say so
 *   (INODE_ZEROED), which spares the guest's kernel the background zeroing of gigabytes. One flex
 *   group holds the tables of 4096 groups, so that data lies in long runs. File contents, extent
 *   trees and directories bypass libext2fs: alloc.c gives out blocks in ascending order and out.c
 *   writes them in large pieces.
 * FEATURES
 *   What mke2fs chooses for ext4, without 64bit below 16 TiB (descriptors of half the size), with
 *   a journal of at most 128 MiB, no reserved blocks, and room to grow to four times the size. No
 *   feature that e2fsck of older distributions does not know.
 */
#include "image/image-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BYTES_PER_INODE  16384u
#define LOG_GROUPS_FLEX  12u /* mke2fs -G 4096 */
#define GROUP_BLOCKS     32768u
#define GROWTH           4u
#define JOURNAL_MAX_BLKS (128u * MIB / BLOCK_BYTES)
#define JOURNAL_MIN_BLKS 1024u
#define BLOCKS_32BIT     0xffffffffull
#define MAX_IMAGE_BYTES  (64ull * TIB)

static void set_features(struct ext2_super_block *p, uint64_t blocks)
{
	p->s_feature_compat = EXT2_FEATURE_COMPAT_DIR_INDEX | EXT2_FEATURE_COMPAT_EXT_ATTR |
			      EXT2_FEATURE_COMPAT_RESIZE_INODE;
	p->s_feature_incompat = EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_EXTENTS |
				EXT4_FEATURE_INCOMPAT_FLEX_BG;
	p->s_feature_ro_compat =
		EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE |
		EXT4_FEATURE_RO_COMPAT_HUGE_FILE | EXT4_FEATURE_RO_COMPAT_DIR_NLINK |
		EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE | EXT4_FEATURE_RO_COMPAT_METADATA_CSUM;
	if (blocks > BLOCKS_32BIT) {
		p->s_feature_incompat |= EXT4_FEATURE_INCOMPAT_64BIT;
		p->s_desc_size = EXT2_MIN_DESC_SIZE_64BIT;
		p->s_feature_compat &= ~(uint32_t)EXT2_FEATURE_COMPAT_RESIZE_INODE;
	}
}

static void set_geometry(struct ext2_super_block *p, uint64_t blocks)
{
	uint64_t inodes = blocks * BLOCK_BYTES / BYTES_PER_INODE;
	uint64_t groups = (blocks + GROUP_BLOCKS - 1) / GROUP_BLOCKS;
	uint64_t most = MIN(blocks * GROWTH, BLOCKS_32BIT) / GROUP_BLOCKS;
	uint64_t per_block = BLOCK_BYTES / EXT2_MIN_DESC_SIZE;
	uint64_t reserve = (MAX(most, groups) + per_block - 1) / per_block -
			   (groups + per_block - 1) / per_block;

	p->s_log_block_size = 2;
	p->s_log_cluster_size = 2;
	p->s_rev_level = EXT2_DYNAMIC_REV;
	ext2fs_blocks_count_set(p, blocks);
	p->s_inodes_count = (uint32_t)MIN(inodes, BLOCKS_32BIT);
	p->s_inode_size = INODE_BYTES;
	p->s_min_extra_isize = 32;
	p->s_want_extra_isize = 32;
	p->s_log_groups_per_flex = LOG_GROUPS_FLEX;
	if (p->s_feature_compat & EXT2_FEATURE_COMPAT_RESIZE_INODE)
		p->s_reserved_gdt_blocks = (uint16_t)MIN(reserve, (uint64_t)BLOCK_BYTES / 4);
}

static void random_bytes(void *p, size_t len)
{
	uint8_t *at = p;

	while (len) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort(); /* not for lengths like ours, once the system is up */
		at += n;
		len -= (size_t)n;
	}
}

static void set_identity(struct builder *b)
{
	struct ext2_super_block *s = b->fs->super;

	random_bytes(s->s_uuid, sizeof(s->s_uuid));
	s->s_uuid[6] = (uint8_t)((s->s_uuid[6] & 0x0f) | 0x40);
	s->s_uuid[8] = (uint8_t)((s->s_uuid[8] & 0x3f) | 0x80);
	random_bytes(s->s_hash_seed, sizeof(s->s_hash_seed));
	s->s_checksum_type = EXT2_CRC32C_CHKSUM;
	ext2fs_init_csum_seed(b->fs);
	s->s_def_hash_version = EXT2_HASH_HALF_MD4;
	s->s_flags |= EXT2_FLAGS_SIGNED_HASH;
	s->s_mkfs_time = (uint32_t)b->now.tv_sec;
	s->s_lastcheck = s->s_mkfs_time;
	s->s_wtime = s->s_mkfs_time;
	s->s_max_mnt_count = -1;
	s->s_checkinterval = 0;
	s->s_errors = EXT2_ERRORS_RO;
	s->s_default_mount_opts = EXT2_DEFM_XATTR_USER | EXT2_DEFM_ACL | EXT4_DEFM_DISCARD;
	ext2fs_r_blocks_count_set(s, 0);
}

static errcode_t reserve_inodes(ext2_filsys fs)
{
	for (ext2_ino_t i = EXT2_BAD_INO; i < EXT2_FIRST_INODE(fs->super); i++)
		ext2fs_inode_alloc_stats2(fs, i, +1, i == EXT2_ROOT_INO);
	return ext2fs_update_bb_inode(fs, NULL);
}

static errcode_t add_journal(ext2_filsys fs)
{
	blk64_t blocks = ext2fs_blocks_count(fs->super);
	struct ext2fs_journal_params params = { 0 };
	blk64_t goal = 0;
	blk64_t size = blocks / 16;

	if (size < JOURNAL_MIN_BLKS)
		return 0; /* a toy: works without */
	params.num_journal_blocks = (blk_t)MIN(size, (blk64_t)JOURNAL_MAX_BLKS);
	ext2fs_find_first_zero_block_bitmap2(fs->block_map, fs->super->s_first_data_block + 1,
					     blocks - 1, &goal);
	return ext2fs_add_journal_inode3(fs, &params, goal,
					 EXT2_MKJOURNAL_LAZYINIT | EXT2_MKJOURNAL_NO_MNT_CHECK);
}

static int lay_out(struct builder *b, struct err *err)
{
	ext2_filsys fs = b->fs;
	errcode_t e = ext2fs_allocate_tables(fs);

	for (dgrp_t g = 0; !e && g < fs->group_desc_count; g++) {
		ext2fs_bg_flags_set(fs, g, EXT2_BG_INODE_ZEROED);
		ext2fs_group_desc_csum_set(fs, g);
	}
	if (!e)
		e = reserve_inodes(fs);
	if (!e && ext2fs_has_feature_resize_inode(fs->super))
		e = ext2fs_create_resize_inode(fs);
	if (!e)
		e = add_journal(fs);
	if (e)
		return err_ext2(err, e, "cannot lay out a file system in '%s'", b->name);
	fs->super->s_overhead_clusters =
		(uint32_t)(ext2fs_blocks_count(fs->super) - ext2fs_free_blocks_count(fs->super));
	return 0;
}

static int size_file(struct builder *b, uint64_t size, bool fixed, struct err *err)
{
	struct stat st;

	if (fstat(b->fd, &st) < 0)
		return err_errno(err, "cannot use '%s'", b->name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "'%s' is not a regular file", b->name);
	if (ftruncate(b->fd, 0) < 0 || ftruncate(b->fd, (off_t)size) < 0)
		return err_io(err, -errno, b->name);
	if (fixed) {
		int r = posix_fallocate(b->fd, 0, (off_t)size);

		if (r != 0)
			return err_io(err, -r, b->name);
	}
	return 0;
}

static int initialize(struct builder *b, uint64_t size, struct err *err)
{
	struct ext2_super_block param = { 0 };
	char fd_name[16];
	errcode_t e;
	int fd = dup(b->fd); /* libext2fs closes its own */

	if (fd < 0)
		return err_errno(err, "cannot use '%s'", b->name);
	snprintf(fd_name, sizeof(fd_name), "%d", fd);
	set_features(&param, size / BLOCK_BYTES);
	set_geometry(&param, size / BLOCK_BYTES);
	e = ext2fs_initialize(fd_name, EXT2_FLAG_EXCLUSIVE | EXT2_FLAG_64BITS | EXT2_FLAG_RW,
			      &param, unixfd_io_manager, &b->fs);
	if (e) {
		b->fs = NULL;
		close(fd);
		return err_ext2(err, e, "cannot make a file system in '%s'", b->name);
	}
	return 0;
}

static int add_root(struct builder *b, struct err *err)
{
	union inode_buf inode = { 0 };
	uint32_t ino;
	int r;

	inode.s.i_mode = LINUX_S_IFDIR | 0755;
	inode_set_time(&inode.l.i_mtime, &inode.l.i_mtime_extra, b->now.tv_sec, b->now.tv_nsec);
	inode.l.i_atime = inode.l.i_mtime;
	inode.l.i_atime_extra = inode.l.i_mtime_extra;
	r = write_inode(b, EXT4_ROOT_INO, &inode, err);
	if (r < 0)
		return r;
	/* e2fsck wants a place for what it finds. */
	r = alloc_inode(b, true, &ino, err);
	if (r < 0)
		return r;
	inode.s.i_mode = LINUX_S_IFDIR | 0700;
	r = write_inode(b, ino, &inode, err);
	if (r < 0)
		return r;
	if (!tree_add(b->tree, tree_root(b->tree), "lost+found", 10, ino, EXT2_FT_DIR))
		return err_nomem(err);
	return 0;
}

int builder_open(struct builder *b, int fd, const char *name, uint64_t size, bool fixed,
		 struct err *err)
{
	int r;

	*b = (struct builder) { .fd = fd, .name = name };
	clock_gettime(CLOCK_REALTIME, &b->now);
	if (size == 0)
		size = IMAGE_DEFAULT_BYTES;
	size -= size % BLOCK_BYTES;
	if (size < IMAGE_MIN_BYTES || size > MAX_IMAGE_BYTES)
		return err_id(
			err, ERR_E_INVALIDARG,
			"an image of %llu bytes is not possible; choose a size from 16MB to 64TB",
			(unsigned long long)size);
	r = size_file(b, size, fixed, err);
	if (r == 0)
		r = initialize(b, size, err);
	if (r < 0)
		return r;
	set_identity(b);
	r = lay_out(b, err);
	if (r < 0)
		return r;
	b->next_ino = EXT2_FIRST_INODE(b->fs->super);
	b->end = b->fs->super->s_first_data_block + 1;
	b->next = b->marked = b->end;
	r = out_new(fd, &b->out, err);
	if (r < 0)
		return r;
	b->tree = tree_new(EXT4_ROOT_INO);
	b->extents = extent_tree_new();
	if (!b->tree || !b->extents)
		return err_nomem(err);
	return add_root(b, err);
}

int builder_finish(struct builder *b, struct err *err)
{
	errcode_t e;
	int r = dirs_write(b, err);

	if (r < 0)
		return r;
	alloc_settle(b);
	r = out_flush(b->out);
	if (r < 0)
		return err_io(err, r, b->name);
	e = ext2fs_close2(b->fs, EXT2_FLAG_FLUSH_NO_SYNC);
	if (e)
		return err_ext2(err, e, "cannot write '%s'", b->name);
	b->fs = NULL;
	return 0;
}

void builder_close(struct builder *b)
{
	b->out = out_free(b->out);
	b->tree = tree_free(b->tree);
	free(b->extents);
	b->extents = NULL;
	if (b->fs) {
		b->fs->flags &= ~EXT2_FLAG_DIRTY; /* it failed: nothing is worth writing */
		ext2fs_free(b->fs);
		b->fs = NULL;
	}
}

int image_create(int image_fd, const char *name, uint64_t size_bytes, bool fixed, struct err *err)
{
	struct builder b;
	int r = builder_open(&b, image_fd, name, size_bytes, fixed, err);

	if (r == 0)
		r = builder_finish(&b, err);
	builder_close(&b);
	return r;
}
