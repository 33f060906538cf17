/* host/image/inspect.c - is there a Linux distribution in this image, and what does it say of
 * itself
 *
 * Paths are resolved inside the image: absolute symbolic links start at its root, as libext2fs's
 * path walk does when it is given that root.
 */
#include "image/image-internal.h"

#include <errno.h>
#include <stdlib.h>

static bool lookup(struct reader *r, const char *path, ext2_ino_t *ret)
{
	return ext2fs_namei_follow(r->fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, ret) == 0;
}

/* Does the last part exist, be it a link that leads nowhere? */
static bool exists(struct reader *r, const char *path)
{
	ext2_ino_t ino;

	return lookup(r, path, &ino) ||
	       ext2fs_namei(r->fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, &ino) == 0;
}

static int read_whole(struct reader *r, ext2_ino_t ino, char *buf, unsigned size, struct err *err)
{
	ext2_file_t file;
	unsigned got = 0;
	errcode_t e = ext2fs_file_open(r->fs, ino, 0, &file);

	if (e)
		return err_ext2(err, e, "'%s': inode %u", r->name, ino);
	e = ext2fs_file_read(file, buf, size, &got);
	ext2fs_file_close(file);
	if (e)
		return err_ext2(err, e, "'%s': inode %u", r->name, ino);
	buf[got] = '\0';
	return 0;
}

/* A missing file reads as "", as does one that is no file or too large to be meant seriously. */
static int read_text(struct reader *r, const char *path, char **ret, struct err *err)
{
	struct ext2_inode inode;
	uint64_t size = 0;
	ext2_ino_t ino;
	char *text;
	int e;

	if (lookup(r, path, &ino) && ext2fs_read_inode(r->fs, ino, &inode) == 0 &&
	    LINUX_S_ISREG(inode.i_mode) && EXT2_I_SIZE(&inode) <= IMAGE_MAX_CONF)
		size = EXT2_I_SIZE(&inode);
	text = calloc(1, (size_t)size + 1);
	if (!text)
		return err_nomem(err);
	e = size ? read_whole(r, ino, text, (unsigned)size, err) : 0;
	if (e < 0) {
		free(text);
		return e;
	}
	*ret = text;
	return 0;
}

static int check_root(struct reader *r, struct err *err)
{
	struct ext2_inode inode;
	errcode_t e = ext2fs_read_inode(r->fs, EXT2_ROOT_INO, &inode);

	if (e)
		return err_ext2(err, e, "cannot read the root directory of '%s'", r->name);
	if (!LINUX_S_ISDIR(inode.i_mode))
		return err_id(err, ERR_WSL_E_DISK_CORRUPTED, "'%s' has no root directory", r->name);
	e = ext2fs_check_directory(r->fs, EXT2_ROOT_INO);
	return e ? err_ext2(err, e, "cannot read the root directory of '%s'", r->name) : 0;
}

int inspect_reader(struct reader *r, bool accept_any, struct image_info *ret, struct err *err)
{
	struct ext2_super_block *s = r->fs->super;
	struct image_info info = { 0 };
	uint64_t used, overhead = s->s_overhead_clusters;
	int e = check_root(r, err);

	if (e < 0)
		return e;
	if (!accept_any && !exists(r, "/etc") && !exists(r, "/bin/sh"))
		return err_id(
			err, ERR_WSL_E_NOT_A_LINUX_DISTRO,
			"it does not hold a Linux distribution: neither /etc nor /bin/sh is in "
			"it");
	e = read_text(r, "/etc/wsl-distribution.conf", &info.distribution_conf, err);
	if (e == 0)
		e = read_text(r, "/etc/os-release", &info.os_release, err);
	if (e < 0) {
		image_info_done(&info);
		return e;
	}
	used = ext2fs_blocks_count(s) - MIN(ext2fs_free_blocks_count(s), ext2fs_blocks_count(s));
	info.bytes = (used - MIN(overhead, used)) * r->fs->blocksize;
	info.files = s->s_inodes_count - MIN(s->s_free_inodes_count, s->s_inodes_count);
	*ret = info;
	return 0;
}

int image_inspect(int image_fd, const char *name, struct image_info *ret, struct err *err)
{
	struct reader r;
	int e = reader_open(&r, image_fd, name, err);

	if (e < 0)
		return e;
	e = inspect_reader(&r, false, ret, err);
	reader_close(&r);
	return e;
}

void image_info_done(struct image_info *info)
{
	free(info->distribution_conf);
	free(info->os_release);
	*info = (struct image_info) { 0 };
}
