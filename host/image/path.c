/* host/image/path.c - where an archive entry's name leads to inside the image being built
 *
 * Names are taken apart here and nowhere else. Absolute names count from the image's root; ".." is
 * refused in names. Symbolic links on the way are followed inside the image only (distributions
 * have /bin -> usr/bin and archives with bin/foo after it): an absolute target starts at the
 * image's root, ".." in a target stops there. Missing directories are created.
 */
#include "image/image-internal.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <ext2fs/ext3_extents.h>

#include "common/cleanup.h"
#include "image/import-internal.h"

static int read_slow_link(struct builder *b, const union inode_buf *inode, char *buf, size_t len,
			  struct err *err)
{
	struct ext3_extent e;
	blk64_t pblk;
	int r = out_flush(b->out);

	if (r < 0)
		return err_io(err, r, b->name);
	memcpy(&e, (const uint8_t *)inode->s.i_block + sizeof(struct ext3_extent_header),
	       sizeof(e));
	pblk = le32toh(e.ee_start) | (blk64_t)le16toh(e.ee_start_hi) << 32;
	if (pread(b->fd, buf, len, (off_t)(pblk * BLOCK_BYTES)) != (ssize_t)len)
		return err_set(err, -EIO, "cannot read back '%s'", b->name);
	return 0;
}

/* Returns the target in fresh memory. */
static int read_link(struct builder *b, uint32_t ino, char **ret, struct err *err)
{
	union inode_buf inode;
	size_t len;
	char *target;
	int r = read_inode(b, ino, &inode, err);

	if (r < 0)
		return r;
	len = MIN(inode.s.i_size, BLOCK_BYTES - 1);
	target = calloc(1, len + 1);
	if (!target)
		return err_nomem(err);
	if (inode.s.i_flags & EXT4_EXTENTS_FL)
		r = read_slow_link(b, &inode, target, len, err);
	else
		memcpy(target, inode.s.i_block, MIN(len, sizeof(inode.s.i_block)));
	if (r < 0) {
		free(target);
		return r;
	}
	*ret = target;
	return 0;
}

struct walk {
	struct builder *b;
	struct node *dir;
	char *rest; /* what is left, owned; */
	char *at;   /* inside it */
	unsigned links;
};

/* Takes the next component; false at the end. */
static bool next_part(struct walk *w, const char **ret, size_t *ret_len)
{
	while (*w->at == '/')
		w->at++;
	*ret = w->at;
	*ret_len = strcspn(w->at, "/");
	w->at += *ret_len;
	while (*w->at == '/')
		w->at++;
	return *ret_len > 0;
}

static bool last_part(const struct walk *w)
{
	return *w->at == '\0';
}

/* Continues at the target of link @n, then with what was left. */
static int enter_link(struct walk *w, const struct node *n, struct err *err)
{
	auto_free char *target = NULL;
	char *joined;
	int r;

	if (++w->links > IMAGE_MAX_LINKS)
		return err_set(err, -ELOOP, "too many symbolic links on the way");
	r = read_link(w->b, n->ino, &target, err);
	if (r < 0)
		return r;
	if (asprintf(&joined, "%s/%s", target, w->at) < 0)
		return err_nomem(err);
	free(w->rest);
	w->rest = w->at = joined;
	if (*joined == '/')
		w->dir = tree_root(w->b->tree);
	return 0;
}

static int make_parent(struct walk *w, const char *part, size_t len, struct err *err)
{
	union inode_buf inode = { 0 };
	struct builder *b = w->b;
	struct node *n;
	uint32_t ino;
	int r = alloc_inode(b, true, &ino, err);

	if (r < 0)
		return r;
	inode.s.i_mode = LINUX_S_IFDIR | 0755;
	inode_set_time(&inode.l.i_mtime, &inode.l.i_mtime_extra, b->now.tv_sec, b->now.tv_nsec);
	r = write_inode(b, ino, &inode, err);
	if (r < 0)
		return r;
	n = tree_add(b->tree, w->dir, part, len, ino, EXT2_FT_DIR);
	if (!n)
		return err_nomem(err);
	w->dir = n;
	return 0;
}

/* One directory component. */
static int step(struct walk *w, const char *part, size_t len, struct err *err)
{
	struct node *n;

	if (len == 1 && part[0] == '.')
		return 0;
	if (len == 2 && part[0] == '.' && part[1] == '.') {
		if (w->dir->parent)
			w->dir = w->dir->parent;
		return 0;
	}
	if (len > EXT2_NAME_LEN)
		return err_set(err, -ENAMETOOLONG, "a part of its name is longer than 255 bytes");
	n = tree_find(w->b->tree, w->dir, part, len);
	if (!n)
		return make_parent(w, part, len, err);
	if (n->type == EXT2_FT_SYMLINK)
		return enter_link(w, n, err);
	if (n->type != EXT2_FT_DIR)
		return err_set(err, -ENOTDIR, "'%.*s' in its name is not a directory", (int)len,
			       part);
	w->dir = n;
	return 0;
}

static int check_name(const char *path, struct err *err)
{
	if (strlen(path) > IMAGE_MAX_PATH)
		return err_set(err, -ENAMETOOLONG, "its name is longer than %u bytes",
			       IMAGE_MAX_PATH);
	for (const char *p = path; *p; p += strcspn(p, "/"), p += strspn(p, "/"))
		if (strcspn(p, "/") == 2 && p[0] == '.' && p[1] == '.')
			return err_set(err, -EINVAL,
				       "names with '..' are refused: they could leave "
				       "the distribution");
	return 0;
}

static bool is_dot(const char *part, size_t len)
{
	return len == 1 && part[0] == '.';
}

static int walk_all(struct walk *w, struct place *ret, struct err *err)
{
	const char *part;
	size_t len;

	ret->len = 0;
	while (next_part(w, &part, &len)) {
		int r;

		if (last_part(w) && !is_dot(part, len)) {
			if (len > EXT2_NAME_LEN)
				return err_set(err, -ENAMETOOLONG,
					       "its name is longer than 255 bytes");
			memcpy(ret->name, part, len);
			ret->len = len;
			break;
		}
		r = step(w, part, len, err);
		if (r < 0)
			return r;
	}
	ret->dir = w->dir;
	return 0;
}

int path_resolve(struct builder *b, const char *path, struct place *ret, struct err *err)
{
	struct walk w = { .b = b, .dir = tree_root(b->tree) };
	int r = check_name(path, err);

	if (r < 0)
		return r;
	w.rest = w.at = strdup(path);
	if (!w.rest)
		return err_nomem(err);
	r = walk_all(&w, ret, err);
	free(w.rest);
	return r;
}

static int follow(struct walk *w, struct node *link, struct node **ret, struct err *err)
{
	const char *part;
	size_t len;
	int r = enter_link(w, link, err);

	while (r == 0 && next_part(w, &part, &len)) {
		bool up = len == 2 && part[0] == '.' && part[1] == '.';

		if (!up && !is_dot(part, len) && !tree_find(w->b->tree, w->dir, part, len))
			return 0; /* dangling */
		r = step(w, part, len, err);
	}
	if (r == 0)
		*ret = w->dir;
	return r;
}

int path_follow(struct builder *b, struct node *link, struct node **ret, struct err *err)
{
	struct walk w = { .b = b, .dir = link->parent };
	struct err why = ERR_INIT;
	int r;

	w.rest = w.at = strdup("");
	if (!w.rest)
		return err_nomem(err);
	*ret = NULL;
	r = follow(&w, link, ret, &why);
	free(w.rest);
	if (r == -ENOTDIR || r == -ELOOP || r == -ENAMETOOLONG)
		return 0; /* does not lead to a directory */
	if (r < 0 && err)
		*err = why;
	return r;
}
