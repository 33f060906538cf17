/* host/image/reader.c - an existing image, opened for reading only */
#include "image/image-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

/* libext2fs's channel on a descriptor, with the journal's newer blocks laid over what it reads. */
static struct struct_io_manager layered;
static pthread_once_t layered_once = PTHREAD_ONCE_INIT;
static __thread bool opening;
static __thread struct overlay *opening_with;

static errcode_t layered_open(const char *name, int flags, io_channel *ret)
{
	errcode_t e = unixfd_io_manager->open(name, flags & ~IO_FLAG_RW, ret);

	if (e)
		return e;
	(*ret)->manager = &layered;
	return 0;
}

static errcode_t layered_read64(io_channel ch, unsigned long long block, int count, void *data)
{
	/* Once open, the channel's app_data is its ext2_filsys. */
	struct overlay *o = opening ? opening_with : ((ext2_filsys)ch->app_data)->priv_data;
	errcode_t e = unixfd_io_manager->read_blk64(ch, block, count, data);
	size_t len = count < 0 ? (size_t)-count : (size_t)count * (size_t)ch->block_size;

	if (e || !o)
		return e;
	return overlay_patch(o, data, len, block * (uint64_t)ch->block_size) < 0
		       ? EXT2_ET_SHORT_READ
		       : 0;
}

static errcode_t layered_read(io_channel ch, unsigned long block, int count, void *data)
{
	return layered_read64(ch, block, count, data);
}

static errcode_t refuse_write64(io_channel ch, unsigned long long block, int count,
				const void *data)
{
	return EXT2_ET_RO_FILSYS;
}

static errcode_t refuse_write(io_channel ch, unsigned long block, int count, const void *data)
{
	return EXT2_ET_RO_FILSYS;
}

static void prepare_manager(void)
{
	layered = *unixfd_io_manager;
	layered.name = "journal over fd";
	layered.open = layered_open;
	layered.read_blk = layered_read;
	layered.read_blk64 = layered_read64;
	layered.write_blk = refuse_write;
	layered.write_blk64 = refuse_write64;
	layered.write_byte = NULL;
	layered.discard = NULL;
	layered.zeroout = NULL;
}

static int open_fs(struct reader *r, struct err *err)
{
	const int flags = EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES;
	char fd_name[16];
	errcode_t e;
	int fd = fcntl(r->fd, F_DUPFD_CLOEXEC, 0); /* libext2fs closes its own */

	if (fd < 0)
		return err_errno(err, "cannot use '%s'", r->name);
	snprintf(fd_name, sizeof(fd_name), "%d", fd);
	opening = true;
	opening_with = r->overlay;
	e = ext2fs_open(fd_name, flags, 0, 0, &layered, &r->fs);
	opening = false;
	if (!e) {
		r->fs->priv_data = r->overlay;
		return 0;
	}
	r->fs = NULL;
	if (e == EXT2_ET_UNSUPP_FEATURE || e == EXT2_ET_RO_UNSUPP_FEATURE)
		return err_set(err, -EOPNOTSUPP, "'%s' uses features that are not supported",
			       r->name);
	if (e == EXT2_ET_BAD_MAGIC || e == EXT2_ET_SHORT_READ)
		return err_id(err, ERR_WSL_E_DISK_CORRUPTED, "'%s' is not an ext4 image", r->name);
	return err_ext2(err, e, "cannot open the image '%s'", r->name);
}

static void close_fs(struct reader *r)
{
	if (r->fs)
		ext2fs_free(r->fs); /* never ext2fs_close(): nothing may be written */
	r->fs = NULL;
}

int reader_open(struct reader *r, int fd, const char *name, struct err *err)
{
	int ret;

	pthread_once(&layered_once, prepare_manager);
	*r = (struct reader) { .fd = fd, .name = name };
	ret = open_fs(r, err);
	if (ret == 0 && ext2fs_has_feature_journal_needs_recovery(r->fs->super)) {
		ret = overlay_load(r, &r->overlay, err);
		close_fs(r); /* superblock and groups may be newer in the journal */
		if (ret == 0)
			ret = open_fs(r, err);
	}
	if (ret < 0)
		reader_close(r);
	return ret;
}

void reader_close(struct reader *r)
{
	close_fs(r);
	r->overlay = overlay_free(r->overlay);
}

static int corrupted(struct reader *r, uint32_t ino, struct err *err)
{
	return err_id(err, ERR_WSL_E_DISK_CORRUPTED, "'%s': the block map of inode %u is damaged",
		      r->name, ino);
}

static int extent_runs(struct reader *r, uint32_t ino, struct ext2_inode *inode, run_fn fn,
		       void *arg, struct err *err)
{
	uint64_t next = 0, last = ext2fs_blocks_count(r->fs->super);
	ext2_extent_handle_t handle;
	struct ext2fs_extent x;
	int op = EXT2_EXTENT_ROOT, ret = 0;
	errcode_t e = ext2fs_extent_open2(r->fs, ino, inode, &handle);

	if (e)
		return err_ext2(err, e, "'%s': inode %u", r->name, ino);
	while (ret == 0 && (e = ext2fs_extent_get(handle, op, &x)) == 0) {
		op = EXT2_EXTENT_NEXT;
		if (!(x.e_flags & EXT2_EXTENT_FLAGS_LEAF) ||
		    x.e_flags & EXT2_EXTENT_FLAGS_SECOND_VISIT)
			continue;
		if (x.e_lblk < next || x.e_len == 0 || x.e_pblk == 0 || x.e_pblk >= last ||
		    x.e_len > last - x.e_pblk) {
			ret = corrupted(r, ino, err);
			break;
		}
		next = x.e_lblk + x.e_len;
		if (!(x.e_flags & EXT2_EXTENT_FLAGS_UNINIT))
			ret = fn(arg, &(struct run) { x.e_lblk, x.e_pblk, x.e_len }, err);
	}
	ext2fs_extent_free(handle);
	if (ret == 0 && e != EXT2_ET_EXTENT_NO_NEXT && e != EXT2_ET_NO_CURRENT_NODE)
		ret = err_ext2(err, e, "'%s': inode %u", r->name, ino);
	return ret;
}

struct mapped { /* collects single blocks into runs */
	struct run run;
	run_fn fn;
	void *arg;
	struct err *err;
	int ret;
	bool bad;
	uint64_t blocks;
};

static int on_block(ext2_filsys fs, blk64_t *pblk, e2_blkcnt_t lblk, blk64_t ref, int ref_offset,
		    void *arg)
{
	struct mapped *m = arg;
	struct run *run = &m->run;

	if (lblk < 0 || *pblk == 0)
		return 0;
	if (*pblk >= m->blocks || (run->n && (uint64_t)lblk < run->lblk + run->n)) {
		m->bad = true;
		return BLOCK_ABORT;
	}
	if (run->n && (uint64_t)lblk == run->lblk + run->n && *pblk == run->pblk + run->n) {
		run->n++;
		return 0;
	}
	if (run->n)
		m->ret = m->fn(m->arg, run, m->err);
	*run = (struct run) { (uint64_t)lblk, *pblk, 1 };
	return m->ret < 0 ? BLOCK_ABORT : 0;
}

static int map_runs(struct reader *r, uint32_t ino, run_fn fn, void *arg, struct err *err)
{
	struct mapped m = {
		.fn = fn, .arg = arg, .err = err, .blocks = ext2fs_blocks_count(r->fs->super)
	};
	errcode_t e = ext2fs_block_iterate3(r->fs, ino, BLOCK_FLAG_READ_ONLY | BLOCK_FLAG_DATA_ONLY,
					    NULL, on_block, &m);

	if (m.ret < 0)
		return m.ret;
	if (m.bad)
		return corrupted(r, ino, err);
	if (e)
		return err_ext2(err, e, "'%s': inode %u", r->name, ino);
	return m.run.n ? fn(arg, &m.run, err) : 0;
}

int reader_runs(struct reader *r, uint32_t ino, struct ext2_inode *inode, run_fn fn, void *arg,
		struct err *err)
{
	if (inode->i_flags & EXT4_EXTENTS_FL)
		return extent_runs(r, ino, inode, fn, arg, err);
	return map_runs(r, ino, fn, arg, err);
}

int reader_pread(struct reader *r, void *buf, size_t len, uint64_t offset, struct err *err)
{
	size_t done = 0;
	int ret;

	while (done < len) {
		ssize_t n = pread(r->fd, (char *)buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "cannot read '%s'", r->name);
		if (n == 0) /* a file shorter than its file system */
			return err_id(err, ERR_WSL_E_DISK_CORRUPTED, "'%s' is cut short", r->name);
		done += (size_t)n;
	}
	if (!r->overlay)
		return 0;
	ret = overlay_patch(r->overlay, buf, len, offset);
	return ret < 0 ? err_code(err, ret, "cannot read the journal of '%s'", r->name) : 0;
}
