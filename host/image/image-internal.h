/* host/image/image-internal.h - what the files of this folder share
 *
 * Writing:  import.c drives archive.c (reading), tree.c (names), data.c (file contents), xattr.c
 * and dir.c, which all write through builder.c's allocator and out.c's writer thread. Reading:
 * reader.c opens an image, overlay.c hides a journal that needs recovery, inspect.c and export.c
 * use both.
 */
#ifndef HOST_IMAGE_IMAGE_INTERNAL_H
#define HOST_IMAGE_IMAGE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include <ext2fs/ext2fs.h>

#include "common/err.h"
#include "image/image.h"

struct archive;
struct archive_entry;

#define BLOCK_BYTES        4096u /* of the images we make; others are read with any block size */
#define INODE_BYTES        256u
#define IMAGE_MAX_PATH     65535u      /* of one archive entry or exported file */
#define IMAGE_MAX_ENTRIES  (16u << 20) /* names in one import: about 1 GiB of memory */
#define IMAGE_MAX_DEPTH    8192u       /* of directories, when reading an image */
#define IMAGE_MAX_LINKS    40u         /* symbolic links followed in one path */
#define IMAGE_MAX_CONF     (1u << 20)  /* wsl-distribution.conf, os-release */
#define IMAGE_MAX_FILE     (0xffffffffull * BLOCK_BYTES) /* what ext4 with 4 KiB blocks can map */
#define EXT4_MAX_HARDLINKS 65000u
#define EXT4_ROOT_INO      2u

union inode_buf {
	struct ext2_inode_large l;
	struct ext2_inode s;
	uint8_t raw[INODE_BYTES];
};

/* ---- errors.c: libext2fs and disk errors in the project's terms ---- */

/* @code: of libext2fs. Codes of its own become ERR_WSL_E_DISK_CORRUPTED, errno values go to
 * err_io(). */
int err_ext2(struct err *err, errcode_t code, const char *fmt, ...) format_printf(3, 4);
/* @code: -errno of writing to @name; a full disk becomes ERR_ERROR_DISK_FULL. */
int err_io(struct err *err, int code, const char *name);
int err_nomem(struct err *err);

/* ---- progress.c ---- */

struct ticker {
	const struct image_events *events;
	const char *phase;
	uint64_t next_ms;
};

void ticker_init(struct ticker *t, const struct image_events *events, const char *phase);
void ticker_tick(struct ticker *t, uint64_t done, uint64_t total);
void ticker_done(struct ticker *t, uint64_t done, uint64_t total); /* reports at once */
void warn(const struct image_events *events, const char *fmt, ...) format_printf(2, 3);

/* ---- locale.c: which character set libarchive believes in, for the calling thread ---- */

enum charset { CHARSET_BYTES, CHARSET_UTF8 };
locale_t charset_enter(enum charset set); /* returns what charset_leave() restores */
void charset_leave(locale_t old);

/* ---- out.c: a thread that writes large runs of blocks ---- */

struct out;

int out_new(int fd, struct out **ret, struct err *err);
struct out *out_free(struct out *o); /* waits for the thread; returns NULL */
/* Memory for up to @want blocks that will land at block @pblk and following. The caller fills it
 * before the next call. Returns the number of blocks, at least 1, or -errno of an earlier write. */
int out_blocks(struct out *o, uint64_t pblk, uint32_t want, uint8_t **ret);
int out_flush(struct out *o); /* everything is written to the file; 0 or -errno */

/* ---- tree.c: names of the image being built ---- */

struct node {
	struct node *parent, *next, *child; /* child: first of a directory */
	uint32_t ino;
	uint8_t type; /* EXT2_FT_* */
	uint8_t name_len;
	char name[]; /* not terminated */
};

struct tree;

struct tree *tree_new(uint32_t root_ino);
struct tree *tree_free(struct tree *t);
struct node *tree_root(struct tree *t);
struct node *tree_find(struct tree *t, struct node *dir, const char *name, size_t len);
/* The name must be new in @dir. NULL when memory or IMAGE_MAX_ENTRIES is exhausted. */
struct node *tree_add(struct tree *t, struct node *dir, const char *name, size_t len, uint32_t ino,
		      uint8_t type);
/* Visits every node below and including @n's tree in pre-order; NULL at the end. */
struct node *tree_next(struct node *n);

/* ---- builder.c, alloc.c: an ext4 file system under construction ---- */

struct extent_tree;

struct builder {
	int fd;
	const char *name;
	ext2_filsys fs;
	struct out *out;
	struct tree *tree;
	struct extent_tree *extents; /* of the file being written */
	blk64_t marked, next, end;   /* free run in use; [marked, next) is not in the bitmap yet */
	uint32_t next_ino;
	uint64_t files, blocks;
	struct timespec now;
};

int builder_open(struct builder *b, int fd, const char *name, uint64_t size, bool fixed,
		 struct err *err);
int builder_finish(struct builder *b, struct err *err); /* writes directories and tables */
void builder_close(struct builder *b);                  /* whatever state it is in */

/* Takes 1 to @want consecutive blocks; returns how many. */
int alloc_blocks(struct builder *b, uint32_t want, blk64_t *ret, struct err *err);
void alloc_settle(struct builder *b); /* brings libext2fs's bitmap up to date */
void free_blocks(struct builder *b, blk64_t first, uint32_t n);
int alloc_inode(struct builder *b, bool dir, uint32_t *ret, struct err *err);
int read_inode(struct builder *b, uint32_t ino, union inode_buf *ret, struct err *err);
int write_inode(struct builder *b, uint32_t ino, union inode_buf *inode, struct err *err);
/* Gives back blocks and attributes of an inode, and the inode itself if @whole. */
int release_inode(struct builder *b, uint32_t ino, bool whole, struct err *err);
void inode_set_time(uint32_t *sec, uint32_t *extra, int64_t s, long ns);
uint64_t inode_blocks(const union inode_buf *inode);
void inode_add_blocks(union inode_buf *inode, uint64_t blocks);
void inode_set_size(union inode_buf *inode, uint64_t size);

/* ---- extent.c: extent trees, written bottom up in constant memory ---- */

struct extent_tree *extent_tree_new(void);
void extent_tree_begin(struct extent_tree *t, uint32_t ino);
int extent_tree_add(struct builder *b, struct extent_tree *t, uint32_t lblk, blk64_t pblk,
		    uint32_t n, struct err *err);
/* Writes the root into i_block and adds the tree's own blocks to the inode. */
int extent_tree_end(struct builder *b, struct extent_tree *t, union inode_buf *inode,
		    struct err *err);
/* Calls @fn for each run of blocks, tree blocks included, of an inode written by us. */
int extent_tree_walk(struct builder *b, const union inode_buf *inode,
		     void (*fn)(struct builder *b, blk64_t first, uint32_t n), struct err *err);

/* ---- data.c: the contents of one file ---- */

struct data {
	struct builder *b;
	uint64_t pos;
	uint8_t *slot; /* the last, partly filled block, if pos is inside a block */
	blk64_t run;   /* allocated and not filled yet: run_left blocks from here */
	uint32_t run_left;
	uint64_t blocks;
};

void data_begin(struct data *d, struct builder *b, uint32_t ino);
int data_write(struct data *d, const void *bytes, size_t len, struct err *err);
int data_skip_to(struct data *d, uint64_t pos, struct err *err); /* leaves a hole */
int data_end(struct data *d, uint64_t size, union inode_buf *inode, struct err *err);

/* ---- dir.c ---- */

int dirs_write(struct builder *b, struct err *err);

/* ---- xattr.c, acl.c ---- */

#define XATTRS_MAX 256u

struct xattr {
	uint8_t index;
	uint8_t name_len;
	const char *name; /* without the prefix of its index */
	const void *value;
	size_t size;
};

struct xattrs {
	size_t n;
	struct xattr items[XATTRS_MAX];
	uint8_t *owned[4]; /* converted values */
	size_t n_owned;
};

void xattrs_done(struct xattrs *x);
/* @name with its prefix; replaces an equal name. -EOPNOTSUPP when no index fits the prefix. */
int xattrs_add(struct xattrs *x, const char *name, const void *value, size_t size);
int xattrs_own(struct xattrs *x, const char *name, uint8_t *value, size_t size); /* takes value */
/* Lays the attributes out in the inode and, if needed, one block. -E2BIG: they do not fit. */
int xattrs_store(struct builder *b, uint32_t ino, union inode_buf *inode, struct xattrs *x,
		 struct err *err);

/* The archive's ACLs to attributes in ext4's form; sets the permission bits of *mode. */
int acls_from_entry(struct archive_entry *entry, struct xattrs *x, uint16_t *mode,
		    const struct image_events *events, struct err *err);
/* An attribute in ext4's form to the entry's ACL; -EBADMSG if it is malformed. */
int acl_to_entry(struct archive_entry *entry, int type, const void *value, size_t size);
/* The form of getxattr(2) to ext4's; *ret is fresh memory. */
int acl_from_kernel(const void *value, size_t size, uint8_t **ret, size_t *ret_size);

/* ---- archive.c: the archive being imported ---- */

struct source;

int source_open(int fd, const char *name, const struct image_events *events, struct source **ret,
		struct err *err);
struct source *source_free(struct source *s);
/* 1: *ret is the next entry, 0: end */
int source_next(struct source *s, struct archive_entry **ret, struct err *err);
/* 1: data, 0: end of this entry's data */
int source_data(struct source *s, const void **ret, size_t *ret_len, uint64_t *ret_offset,
		struct err *err);
void source_finish(struct source *s); /* final progress report */

/* ---- reader.c, overlay.c: an existing image ---- */

struct overlay;

struct reader {
	int fd;
	const char *name;
	ext2_filsys fs;
	struct overlay *overlay; /* NULL: the journal is clean */
};

struct run { /* consecutive blocks that hold data */
	uint64_t lblk, pblk, n;
};

typedef int (*run_fn)(void *arg, const struct run *run, struct err *err);

int reader_open(struct reader *r, int fd, const char *name, struct err *err);
void reader_close(struct reader *r);
/* Runs in ascending order; unwritten and absent ranges are left out. */
int reader_runs(struct reader *r, uint32_t ino, struct ext2_inode *inode, run_fn fn, void *arg,
		struct err *err);
/* Bytes of the file system as recovery of the journal would leave them. */
int reader_pread(struct reader *r, void *buf, size_t len, uint64_t offset, struct err *err);

int overlay_load(struct reader *r, struct overlay **ret, struct err *err);
struct overlay *overlay_free(struct overlay *o);
/* Puts newer contents from the journal into @buf, which was read at @offset. */
int overlay_patch(struct overlay *o, void *buf, size_t len, uint64_t offset);

/* ---- inspect.c, copy.c ---- */

int inspect_reader(struct reader *r, bool accept_any, struct image_info *ret, struct err *err);
int copy_image(const struct image_export *job, struct err *err);

#endif
