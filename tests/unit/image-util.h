/* tests/unit/image-util.h - archives built in memory, images in memory files, and e2fsck on them */
#ifndef TESTS_UNIT_IMAGE_UTIL_H
#define TESTS_UNIT_IMAGE_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "image/image-internal.h"

#define SMALL (64ull << 20)

struct maker {
	struct archive *a;
	int fd; /* memory file that receives the archive */
};

__attribute__((unused)) static struct maker maker_begin(int format, int filter)
{
	struct maker m = { archive_write_new(), memfd_create("archive", MFD_CLOEXEC) };

	assert_non_null(m.a);
	assert_true(m.fd >= 0);
	assert_int_equal(archive_write_set_format(m.a, format), ARCHIVE_OK);
	assert_int_equal(archive_write_add_filter(m.a, filter), ARCHIVE_OK);
	assert_int_equal(archive_write_open_fd(m.a, m.fd), ARCHIVE_OK);
	return m;
}

__attribute__((unused)) static struct maker pax(void)
{
	return maker_begin(ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_NONE);
}

/* An entry to be changed and then put(); times and owner are set to something recognisable. */
__attribute__((unused)) static struct archive_entry *entry(const char *name, unsigned mode)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_copy_pathname(e, name);
	archive_entry_set_mode(e, mode);
	archive_entry_set_uid(e, 1000);
	archive_entry_set_gid(e, 100);
	archive_entry_set_mtime(e, 1600000000, 123456789);
	return e;
}

__attribute__((unused)) static void put_bytes(struct maker *m, struct archive_entry *e,
					      const void *bytes, size_t len)
{
	archive_entry_set_size(e, (la_int64_t)len);
	assert_true(archive_write_header(m->a, e) >= ARCHIVE_WARN);
	if (len)
		assert_int_equal(archive_write_data(m->a, bytes, len), (la_ssize_t)len);
	archive_entry_free(e);
}

__attribute__((unused)) static void put(struct maker *m, struct archive_entry *e, const char *text)
{
	put_bytes(m, e, text, text ? strlen(text) : 0);
}

__attribute__((unused)) static void put_file(struct maker *m, const char *name, const char *text)
{
	put(m, entry(name, S_IFREG | 0644), text);
}

__attribute__((unused)) static void put_dir(struct maker *m, const char *name)
{
	put(m, entry(name, S_IFDIR | 0755), NULL);
}

__attribute__((unused)) static void put_symlink(struct maker *m, const char *name,
						const char *target)
{
	struct archive_entry *e = entry(name, S_IFLNK | 0777);

	archive_entry_copy_symlink(e, target);
	put(m, e, NULL);
}

__attribute__((unused)) static void put_hardlink(struct maker *m, const char *name,
						 const char *target)
{
	struct archive_entry *e = entry(name, S_IFREG | 0644);

	archive_entry_copy_hardlink(e, target);
	put(m, e, NULL);
}

/* Ends the archive; the descriptor stands at its start. */
__attribute__((unused)) static int maker_end(struct maker *m)
{
	assert_int_equal(archive_write_close(m->a), ARCHIVE_OK);
	archive_write_free(m->a);
	assert_int_equal(lseek(m->fd, 0, SEEK_SET), 0);
	return m->fd;
}

__attribute__((unused)) static int new_image(void)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

__attribute__((unused)) static int import_at(int image, int archive, uint64_t size, bool any,
					     struct image_info *info, struct err *err)
{
	struct image_import job = { .image_fd = image,
				    .image_name = "test.img",
				    .size_bytes = size,
				    .archive_fd = archive,
				    .archive_name = "test.tar",
				    .accept_any = any };

	*err = ERR_INIT;
	return image_import(&job, info, err);
}

/* 0 when e2fsck -fn finds nothing to complain about. */
__attribute__((unused)) static int fsck(int image)
{
	char command[128];
	int status;

	snprintf(command, sizeof(command),
		 "/sbin/e2fsck -fn /proc/%d/fd/%d >/tmp/lxss-fsck.%d 2>&1", (int)getpid(), image,
		 (int)getpid());
	status = system(command);
	if (status != 0) {
		snprintf(command, sizeof(command), "head -40 /tmp/lxss-fsck.%d", (int)getpid());
		(void)!system(command);
	}
	snprintf(command, sizeof(command), "/tmp/lxss-fsck.%d", (int)getpid());
	unlink(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Imports whatever it is, into a small image that e2fsck must like; returns the image. */
__attribute__((unused)) static int import_ok(struct maker *m)
{
	int image = new_image(), archive = maker_end(m);
	struct image_info info;
	struct err err;
	int r = import_at(image, archive, SMALL, true, &info, &err);

	close(archive);
	if (r < 0)
		print_message("%s\n", err.text);
	assert_int_equal(r, 0);
	image_info_done(&info);
	assert_int_equal(fsck(image), 0);
	return image;
}

/* Imports something that must be refused with a text that contains @words. */
__attribute__((unused)) static void import_fails(struct maker *m, int code, const char *words)
{
	int image = new_image(), archive = maker_end(m);
	struct image_info info;
	struct err err;
	int r = import_at(image, archive, SMALL, true, &info, &err);

	close(archive);
	close(image);
	assert_int_equal(r, code);
	assert_int_equal(err.errnum, -code);
	if (!strstr(err.text, words))
		print_message("'%s' lacks '%s'\n", err.text, words);
	assert_non_null(strstr(err.text, words));
}

struct image {
	struct reader r;
	int fd;
};

__attribute__((unused)) static struct image open_image(int fd)
{
	struct image im = { .fd = fd };
	struct err err = ERR_INIT;

	assert_int_equal(reader_open(&im.r, fd, "test.img", &err), 0);
	return im;
}

__attribute__((unused)) static void close_image(struct image *im)
{
	reader_close(&im->r);
	close(im->fd);
}

/* The inode of a path (last part not followed), 0 if there is none. */
__attribute__((unused)) static ext2_ino_t find(struct image *im, const char *path,
					       union inode_buf *ret)
{
	ext2_filsys fs = im->r.fs;
	ext2_ino_t ino;

	if (ext2fs_namei(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, &ino) != 0)
		return 0;
	assert_int_equal(ext2fs_read_inode_full(fs, ino, &ret->s, sizeof(*ret)), 0);
	return ino;
}

__attribute__((unused)) static ext2_ino_t must_find(struct image *im, const char *path,
						    union inode_buf *ret)
{
	ext2_ino_t ino = find(im, path, ret);

	if (!ino)
		print_message("%s is missing\n", path);
	assert_int_not_equal(ino, 0);
	return ino;
}

/* A file's content in fresh memory, terminated. */
__attribute__((unused)) static char *content(struct image *im, const char *path, size_t *ret_len)
{
	union inode_buf inode;
	ext2_ino_t ino = must_find(im, path, &inode);
	size_t size = EXT2_I_SIZE(&inode.s);
	char *text = calloc(1, size + 1);
	unsigned got = 0;
	ext2_file_t f;

	assert_int_equal(ext2fs_file_open(im->r.fs, ino, 0, &f), 0);
	if (size)
		assert_int_equal(ext2fs_file_read(f, text, (unsigned)size, &got), 0);
	ext2fs_file_close(f);
	assert_int_equal(got, size);
	if (ret_len)
		*ret_len = size;
	return text;
}

__attribute__((unused)) static void content_is(struct image *im, const char *path,
					       const char *expected)
{
	char *text = content(im, path, NULL);

	assert_string_equal(text, expected);
	free(text);
}

__attribute__((unused)) static void link_is(struct image *im, const char *path,
					    const char *expected)
{
	union inode_buf inode;
	char *text;

	must_find(im, path, &inode);
	assert_int_equal(EXT2_I_SIZE(&inode.s), strlen(expected));
	if (strlen(expected) < 60) {
		assert_memory_equal(inode.s.i_block, expected, strlen(expected));
		return;
	}
	text = content(im, path, NULL);
	assert_string_equal(text, expected);
	free(text);
}

/* An attribute as the kernel would show it; NULL: absent. */
__attribute__((unused)) static void *xattr(struct image *im, const char *path, const char *name,
					   size_t *ret_len)
{
	struct ext2_xattr_handle *h;
	union inode_buf inode;
	void *value = NULL, *copy = NULL;

	assert_int_equal(ext2fs_xattrs_open(im->r.fs, must_find(im, path, &inode), &h), 0);
	assert_int_equal(ext2fs_xattrs_read(h), 0);
	if (ext2fs_xattr_get(h, name, &value, ret_len) == 0) {
		copy = malloc(*ret_len + 1);
		memcpy(copy, value, *ret_len);
		ext2fs_free_mem(&value);
	}
	ext2fs_xattrs_close(&h);
	return copy;
}

__attribute__((unused)) static void xattr_is(struct image *im, const char *path, const char *name,
					     const void *expected, size_t len)
{
	size_t got = 0;
	void *value = xattr(im, path, name, &got);

	assert_non_null(value);
	assert_int_equal(got, len);
	assert_memory_equal(value, expected, len);
	free(value);
}

#endif
