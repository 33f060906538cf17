/* host/image/export-internal.h - between export.c (the tree) and entry.c (one file) */
#ifndef HOST_IMAGE_EXPORT_INTERNAL_H
#define HOST_IMAGE_EXPORT_INTERNAL_H

#include "image/image-internal.h"

struct archive;
struct archive_entry;
struct linkmap;

struct exporter {
	struct reader reader;
	const struct image_export *job;
	struct archive *archive;
	struct archive_entry *entry;
	struct linkmap *links;
	int write_error; /* -errno of the target */
	uint8_t *buf, *zeros;
	uint64_t done, total, sockets;
	struct ticker ticker;
};

#define EXPORT_BUF_BYTES   (1u << 20)
#define EXPORT_ZEROS_BYTES (64u << 20)

/* Writes one file, directory, link or device; @inode was read with ext2fs_read_inode_full(). */
int entry_export(struct exporter *x, const char *path, uint32_t ino, union inode_buf *inode,
		 struct err *err);
int export_write_failed(struct exporter *x, struct err *err);

/* First names of inodes with several: returns the name known for @ino, or NULL after noting @path.
 * -ENOMEM is told by *ret_error. */
struct linkmap *linkmap_new(void);
struct linkmap *linkmap_free(struct linkmap *m);
const char *linkmap_seen(struct linkmap *m, uint32_t ino, const char *path, int *ret_error);

#endif
