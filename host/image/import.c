/* host/image/import.c - an archive into a new image, entry by entry
 *
 * Later entries replace earlier ones of the same name as tar does; a directory that comes again
 * only gets new metadata, also when its name is by now a symbolic link to a directory. Inodes are
 * written when their entry is complete, except that directories get their blocks at the end.
 */
#include "image/image-internal.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "image/import-internal.h"

struct importer {
	struct builder b;
	struct source *source;
	const struct image_events *events;
	uint64_t sockets, unknown_xattrs;
	char first_unknown[128];
};

static uint8_t dirent_type(unsigned mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return EXT2_FT_REG_FILE;
	case S_IFDIR:
		return EXT2_FT_DIR;
	case S_IFLNK:
		return EXT2_FT_SYMLINK;
	case S_IFCHR:
		return EXT2_FT_CHRDEV;
	case S_IFBLK:
		return EXT2_FT_BLKDEV;
	case S_IFIFO:
		return EXT2_FT_FIFO;
	case S_IFSOCK:
		return EXT2_FT_SOCK;
	default:
		return EXT2_FT_UNKNOWN;
	}
}

/* ---- metadata ---- */

static int set_owner(union inode_buf *inode, struct archive_entry *entry, struct err *err)
{
	la_int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);

	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return err_set(err, -ERANGE, "its owner %lld:%lld is not a valid number",
			       (long long)uid, (long long)gid);
	inode->s.i_uid = (uint16_t)uid;
	inode->s.osd2.linux2.l_i_uid_high = (uint16_t)(uid >> 16);
	inode->s.i_gid = (uint16_t)gid;
	inode->s.osd2.linux2.l_i_gid_high = (uint16_t)(gid >> 16);
	return 0;
}

static void set_times(struct builder *b, union inode_buf *inode, struct archive_entry *entry)
{
	struct ext2_inode_large *l = &inode->l;

	if (archive_entry_mtime_is_set(entry))
		inode_set_time(&l->i_mtime, &l->i_mtime_extra, archive_entry_mtime(entry),
			       archive_entry_mtime_nsec(entry));
	else
		inode_set_time(&l->i_mtime, &l->i_mtime_extra, b->now.tv_sec, b->now.tv_nsec);
	l->i_atime = l->i_mtime;
	l->i_atime_extra = l->i_mtime_extra;
	if (archive_entry_atime_is_set(entry))
		inode_set_time(&l->i_atime, &l->i_atime_extra, archive_entry_atime(entry),
			       archive_entry_atime_nsec(entry));
	if (archive_entry_birthtime_is_set(entry))
		inode_set_time(&l->i_crtime, &l->i_crtime_extra, archive_entry_birthtime(entry),
			       archive_entry_birthtime_nsec(entry));
}

static void set_flags(union inode_buf *inode, struct archive_entry *entry)
{
	const unsigned long kept = EXT2_SYNC_FL | EXT2_IMMUTABLE_FL | EXT2_APPEND_FL |
				   EXT2_NODUMP_FL | EXT2_NOATIME_FL;
	unsigned long set = 0, clear = 0;

	archive_entry_fflags(entry, &set, &clear);
	if (S_ISREG(inode->s.i_mode) || S_ISDIR(inode->s.i_mode))
		inode->s.i_flags |= (uint32_t)(set & kept);
}

static int add_xattr(struct importer *im, struct xattrs *x, const char *name, const void *value,
		     size_t size, struct err *err)
{
	int r;

	if (str_after(name, "system.posix_acl_")) {
		uint8_t *disk;
		size_t disk_size;

		r = acl_from_kernel(value, size, &disk, &disk_size);
		if (r == 0)
			r = xattrs_own(x, name, disk, disk_size);
	} else {
		r = xattrs_add(x, name, value, size);
	}
	if (r == -EOPNOTSUPP) {
		if (im->unknown_xattrs++ == 0)
			snprintf(im->first_unknown, sizeof(im->first_unknown), "%s", name);
		return 0;
	}
	return r < 0 ? err_code(err, r, "cannot store its attribute '%.255s'", name) : 0;
}

static int collect_xattrs(struct importer *im, struct archive_entry *entry, struct xattrs *x,
			  struct err *err)
{
	const char *name;
	const void *value;
	size_t size;
	int r = 0;

	archive_entry_xattr_reset(entry);
	while (r == 0 && archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
		r = add_xattr(im, x, name, value, size, err);
	return r;
}

/* Everything but contents, size and links; writes the attribute block if there is one. */
static int set_metadata(struct importer *im, struct archive_entry *entry, uint32_t ino,
			union inode_buf *inode, struct err *err)
{
	struct xattrs x;
	int r = set_owner(inode, entry, err);

	if (r < 0)
		return r;
	set_times(&im->b, inode, entry);
	set_flags(inode, entry);
	x.n = x.n_owned = 0;
	r = collect_xattrs(im, entry, &x, err);
	if (r == 0 && archive_entry_acl_types(entry))
		r = acls_from_entry(entry, &x, &inode->s.i_mode, im->events, err);
	if (r == 0)
		r = xattrs_store(&im->b, ino, inode, &x, err);
	xattrs_done(&x);
	return r;
}

/* ---- contents ---- */

static int copy_data(struct importer *im, struct archive_entry *entry, uint32_t ino,
		     union inode_buf *inode, struct err *err)
{
	uint64_t size = 0, offset;
	struct data d;
	const void *bytes;
	size_t len;
	int r;

	if (archive_entry_size_is_set(entry) && archive_entry_size(entry) > 0)
		size = (uint64_t)archive_entry_size(entry);
	if (size > IMAGE_MAX_FILE)
		return err_set(err, -EFBIG, "it is larger than ext4 can hold (16 TiB)");
	data_begin(&d, &im->b, ino);
	while ((r = source_data(im->source, &bytes, &len, &offset, err)) > 0) {
		if (offset < d.pos)
			return err_set(err, -EBADMSG, "its pieces overlap");
		r = data_skip_to(&d, offset, err);
		if (r == 0)
			r = data_write(&d, bytes, len, err);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : data_end(&d, size, inode, err);
}

static int set_link(struct importer *im, struct archive_entry *entry, uint32_t ino,
		    union inode_buf *inode, struct err *err)
{
	const char *target = archive_entry_symlink(entry);
	size_t len = target ? strlen(target) : 0;
	struct data d;
	int r;

	if (len == 0)
		return err_set(err, -EINVAL, "the symbolic link has no target");
	if (len >= BLOCK_BYTES)
		return err_set(err, -ENAMETOOLONG, "the symbolic link's target is too long");
	if (len < sizeof(inode->s.i_block)) {
		memcpy(inode->s.i_block, target, len);
		inode_set_size(inode, len);
		return 0;
	}
	data_begin(&d, &im->b, ino);
	r = data_write(&d, target, len, err);
	return r < 0 ? r : data_end(&d, len, inode, err);
}

static void set_device(union inode_buf *inode, dev_t dev)
{
	unsigned maj = major(dev), min = minor(dev);

	if (maj < 256 && min < 256)
		inode->s.i_block[0] = maj << 8 | min;
	else
		inode->s.i_block[1] = (min & 0xff) | maj << 8 | (min & ~0xffu) << 12;
}

static int set_contents(struct importer *im, struct archive_entry *entry, uint32_t ino,
			union inode_buf *inode, struct err *err)
{
	dev_t dev;

	switch (inode->s.i_mode & S_IFMT) {
	case S_IFREG:
		return copy_data(im, entry, ino, inode, err);
	case S_IFLNK:
		return set_link(im, entry, ino, inode, err);
	case S_IFCHR:
	case S_IFBLK:
		dev = archive_entry_rdev(entry);
		if (major(dev) > 0xfff || minor(dev) > 0xfffff)
			return err_set(err, -ERANGE, "its device number is out of range");
		set_device(inode, dev);
		return 0;
	default:
		return 0;
	}
}

/* ---- names ---- */

/* One name less for an inode. */
static int drop_link(struct builder *b, uint32_t ino, struct err *err)
{
	union inode_buf inode;
	int r = read_inode(b, ino, &inode, err);

	if (r < 0)
		return r;
	if (inode.s.i_links_count <= 1 || S_ISDIR(inode.s.i_mode))
		return release_inode(b, ino, true, err);
	inode.s.i_links_count--;
	return write_inode(b, ino, &inode, err);
}

/* Makes a name refer to @ino, replacing what had the name before. */
static int put_name(struct builder *b, const struct place *at, uint32_t ino, uint8_t type,
		    struct err *err)
{
	struct node *old = tree_find(b->tree, at->dir, at->name, at->len);
	uint32_t old_ino;

	if (!old)
		return tree_add(b->tree, at->dir, at->name, at->len, ino, type) ? 0
										: err_nomem(err);
	if (old->type == EXT2_FT_DIR && old->child)
		return err_set(err, -ENOTEMPTY,
			       "an earlier entry of this name is a directory with files in it");
	if (type != EXT2_FT_DIR && at->dir == tree_root(b->tree) && at->len == 10 &&
	    memcmp(at->name, "lost+found", 10) == 0)
		return err_set(err, -EINVAL, "/lost+found must be a directory");
	old_ino = old->ino;
	old->ino = ino;
	old->type = type;
	return drop_link(b, old_ino, err);
}

/* The directory that an entry for a directory describes, if there is one already. */
static int find_dir(struct builder *b, const struct place *at, struct node **ret, struct err *err)
{
	struct node *n = at->len ? tree_find(b->tree, at->dir, at->name, at->len) : at->dir;

	*ret = n;
	if (!n || n->type == EXT2_FT_DIR)
		return 0;
	*ret = NULL;
	return n->type == EXT2_FT_SYMLINK ? path_follow(b, n, ret, err) : 0;
}

static int import_dir(struct importer *im, struct archive_entry *entry, const struct place *at,
		      struct err *err)
{
	union inode_buf inode = { 0 };
	struct builder *b = &im->b;
	struct node *n;
	uint32_t ino;
	int r = find_dir(b, at, &n, err);

	if (r < 0)
		return r;
	if (n) {
		union inode_buf old;
		blk64_t acl;

		ino = n->ino;
		r = read_inode(b, ino, &old, err);
		if (r < 0)
			return r;
		acl = ext2fs_file_acl_block(b->fs, &old.s);
		if (acl)
			free_blocks(b, acl, 1);
	} else {
		r = alloc_inode(b, true, &ino, err);
		if (r < 0)
			return r;
	}
	inode.s.i_mode = (uint16_t)(S_IFDIR | (archive_entry_mode(entry) & 07777));
	r = set_metadata(im, entry, ino, &inode, err);
	if (r == 0)
		r = write_inode(b, ino, &inode, err);
	if (r < 0 || n)
		return r;
	return put_name(b, at, ino, EXT2_FT_DIR, err);
}

static int import_other(struct importer *im, struct archive_entry *entry, const struct place *at,
			struct err *err)
{
	union inode_buf inode = { 0 };
	struct builder *b = &im->b;
	uint16_t mode = (uint16_t)archive_entry_mode(entry);
	uint32_t ino;
	int r;

	if (!S_ISLNK(mode))
		inode.s.i_mode = mode;
	else
		inode.s.i_mode = S_IFLNK | 0777;
	r = alloc_inode(b, false, &ino, err);
	if (r == 0)
		r = set_metadata(im, entry, ino, &inode, err);
	if (r == 0)
		r = set_contents(im, entry, ino, &inode, err);
	if (r < 0)
		return r;
	inode.s.i_links_count = 1;
	r = write_inode(b, ino, &inode, err);
	return r < 0 ? r : put_name(b, at, ino, dirent_type(mode), err);
}

/* cpio keeps the contents with the last of the names. */
static int replace_data(struct importer *im, struct archive_entry *entry, uint32_t ino,
			struct err *err)
{
	union inode_buf inode;
	int r = release_inode(&im->b, ino, false, err);

	if (r == 0)
		r = read_inode(&im->b, ino, &inode, err);
	if (r == 0)
		r = copy_data(im, entry, ino, &inode, err);
	return r < 0 ? r : write_inode(&im->b, ino, &inode, err);
}

static int import_hardlink(struct importer *im, struct archive_entry *entry, const struct place *at,
			   const char *target_name, struct err *err)
{
	struct builder *b = &im->b;
	struct node *target;
	struct place to;
	union inode_buf inode;
	int r = path_resolve(b, target_name, &to, err);

	if (r < 0)
		return r;
	target = to.len ? tree_find(b->tree, to.dir, to.name, to.len) : NULL;
	if (!target)
		return err_set(
			err, -ENOENT,
			"it is a hard link to '%.1000s', which is not in the archive before it",
			target_name);
	if (target->type == EXT2_FT_DIR)
		return err_set(err, -EPERM, "it is a hard link to a directory");
	if (target != tree_find(b->tree, at->dir, at->name, at->len)) {
		r = read_inode(b, target->ino, &inode, err);
		if (r < 0)
			return r;
		if (inode.s.i_links_count >= EXT4_MAX_HARDLINKS)
			return err_set(err, -EMLINK, "'%.1000s' has too many hard links",
				       target_name);
		inode.s.i_links_count++;
		r = write_inode(b, target->ino, &inode, err);
		if (r == 0)
			r = put_name(b, at, target->ino, target->type, err);
	}
	if (r == 0 && archive_entry_size_is_set(entry) && archive_entry_size(entry) > 0 &&
	    target->type == EXT2_FT_REG_FILE)
		r = replace_data(im, entry, target->ino, err);
	return r;
}

static int import_entry(struct importer *im, struct archive_entry *entry, const char *path,
			struct err *err)
{
	const char *hardlink = archive_entry_hardlink(entry);
	unsigned mode = archive_entry_mode(entry);
	struct place at;
	int r;

	if (!hardlink && S_ISSOCK(mode)) {
		im->sockets++;
		return 0;
	}
	r = path_resolve(&im->b, path, &at, err);
	if (r < 0)
		return r;
	if (!hardlink && S_ISDIR(mode))
		return import_dir(im, entry, &at, err);
	if (at.len == 0)
		return err_set(err, -EINVAL, "it would replace the root directory");
	if (hardlink)
		return import_hardlink(im, entry, &at, hardlink, err);
	if (dirent_type(mode) == EXT2_FT_UNKNOWN)
		return err_set(err, -EINVAL, "it is of an unknown kind");
	return import_other(im, entry, &at, err);
}

static int import_all(struct importer *im, struct err *err)
{
	struct archive_entry *entry;
	int r;

	while ((r = source_next(im->source, &entry, err)) > 0) {
		const char *path = archive_entry_pathname(entry);

		if (!path || !*path)
			return err_set(err, -EBADMSG,
				       "the archive has an entry without a usable name");
		r = import_entry(im, entry, path, err);
		if (r < 0)
			return err_prefix(err, "unpacking '%.1000s'", path);
	}
	return r;
}

static void warn_omissions(struct importer *im)
{
	if (im->sockets)
		warn(im->events, "%llu sockets in the archive were left out",
		     (unsigned long long)im->sockets);
	if (im->unknown_xattrs)
		warn(im->events,
		     "%llu extended attributes that ext4 cannot hold were left out, the "
		     "first is '%s'",
		     (unsigned long long)im->unknown_xattrs, im->first_unknown);
}

static int build(struct importer *im, const struct image_import *job, struct err *err)
{
	int r = builder_open(&im->b, job->image_fd, job->image_name, job->size_bytes, job->fixed,
			     err);

	if (r == 0)
		r = source_open(job->archive_fd, job->archive_name, im->events, &im->source, err);
	if (r == 0)
		r = import_all(im, err);
	if (r == 0)
		r = builder_finish(&im->b, err);
	if (r == 0) {
		source_finish(im->source);
		warn_omissions(im);
	}
	return r;
}

static int check_result(const struct image_import *job, struct image_info *ret, struct err *err)
{
	struct image_info info = { 0 };
	struct reader reader;
	int r = reader_open(&reader, job->image_fd, job->image_name, err);

	if (r < 0)
		return r;
	r = inspect_reader(&reader, job->accept_any, &info, err);
	reader_close(&reader);
	if (r < 0)
		return r;
	if (fsync(job->image_fd) < 0) {
		image_info_done(&info);
		return err_io(err, -errno, job->image_name);
	}
	*ret = info;
	return 0;
}

int image_import(const struct image_import *job, struct image_info *ret, struct err *err)
{
	struct importer im = { .events = &job->events };
	int r = build(&im, job, err);

	source_free(im.source);
	builder_close(&im.b);
	if (r == 0)
		r = check_result(job, ret, err);
	if (r < 0) {
		err_name(err, ERR_WSL_E_IMPORT_FAILED);
		return r;
	}
	return 0;
}
