/* host/image/image.h - distribution images: ext4 in a raw sparse file, filled and read without root
 *
 * Ownership  File descriptors are borrowed for the call and stay open. Texts in struct image_info
 *            are fresh memory, released by image_info_done(). Names are used in messages only.
 * Threads    Calls are independent of each other; one call per image at a time. Callbacks run on
 * the calling thread. Hostility  Archives and images may be hostile: sizes, counts and links are
 * checked against the image and against named limits. A crafted image can still upset libext2fs,
 * hence the program wslimage, which runs these functions in a sandboxed process of its own. Errors
 * 0 or -errno with *err filled; ret_ outputs are written on success only. ERR_ERROR_DISK_FULL the
 * host's disk, or the image, is full ERR_WSL_E_NOT_A_LINUX_DISTRO  neither /etc nor /bin/sh inside
 *              ERR_WSL_E_DISK_CORRUPTED    not an ext4 image, or a damaged one
 *              ERR_WSL_E_IMPORT_FAILED, ERR_WSL_E_EXPORT_FAILED  everything else
 */
#ifndef HOST_IMAGE_IMAGE_H
#define HOST_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define IMAGE_DEFAULT_BYTES (1ull << 40)
#define IMAGE_MIN_BYTES     (16ull << 20)

struct image_events { /* each may be NULL */
	/* At most about ten times a second; @total 0: unknown. */
	void (*progress)(void *arg, uint64_t done, uint64_t total, const char *phase);
	void (*warning)(void *arg, const char *text);
	void *arg;
};

struct image_info {
	char *distribution_conf; /* /etc/wsl-distribution.conf, "" if absent */
	char *os_release;        /* /etc/os-release, "" if absent */
	uint64_t files;          /* inodes in use, directories included */
	uint64_t bytes; /* data and metadata in use, without the journal and inode tables */
};

struct image_import {
	int image_fd; /* an empty regular file, open for reading and writing */
	const char *image_name;
	uint64_t size_bytes; /* virtual size; 0: IMAGE_DEFAULT_BYTES */
	bool fixed;          /* allocate the whole size on the host's disk */
	int archive_fd;      /* file or pipe, read from its current position */
	const char *archive_name;
	bool accept_any; /* skip the check for a Linux distribution */
	struct image_events events;
};

enum image_format { IMAGE_TAR, IMAGE_TAR_GZ, IMAGE_TAR_XZ, IMAGE_TAR_ZST, IMAGE_RAW };

struct image_export {
	int image_fd; /* open for reading; never written to */
	const char *image_name;
	int target_fd; /* file or pipe, written from its current position */
	const char *target_name;
	enum image_format format;
	struct image_events events;
};

/**
 * image_prepare() - loads whatever later calls would open files for (locales, converters)
 *
 * Call once before a sandbox forbids open(2); otherwise optional.
 */
void image_prepare(void);

/**
 * image_create() - makes an empty ext4 file system
 *
 * The file is sparse and costs a few MiB at any size. It is not synced.
 */
int image_create(int image_fd, const char *name, uint64_t size_bytes, bool fixed, struct err *err);

/**
 * image_import() - makes a file system, fills it from an archive, checks and syncs it
 *
 * Reads tar, cpio, zip, 7-Zip and ISO 9660, plain or through any compression that needs no other
 * program. Ownership, modes, times, extended attributes, ACLs and names are kept byte by byte.
 * On failure the file's content is undefined: pass a file of a temporary name and rename it after
 * success, so that no half image is ever seen under the final name.
 */
int image_import(const struct image_import *job, struct image_info *ret, struct err *err);

/**
 * image_inspect() - checks that an existing image holds a Linux distribution and reads its texts
 *
 * Only reads. A journal that needs recovery is taken into account without being written back.
 */
int image_inspect(int image_fd, const char *name, struct image_info *ret, struct err *err);

/**
 * image_export() - writes an archive of the image, or a sparse copy of it
 *
 * The image must not change meanwhile: its distribution is stopped or its file system frozen. A
 * journal that needs recovery is replayed in memory; the image itself is never written. Sockets are
 * left out, with a warning.
 */
int image_export(const struct image_export *job, struct err *err);

/**
 * image_check() - runs e2fsck -p: replays the journal and repairs what is safe to repair
 *
 * Needs exec and so no sandbox. The image must not be in use.
 */
int image_check(const char *path, const struct image_events *events, struct err *err);

int image_format_parse(const char *name, enum image_format *ret); /* "tar.gz"; -EINVAL */
void image_info_done(struct image_info *info);

#endif
