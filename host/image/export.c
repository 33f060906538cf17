/* host/image/export.c - an image into an archive, directory by directory
 *
 * The walk keeps one list of names per open directory, sorted by inode number, which is the order
 * of the data on disk. A hostile image may link directories in circles: each directory is entered
 * once, a second way into it is damage.
 */
#include "image/export-internal.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TAR_BLOCK 10240

struct name {
	uint32_t ino;
	uint32_t at; /* in level.text */
};

struct level { /* an open directory */
	struct name *names;
	char *text;
	size_t n, room, text_len, text_room, next;
	size_t path_len;
};

struct walker {
	struct exporter *x;
	struct level *levels;
	size_t depth, room;
	char path[IMAGE_MAX_PATH + 1];
	ext2fs_inode_bitmap entered;
};

/* ---- target ---- */

static la_ssize_t on_write(struct archive *a, void *arg, const void *bytes, size_t len)
{
	struct exporter *x = arg;
	int r = x->write_error;

	if (r == 0)
		r = write_all(x->job->target_fd, bytes, len);
	if (r < 0) {
		x->write_error = r;
		archive_set_error(a, -r, "write error");
		return -1;
	}
	return (la_ssize_t)len;
}

static int add_filter(struct exporter *x, struct err *err)
{
	struct archive *a = x->archive;
	char threads[16];
	int r = ARCHIVE_OK;

	snprintf(threads, sizeof(threads), "%ld", MAX(1L, MIN(sysconf(_SC_NPROCESSORS_ONLN), 4L)));
	switch (x->job->format) {
	case IMAGE_TAR_GZ:
		r = archive_write_add_filter_gzip(a);
		break;
	case IMAGE_TAR_XZ:
		r = archive_write_add_filter_xz(a);
		archive_write_set_filter_option(a, "xz", "threads", threads);
		break;
	case IMAGE_TAR_ZST:
		r = archive_write_add_filter_zstd(a);
		archive_write_set_filter_option(a, "zstd", "threads", threads);
		break;
	default:
		break;
	}
	archive_clear_error(a); /* options are a wish */
	return r == ARCHIVE_OK ? 0 : err_set(err, -EOPNOTSUPP, "this compression is not built in");
}

static int open_target(struct exporter *x, struct err *err)
{
	int r;

	x->archive = archive_write_new();
	x->entry = archive_entry_new();
	x->links = linkmap_new();
	x->buf = malloc(EXPORT_BUF_BYTES + 1);
	x->zeros = mmap(NULL, EXPORT_ZEROS_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!x->archive || !x->entry || !x->links || !x->buf || x->zeros == MAP_FAILED)
		return err_nomem(err);
	archive_write_set_format_pax(x->archive);
	/* Once, in the form every tar knows, instead of twice. */
	archive_write_set_format_option(x->archive, "pax", "xattrheader", "SCHILY");
	archive_write_set_bytes_per_block(x->archive, 64 * TAR_BLOCK);
	archive_write_set_bytes_in_last_block(x->archive,
					      x->job->format == IMAGE_TAR ? TAR_BLOCK : 1);
	r = add_filter(x, err);
	if (r < 0)
		return r;
	if (archive_write_open(x->archive, x, NULL, on_write, NULL) != ARCHIVE_OK)
		return export_write_failed(x, err);
	return 0;
}

static void close_target(struct exporter *x)
{
	if (x->archive) {
		if (x->write_error == 0)
			x->write_error = -ECANCELED; /* a failed export gets no end marker */
		archive_write_free(x->archive);
	}
	if (x->entry)
		archive_entry_free(x->entry);
	linkmap_free(x->links);
	free(x->buf);
	if (x->zeros && x->zeros != MAP_FAILED)
		munmap(x->zeros, EXPORT_ZEROS_BYTES);
}

/* ---- walk ---- */

static int damaged(struct walker *w, const char *what, struct err *err)
{
	return err_id(err, ERR_WSL_E_DISK_CORRUPTED, "'%s' is damaged: %s in '%.1000s'",
		      w->x->reader.name, what, w->path);
}

struct collect {
	struct walker *w;
	struct level *l;
	struct err *err;
	int ret;
};

static bool make_room(struct level *l, size_t len)
{
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 32;
		struct name *names = realloc(l->names, room * sizeof(*names));

		if (!names)
			return false;
		l->names = names;
		l->room = room;
	}
	if (l->text_len + len + 1 > l->text_room) {
		size_t room = MAX(l->text_room * 2, 1024u);
		char *text = room <= UINT32_MAX ? realloc(l->text, room) : NULL;

		if (!text)
			return false;
		l->text = text;
		l->text_room = room;
	}
	return true;
}

static int on_entry(ext2_ino_t dir, int entry, struct ext2_dir_entry *e, int offset, int blocksize,
		    char *buf, void *arg)
{
	struct collect *c = arg;
	size_t len = (size_t)ext2fs_dirent_name_len(e);
	struct level *l = c->l;

	if (entry == DIRENT_DOT_FILE || entry == DIRENT_DOT_DOT_FILE)
		return 0;
	if (len == 0 || memchr(e->name, '/', len) || memchr(e->name, '\0', len) ||
	    (e->name[0] == '.' && (len == 1 || (len == 2 && e->name[1] == '.')))) {
		c->ret = damaged(c->w, "an impossible name", c->err);
		return DIRENT_ABORT;
	}
	if (!make_room(l, len)) {
		c->ret = err_nomem(c->err);
		return DIRENT_ABORT;
	}
	l->names[l->n++] = (struct name) { e->inode, (uint32_t)l->text_len };
	memcpy(l->text + l->text_len, e->name, len);
	l->text[l->text_len + len] = '\0';
	l->text_len += len + 1;
	return 0;
}

static int by_ino(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static int enter(struct walker *w, uint32_t ino, size_t path_len, struct err *err)
{
	struct collect c = { .w = w, .err = err };
	errcode_t e;

	if (ext2fs_test_inode_bitmap2(w->entered, ino))
		return damaged(w, "a directory with two parents", err);
	ext2fs_mark_inode_bitmap2(w->entered, ino);
	if (w->depth == IMAGE_MAX_DEPTH)
		return err_set(err, -ELOOP, "directories are nested too deeply");
	if (w->depth == w->room) {
		size_t room = w->room ? w->room * 2 : 16;
		struct level *levels = realloc(w->levels, room * sizeof(*levels));

		if (!levels)
			return err_nomem(err);
		w->levels = levels;
		w->room = room;
	}
	c.l = &w->levels[w->depth++];
	*c.l = (struct level) { .path_len = path_len };
	e = ext2fs_dir_iterate2(w->x->reader.fs, ino, 0, NULL, on_entry, &c);
	if (c.ret < 0)
		return c.ret;
	if (e)
		return err_ext2(err, e, "cannot read directory '%.1000s' of '%s'", w->path,
				w->x->reader.name);
	if (c.l->n)
		qsort(c.l->names, c.l->n, sizeof(*c.l->names), by_ino);
	return 0;
}

static void leave(struct walker *w)
{
	struct level *l = &w->levels[--w->depth];

	free(l->names);
	free(l->text);
}

static int read_inode_of(struct walker *w, uint32_t ino, union inode_buf *inode, struct err *err)
{
	ext2_filsys fs = w->x->reader.fs;
	errcode_t e;

	if (ino == 0 || ino > fs->super->s_inodes_count ||
	    (ino < EXT2_FIRST_INODE(fs->super) && ino != EXT2_ROOT_INO))
		return damaged(w, "an impossible inode number", err);
	e = ext2fs_read_inode_full(fs, ino, &inode->s, sizeof(*inode));
	if (e)
		return err_ext2(err, e, "cannot read inode %u of '%s'", ino, w->x->reader.name);
	if (inode->s.i_links_count == 0 || inode->s.i_mode == 0)
		return damaged(w, "a name of a deleted file", err);
	return 0;
}

/* e2fsck's directory says nothing unless e2fsck put something there. */
static bool is_empty_lost_found(struct walker *w)
{
	return w->depth == 2 && streq(w->path, "./lost+found") && w->levels[1].n == 0;
}

static int visit(struct walker *w, uint32_t ino, size_t path_len, struct err *err)
{
	union inode_buf inode = { 0 };
	int r = read_inode_of(w, ino, &inode, err);

	if (r < 0)
		return r;
	if (!LINUX_S_ISDIR(inode.s.i_mode))
		return entry_export(w->x, w->path, ino, &inode, err);
	r = enter(w, ino, path_len, err);
	if (r < 0 || is_empty_lost_found(w))
		return r;
	return entry_export(w->x, w->path, ino, &inode, err);
}

static int walk(struct walker *w, struct err *err)
{
	int r;

	strcpy(w->path, ".");
	r = visit(w, EXT2_ROOT_INO, 1, err);
	while (r == 0 && w->depth) {
		struct level *l = &w->levels[w->depth - 1];
		const struct name *name;
		size_t len;

		if (l->next == l->n) {
			leave(w);
			continue;
		}
		name = &l->names[l->next++];
		len = strlen(l->text + name->at);
		w->path[l->path_len] = '\0';
		if (l->path_len + 1 + len > IMAGE_MAX_PATH)
			return err_set(err, -ENAMETOOLONG, "a path in '%s' is longer than %u bytes",
				       w->x->reader.name, IMAGE_MAX_PATH);
		w->path[l->path_len] = '/';
		memcpy(w->path + l->path_len + 1, l->text + name->at, len + 1);
		r = visit(w, name->ino, l->path_len + 1 + len, err);
	}
	return r;
}

static int walk_image(struct exporter *x, struct err *err)
{
	struct walker *w = calloc(1, sizeof(*w));
	errcode_t e;
	int r;

	if (!w)
		return err_nomem(err);
	w->x = x;
	e = ext2fs_allocate_inode_bitmap(x->reader.fs, "entered directories", &w->entered);
	r = e ? err_ext2(err, e, "cannot read '%s'", x->reader.name) : walk(w, err);
	while (w->depth)
		leave(w);
	free(w->levels);
	if (w->entered)
		ext2fs_free_inode_bitmap(w->entered);
	free(w);
	return r;
}

static int export_tar(const struct image_export *job, struct err *err)
{
	struct exporter x = { .job = job };
	locale_t locale;
	int r = reader_open(&x.reader, job->image_fd, job->image_name, err);

	if (r < 0)
		return r;
	x.total = (ext2fs_blocks_count(x.reader.fs->super) -
		   MIN(ext2fs_free_blocks_count(x.reader.fs->super) +
			       x.reader.fs->super->s_overhead_clusters,
		       ext2fs_blocks_count(x.reader.fs->super))) *
		  x.reader.fs->blocksize;
	ticker_init(&x.ticker, &job->events, "export");
	locale = charset_enter(CHARSET_UTF8);
	r = open_target(&x, err);
	if (r == 0)
		r = walk_image(&x, err);
	if (r == 0 && archive_write_close(x.archive) != ARCHIVE_OK)
		r = export_write_failed(&x, err);
	close_target(&x);
	charset_leave(locale);
	reader_close(&x.reader);
	if (r == 0) {
		ticker_done(&x.ticker, x.done, MAX(x.done, x.total));
		if (x.sockets)
			warn(&job->events, "%llu sockets were left out",
			     (unsigned long long)x.sockets);
	}
	return r;
}

int image_export(const struct image_export *job, struct err *err)
{
	int r = job->format == IMAGE_RAW ? copy_image(job, err) : export_tar(job, err);

	if (r < 0)
		err_name(err, ERR_WSL_E_EXPORT_FAILED);
	return r;
}

int image_format_parse(const char *name, enum image_format *ret)
{
	static const char *const names[] = { [IMAGE_TAR] = "tar",
					     [IMAGE_TAR_GZ] = "tar.gz",
					     [IMAGE_TAR_XZ] = "tar.xz",
					     [IMAGE_TAR_ZST] = "tar.zst",
					     [IMAGE_RAW] = "img" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (streq(name, names[i])) {
			*ret = (enum image_format)i;
			return 0;
		}
	}
	return -EINVAL;
}
