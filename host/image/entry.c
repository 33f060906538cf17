/* host/image/entry.c - one file of an image as an archive entry */
#include "image/export-internal.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/cleanup.h"

#define RUNS_MAX 65536u /* pieces of a sparse file; with more, holes are written as zeros */

struct runs {
	struct run *v;
	size_t n, room;
	bool too_many;
};

struct stream { /* contents on their way into the archive */
	struct exporter *x;
	uint64_t pos, size;
	uint32_t block_size;
};

int export_write_failed(struct exporter *x, struct err *err)
{
	if (x->write_error)
		return err_io(err, x->write_error, x->job->target_name);
	if (archive_errno(x->archive) == ENOMEM)
		return err_nomem(err);
	return err_set(err, -EIO, "cannot write '%s': %s", x->job->target_name,
		       archive_error_string(x->archive));
}

static int damaged(struct exporter *x, uint32_t ino, const char *what, struct err *err)
{
	return err_id(err, ERR_WSL_E_DISK_CORRUPTED, "'%s': inode %u is damaged: %s",
		      x->reader.name, ino, what);
}

/* ---- metadata ---- */

static int64_t full_time(uint32_t sec, uint32_t extra)
{
	return (int64_t)(int32_t)sec + ((int64_t)(extra & EXT4_EPOCH_MASK) << 32);
}

static void set_times(struct exporter *x, const union inode_buf *inode)
{
	const struct ext2_inode_large *l = &inode->l;
	uint32_t extra = 0;

	if (EXT2_INODE_SIZE(x->reader.fs->super) > EXT2_GOOD_OLD_INODE_SIZE &&
	    l->i_extra_isize >= 12)
		extra = l->i_mtime_extra;
	archive_entry_set_mtime(x->entry, (time_t)full_time(l->i_mtime, extra),
				(long)MIN(extra >> 2, 999999999u));
}

static void set_device(struct archive_entry *entry, const struct ext2_inode *inode)
{
	uint32_t old = inode->i_block[0], new = inode->i_block[1];

	if (old)
		archive_entry_set_rdev(entry, makedev(old >> 8 & 0xff, old & 0xff));
	else
		archive_entry_set_rdev(
			entry, makedev(new >> 8 & 0xfff, (new & 0xff) | (new >> 12 & 0xfff00)));
}

struct xattr_arg {
	struct exporter *x;
	uint32_t ino;
	struct err *err;
	int ret;
};

static int on_xattr(char *name, char *value, size_t size, void *arg)
{
	struct xattr_arg *a = arg;
	int type = 0;

	if (streq(name, "system.posix_acl_access"))
		type = ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
	else if (streq(name, "system.posix_acl_default"))
		type = ARCHIVE_ENTRY_ACL_TYPE_DEFAULT;
	if (type) {
		if (acl_to_entry(a->x->entry, type, value, size) < 0) {
			a->ret = damaged(a->x, a->ino, "its access control list", a->err);
			return XATTR_ABORT;
		}
	} else if (!str_after(name, "system.")) {
		archive_entry_xattr_add_entry(a->x->entry, name, value, size);
	}
	return 0;
}

static bool has_xattrs(struct exporter *x, const union inode_buf *inode)
{
	unsigned size = EXT2_INODE_SIZE(x->reader.fs->super);
	unsigned at = EXT2_GOOD_OLD_INODE_SIZE + inode->l.i_extra_isize;
	uint32_t magic;

	if (ext2fs_file_acl_block(x->reader.fs, &inode->s))
		return true;
	if (size <= EXT2_GOOD_OLD_INODE_SIZE)
		return false;
	if (size > sizeof(*inode) || at + sizeof(magic) > size)
		return true; /* let libext2fs look */
	memcpy(&magic, inode->raw + at, sizeof(magic));
	return magic == EXT2_EXT_ATTR_MAGIC; /* libext2fs brought it to our byte order */
}

static int set_xattrs(struct exporter *x, uint32_t ino, const union inode_buf *inode,
		      struct err *err)
{
	struct xattr_arg arg = { x, ino, err, 0 };
	struct ext2_xattr_handle *h;
	unsigned flags = XATTR_HANDLE_FLAG_RAW;
	errcode_t e;

	if (!has_xattrs(x, inode))
		return 0;
	e = ext2fs_xattrs_open(x->reader.fs, ino, &h);
	if (e)
		return err_ext2(err, e, "'%s': attributes of inode %u", x->reader.name, ino);
	ext2fs_xattrs_flags(h, &flags, NULL);
	e = ext2fs_xattrs_read(h);
	if (!e)
		e = ext2fs_xattrs_iterate(h, on_xattr, &arg);
	ext2fs_xattrs_close(&h);
	if (e)
		return err_ext2(err, e, "'%s': attributes of inode %u", x->reader.name, ino);
	return arg.ret;
}

static int set_metadata(struct exporter *x, const char *path, uint32_t ino,
			const union inode_buf *inode, struct err *err)
{
	const uint32_t kept = EXT2_SYNC_FL | EXT2_IMMUTABLE_FL | EXT2_APPEND_FL | EXT2_NODUMP_FL |
			      EXT2_NOATIME_FL;
	struct archive_entry *e = x->entry;

	archive_entry_clear(e);
	archive_entry_copy_pathname(e, path);
	archive_entry_set_mode(e, inode->s.i_mode);
	archive_entry_set_uid(e, inode_uid(inode->s));
	archive_entry_set_gid(e, inode_gid(inode->s));
	set_times(x, inode);
	if (inode->s.i_flags & kept)
		archive_entry_set_fflags(e, inode->s.i_flags & kept, 0);
	return set_xattrs(x, ino, inode, err);
}

/* ---- contents ---- */

static int put(struct stream *s, const void *bytes, size_t len, struct err *err)
{
	struct exporter *x = s->x;

	while (len) {
		la_ssize_t n = archive_write_data(x->archive, bytes, len);

		if (n <= 0)
			return export_write_failed(x, err);
		bytes = (const uint8_t *)bytes + n;
		len -= (size_t)n;
		s->pos += (uint64_t)n;
	}
	return 0;
}

/* In a sparse entry libarchive only counts these bytes, so the length of a hole costs nothing. */
static int put_zeros(struct stream *s, uint64_t to, struct err *err)
{
	int r = 0;

	while (r == 0 && s->pos < to)
		r = put(s, s->x->zeros, (size_t)MIN(to - s->pos, (uint64_t)EXPORT_ZEROS_BYTES),
			err);
	return r;
}

static int put_run(void *arg, const struct run *run, struct err *err)
{
	struct stream *s = arg;
	struct exporter *x = s->x;
	uint64_t start = run->lblk * s->block_size;
	uint64_t end = MIN(start + run->n * s->block_size, s->size);
	uint64_t from = run->pblk * s->block_size;
	int r = 0;

	if (start >= s->size)
		return 0; /* allocated beyond the end */
	r = put_zeros(s, start, err);
	while (r == 0 && s->pos < end) {
		size_t n = (size_t)MIN(end - s->pos, (uint64_t)EXPORT_BUF_BYTES);

		r = reader_pread(&x->reader, x->buf, n, from, err);
		if (r == 0)
			r = put(s, x->buf, n, err);
		from += n;
		x->done += n;
		ticker_tick(&x->ticker, x->done, x->total);
	}
	return r;
}

static int collect_run(void *arg, const struct run *run, struct err *err)
{
	struct runs *runs = arg;

	if (runs->n == RUNS_MAX) {
		runs->too_many = true;
		return 0;
	}
	if (runs->n && runs->v[runs->n - 1].lblk + runs->v[runs->n - 1].n == run->lblk &&
	    runs->v[runs->n - 1].pblk + runs->v[runs->n - 1].n == run->pblk) {
		runs->v[runs->n - 1].n += run->n;
		return 0;
	}
	if (runs->n == runs->room) {
		size_t room = runs->room ? runs->room * 2 : 16;
		struct run *v = realloc(runs->v, room * sizeof(*v));

		if (!v)
			return err_nomem(err);
		runs->v = v;
		runs->room = room;
	}
	runs->v[runs->n++] = *run;
	return 0;
}

static bool is_sparse(const struct runs *runs, uint64_t size, uint32_t block_size)
{
	uint64_t next = 0;

	for (size_t i = 0; i < runs->n; i++) {
		if (runs->v[i].lblk != next)
			return true;
		next += runs->v[i].n;
	}
	return next * block_size < size;
}

static void set_sparse(struct archive_entry *entry, const struct runs *runs, uint64_t size,
		       uint32_t block_size)
{
	bool any = false;

	for (size_t i = 0; i < runs->n; i++) {
		uint64_t start = runs->v[i].lblk * block_size;
		uint64_t len = runs->v[i].n * block_size;

		if (start >= size)
			break;
		archive_entry_sparse_add_entry(entry, (la_int64_t)start,
					       (la_int64_t)MIN(len, size - start));
		any = true;
	}
	if (!any)
		archive_entry_sparse_add_entry(entry, 0, 0);
}

static int put_header(struct exporter *x, struct err *err)
{
	int r = archive_write_header(x->archive, x->entry);

	/* ARCHIVE_WARN: a name that is not UTF-8, kept as it is */
	return r == ARCHIVE_OK || r == ARCHIVE_WARN ? 0 : export_write_failed(x, err);
}

static int export_inline(struct exporter *x, uint32_t ino, union inode_buf *inode, struct stream *s,
			 struct err *err)
{
	size_t len = 0;
	errcode_t e = ext2fs_inline_data_size(x->reader.fs, ino, &len);
	auto_free uint8_t *bytes = NULL;
	int r;

	if (!e && len > x->reader.fs->blocksize)
		return damaged(x, ino, "its inline data", err);
	bytes = calloc(1, len + 1);
	if (!bytes)
		return err_nomem(err);
	if (!e)
		e = ext2fs_inline_data_get(x->reader.fs, ino, &inode->s, bytes, &len);
	if (e)
		return err_ext2(err, e, "'%s': inode %u", x->reader.name, ino);
	r = put_header(x, err);
	if (r == 0)
		r = put(s, bytes, (size_t)MIN((uint64_t)len, s->size), err);
	return r < 0 ? r : put_zeros(s, s->size, err);
}

static int export_mapped(struct exporter *x, uint32_t ino, union inode_buf *inode, struct stream *s,
			 struct runs *runs, struct err *err)
{
	int r = reader_runs(&x->reader, ino, &inode->s, collect_run, runs, err);

	if (r < 0)
		return r;
	if (!runs->too_many && is_sparse(runs, s->size, s->block_size))
		set_sparse(x->entry, runs, s->size, s->block_size);
	r = put_header(x, err);
	if (r == 0 && runs->too_many)
		r = reader_runs(&x->reader, ino, &inode->s, put_run, s, err);
	for (size_t i = 0; r == 0 && !runs->too_many && i < runs->n; i++)
		r = put_run(s, &runs->v[i], err);
	return r < 0 ? r : put_zeros(s, s->size, err);
}

static int export_file(struct exporter *x, uint32_t ino, union inode_buf *inode, struct err *err)
{
	struct stream s = { .x = x,
			    .size = EXT2_I_SIZE(&inode->s),
			    .block_size = x->reader.fs->blocksize };
	struct runs runs = { 0 };
	int r;

	if (s.size > (uint64_t)INT64_MAX / 2)
		return damaged(x, ino, "its size", err);
	archive_entry_set_size(x->entry, (la_int64_t)s.size);
	if (inode->s.i_flags & EXT4_INLINE_DATA_FL)
		return export_inline(x, ino, inode, &s, err);
	if (s.size == 0)
		return put_header(x, err);
	r = export_mapped(x, ino, inode, &s, &runs, err);
	free(runs.v);
	return r;
}

static int first_run(void *arg, const struct run *run, struct err *err)
{
	struct run *first = arg;

	if (first->n == 0)
		*first = *run;
	return 0;
}

/* Reads a symbolic link's target into x->buf, terminated. */
static int read_link(struct exporter *x, uint32_t ino, union inode_buf *inode, struct err *err)
{
	uint64_t size = EXT2_I_SIZE(&inode->s);
	struct run run = { 0 };
	int r = 0;

	if (size == 0 || size >= x->reader.fs->blocksize)
		return damaged(x, ino, "the length of a symbolic link", err);
	if (inode->s.i_flags & EXT4_INLINE_DATA_FL) {
		size_t len = (size_t)size;
		errcode_t e = ext2fs_inline_data_size(x->reader.fs, ino, &len);

		if (!e && len < EXPORT_BUF_BYTES)
			e = ext2fs_inline_data_get(x->reader.fs, ino, &inode->s, x->buf, &len);
		if (e || len < size)
			return damaged(x, ino, "a symbolic link", err);
	} else if (ext2fs_is_fast_symlink(&inode->s)) {
		if (size > sizeof(inode->s.i_block))
			return damaged(x, ino, "the length of a symbolic link", err);
		memcpy(x->buf, inode->s.i_block, (size_t)size);
	} else {
		r = reader_runs(&x->reader, ino, &inode->s, first_run, &run, err);
		if (r == 0 && (run.n == 0 || run.lblk != 0))
			r = damaged(x, ino, "a symbolic link", err);
		if (r == 0)
			r = reader_pread(&x->reader, x->buf, (size_t)size,
					 run.pblk * x->reader.fs->blocksize, err);
	}
	x->buf[size] = '\0';
	return r;
}

int entry_export(struct exporter *x, const char *path, uint32_t ino, union inode_buf *inode,
		 struct err *err)
{
	unsigned mode = inode->s.i_mode;
	int r;

	if (S_ISSOCK(mode)) {
		x->sockets++;
		return 0;
	}
	if (!S_ISDIR(mode) && inode->s.i_links_count > 1) {
		const char *first = linkmap_seen(x->links, ino, path, &r);

		if (r < 0)
			return err_nomem(err);
		if (first) {
			archive_entry_clear(x->entry);
			archive_entry_copy_pathname(x->entry, path);
			archive_entry_set_mode(x->entry, mode);
			archive_entry_copy_hardlink(x->entry, first);
			return put_header(x, err);
		}
	}
	r = set_metadata(x, path, ino, inode, err);
	if (r < 0)
		return r;
	switch (mode & S_IFMT) {
	case S_IFREG:
		return export_file(x, ino, inode, err);
	case S_IFLNK:
		r = read_link(x, ino, inode, err);
		if (r < 0)
			return r;
		archive_entry_copy_symlink(x->entry, (const char *)x->buf);
		return put_header(x, err);
	case S_IFCHR:
	case S_IFBLK:
		set_device(x->entry, &inode->s);
		return put_header(x, err);
	case S_IFDIR:
	case S_IFIFO:
		return put_header(x, err);
	default:
		return damaged(x, ino, "its type", err);
	}
}
