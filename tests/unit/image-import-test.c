/* tests/unit/image-import-test.c - what an archive says is what the image holds */
#include "image-util.h"

static void keeps_plain_metadata(void **state)
{
	struct maker m = pax();
	struct archive_entry *e = entry("bin/su", S_IFREG | 04755);
	union inode_buf inode;
	struct image im;

	archive_entry_set_uid(e, 4294967294);
	archive_entry_set_gid(e, 70000);
	put(&m, e, "content\n");
	put(&m, entry("tmp", S_IFDIR | 01777), NULL);
	im = open_image(import_ok(&m));
	must_find(&im, "/bin/su", &inode);
	assert_int_equal(inode.s.i_mode, S_IFREG | 04755);
	assert_int_equal(inode_uid(inode.s), 4294967294);
	assert_int_equal(inode_gid(inode.s), 70000);
	assert_int_equal(inode.l.i_mtime, 1600000000);
	assert_int_equal(inode.l.i_mtime_extra, 123456789u << 2);
	content_is(&im, "/bin/su", "content\n");
	must_find(&im, "/bin", &inode); /* made for its file */
	assert_int_equal(inode.s.i_mode, S_IFDIR | 0755);
	assert_int_equal(inode_uid(inode.s), 0);
	must_find(&im, "/tmp", &inode);
	assert_int_equal(inode.s.i_mode, S_IFDIR | 01777);
	close_image(&im);
}

static void keeps_times_beyond_2038_and_before_1970(void **state)
{
	static const int64_t times[] = { -1, -2000000000, 0, 4000000000, 9000000000, 15000000000 };
	struct maker m = pax();
	union inode_buf inode;
	struct image im;
	char name[8];

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		struct archive_entry *e;

		snprintf(name, sizeof(name), "f%zu", i);
		e = entry(name, S_IFREG | 0600);
		archive_entry_set_mtime(e, times[i], 0);
		put(&m, e, NULL);
	}
	im = open_image(import_ok(&m));
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		must_find(&im, name, &inode);
		assert_true((int64_t)(int32_t)inode.l.i_mtime +
				    ((int64_t)(inode.l.i_mtime_extra & 3) << 32) ==
			    times[i]);
	}
	close_image(&im);
}

static void keeps_links_and_devices(void **state)
{
	struct maker m = pax();
	struct archive_entry *e;
	union inode_buf inode, other;
	char longer[1001];
	struct image im;

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	put_file(&m, "a", "text");
	put_hardlink(&m, "d/b", "a");
	put_hardlink(&m, "c", "./d/b");
	put_symlink(&m, "s59", "12345678901234567890123456789012345678901234567890123456789");
	put_symlink(&m, "s60", "123456789012345678901234567890123456789012345678901234567890");
	put_symlink(&m, "long", longer);
	e = entry("dev/null", S_IFCHR | 0666);
	archive_entry_set_rdev(e, makedev(1, 3));
	put(&m, e, NULL);
	e = entry("dev/big", S_IFBLK | 0660);
	archive_entry_set_rdev(e, makedev(259, 70000));
	put(&m, e, NULL);
	put(&m, entry("fifo", S_IFIFO | 0600), NULL);
	im = open_image(import_ok(&m));
	must_find(&im, "/a", &inode);
	assert_int_equal(inode.s.i_links_count, 3);
	assert_int_equal(must_find(&im, "/d/b", &other), must_find(&im, "/c", &other));
	link_is(&im, "/s59", "12345678901234567890123456789012345678901234567890123456789");
	link_is(&im, "/s60", "123456789012345678901234567890123456789012345678901234567890");
	link_is(&im, "/long", longer);
	must_find(&im, "/dev/null", &inode);
	assert_int_equal(inode.s.i_mode, S_IFCHR | 0666);
	assert_int_equal(inode.s.i_block[0], 0x103);
	must_find(&im, "/dev/big", &inode);
	assert_int_equal(inode.s.i_block[0], 0);
	assert_int_equal(inode.s.i_block[1], (70000 & 0xff) | 259 << 8 | (70000 & ~0xff) << 12);
	must_find(&im, "/fifo", &inode);
	assert_int_equal(inode.s.i_mode, S_IFIFO | 0600);
	close_image(&im);
}

static void keeps_attributes(void **state)
{
	static const uint8_t cap[20] = { 1, 0, 0, 2, 0, 4 };
	char big[3000], small[16];
	struct maker m = pax();
	struct archive_entry *e = entry("ping", S_IFREG | 0755);
	struct image im;
	size_t len;

	memset(big, 'v', sizeof(big));
	archive_entry_xattr_add_entry(e, "security.capability", cap, sizeof(cap));
	archive_entry_xattr_add_entry(e, "user.big", big, sizeof(big));
	archive_entry_xattr_add_entry(e, "trusted.t", "\0binary", 7);
	archive_entry_xattr_add_entry(e, "user.empty", "", 0);
	archive_entry_xattr_add_entry(e, "com.apple.quarantine", "x", 1);
	put(&m, e, "elf");
	e = entry("many", S_IFDIR | 0755);
	for (int i = 0; i < 100; i++) {
		snprintf(small, sizeof(small), "user.n%d", i);
		archive_entry_xattr_add_entry(e, small, small, strlen(small));
	}
	put(&m, e, NULL);
	im = open_image(import_ok(&m));
	xattr_is(&im, "/ping", "security.capability", cap, sizeof(cap));
	xattr_is(&im, "/ping", "user.big", big, sizeof(big));
	xattr_is(&im, "/ping", "trusted.t", "\0binary", 7);
	xattr_is(&im, "/ping", "user.empty", "", 0);
	assert_null(xattr(&im, "/ping", "com.apple.quarantine", &len));
	for (int i = 0; i < 100; i++) {
		snprintf(small, sizeof(small), "user.n%d", i);
		xattr_is(&im, "/many", small, small, strlen(small));
	}
	close_image(&im);
}

static void keeps_access_control_lists(void **state)
{
	static const uint8_t expected[] = { 2,    0, 0, 0,                  /* version */
					    1,    0, 6, 0, 0,    0, 0, 0,   /* user:: */
					    2,    0, 4, 0, 0xe9, 3, 0, 0,   /* user:1001 */
					    4,    0, 4, 0, 0,    0, 0, 0,   /* group:: */
					    0x10, 0, 6, 0, 0,    0, 0, 0,   /* mask */
					    0x20, 0, 0, 0, 0,    0, 0, 0 }; /* other */
	const int access = ARCHIVE_ENTRY_ACL_TYPE_ACCESS, def = ARCHIVE_ENTRY_ACL_TYPE_DEFAULT;
	struct maker m = pax();
	struct archive_entry *e = entry("f", S_IFREG | 0640);
	union inode_buf inode;
	struct image im;
	size_t len;
	void *value;

	archive_entry_acl_add_entry(e, access, 4, ARCHIVE_ENTRY_ACL_USER, 1001, "");
	archive_entry_acl_add_entry(e, access, 6, ARCHIVE_ENTRY_ACL_MASK, -1, "");
	put(&m, e, NULL);
	e = entry("d", S_IFDIR | 0755);
	archive_entry_acl_add_entry(e, def, 7, ARCHIVE_ENTRY_ACL_USER_OBJ, -1, "");
	archive_entry_acl_add_entry(e, def, 5, ARCHIVE_ENTRY_ACL_GROUP_OBJ, -1, "");
	archive_entry_acl_add_entry(e, def, 5, ARCHIVE_ENTRY_ACL_GROUP, 50, "");
	archive_entry_acl_add_entry(e, def, 0, ARCHIVE_ENTRY_ACL_OTHER, -1, "");
	put(&m, e, NULL);
	im = open_image(import_ok(&m));
	xattr_is(&im, "/f", "system.posix_acl_access", expected, sizeof(expected));
	must_find(&im, "/f", &inode);
	assert_int_equal(inode.s.i_mode & 0777, 0660); /* group bits show the mask */
	value = xattr(&im, "/d", "system.posix_acl_default", &len);
	assert_non_null(value);
	assert_int_equal(len, 4 + 5 * 8); /* the mask was added */
	free(value);
	close_image(&im);
}

static void keeps_odd_names(const char *name, int format)
{
	struct maker m = maker_begin(format, ARCHIVE_FILTER_NONE);
	union inode_buf inode;
	char path[300];
	struct image im;

	put_dir(&m, "d");
	snprintf(path, sizeof(path), "d/%s", name);
	put_file(&m, path, "x");
	snprintf(path, sizeof(path), "l%.10s", name);
	put_symlink(&m, path, name);
	im = open_image(import_ok(&m));
	snprintf(path, sizeof(path), "/d/%s", name);
	must_find(&im, path, &inode);
	snprintf(path, sizeof(path), "/l%.10s", name);
	link_is(&im, path, name);
	close_image(&im);
}

static void keeps_names_byte_by_byte(void **state)
{
	static const int formats[] = { ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE,
				       ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FORMAT_CPIO_SVR4_NOCRC };
	char longest[256];

	memset(longest, 'n', 255);
	longest[255] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		keeps_odd_names("caf\xe9", formats[i]);
		keeps_odd_names("caf\xc3\xa9", formats[i]);
		keeps_odd_names("new\nline \\ \"quoted\" \x01", formats[i]);
		keeps_odd_names(longest, formats[i]);
	}
}

/* A pax header whose path is not UTF-8 and does not say so, as GNU tar writes it. */
static void keeps_undeclared_bytes_in_pax_headers(void **state)
{
	struct maker m = pax();
	struct archive_entry *e = entry("d/XXXX-longer-than-a-hundred-bytes-"
					"0123456789012345678901234567890123456789012345678901234567"
					"890123456789",
					S_IFREG | 0644);
	union inode_buf inode;
	struct image_info info;
	struct image im;
	struct err err;
	uint8_t *map;
	off_t size;
	int fd, image;

	put(&m, e, "x");
	fd = maker_end(&m);
	size = lseek(fd, 0, SEEK_END);
	lseek(fd, 0, SEEK_SET);
	map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (off_t i = 512; i + 4 < size; i++)
		if (memcmp(map + i, "XXXX", 4) == 0 && map[i - 7] == 'p')
			memcpy(map + i, "\xff\xe9\xc3\x80", 4);
	munmap(map, (size_t)size);
	image = new_image();
	assert_int_equal(import_at(image, fd, SMALL, true, &info, &err), 0);
	image_info_done(&info);
	close(fd);
	im = open_image(image);
	must_find(&im,
		  "/d/\xff\xe9\xc3\x80-longer-than-a-hundred-bytes-"
		  "0123456789012345678901234567890123456789012345678901234567890123456789",
		  &inode);
	close_image(&im);
}

static void keeps_holes(void **state)
{
	const uint64_t size = 8ull << 30;
	struct maker m = pax();
	struct archive_entry *e = entry("sparse", S_IFREG | 0644);
	uint8_t *zeros = mmap(NULL, 1 << 26, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	union inode_buf inode;
	struct image im;
	char buf[8];
	ext2_file_t f;
	unsigned got;

	archive_entry_set_size(e, (la_int64_t)size);
	archive_entry_sparse_add_entry(e, 1 << 20, 4096);
	archive_entry_sparse_add_entry(e, (1ll << 32) + 1000, 5);
	assert_int_equal(archive_write_header(m.a, e), ARCHIVE_OK);
	archive_write_data(m.a, zeros, 1 << 20);
	archive_write_data(m.a, zeros, 4096);
	for (uint64_t at = (1 << 20) + 4096; at < (1ull << 32) + 1000;)
		at += (uint64_t)archive_write_data(
			m.a, zeros, (size_t)MIN((1ull << 32) + 1000 - at, (uint64_t)1 << 26));
	archive_write_data(m.a, "hello", 5);
	for (uint64_t at = (1ull << 32) + 1005; at < size;)
		at += (uint64_t)archive_write_data(m.a, zeros,
						   (size_t)MIN(size - at, (uint64_t)1 << 26));
	archive_entry_free(e);
	munmap(zeros, 1 << 26);
	im = open_image(import_ok(&m));
	must_find(&im, "/sparse", &inode);
	assert_true(EXT2_I_SIZE(&inode.s) == size);
	assert_int_equal(inode.s.i_blocks, 2 * 8);
	assert_int_equal(ext2fs_file_open(im.r.fs, must_find(&im, "/sparse", &inode), 0, &f), 0);
	ext2fs_file_llseek(f, (1ull << 32) + 999, EXT2_SEEK_SET, NULL);
	assert_int_equal(ext2fs_file_read(f, buf, 7, &got), 0);
	assert_memory_equal(buf, "\0hello\0", 7);
	ext2fs_file_close(f);
	close_image(&im);
}

static void writes_deep_extent_trees(void **state)
{
	enum { PIECES = 3000 };
	struct maker m = pax();
	struct archive_entry *e = entry("pieces", S_IFREG | 0644);
	struct image im;
	size_t len;
	char *text;

	archive_entry_set_size(e, PIECES * 8192ll);
	for (int i = 0; i < PIECES; i++)
		archive_entry_sparse_add_entry(e, i * 8192ll, 4096);
	archive_write_header(m.a, e);
	for (int i = 0; i < PIECES; i++) {
		char block[8192] = { 0 };

		memset(block, 'a' + i % 26, 4096);
		archive_write_data(m.a, block, sizeof(block));
	}
	archive_entry_free(e);
	put_file(&m, "gone", "1"); /* replaced below, after the tree */
	put_file(&m, "gone", "2");
	im = open_image(import_ok(&m));
	text = content(&im, "/pieces", &len);
	assert_int_equal(len, PIECES * 8192);
	for (int i = 0; i < PIECES; i++) {
		assert_int_equal(text[i * 8192 + 4095], 'a' + i % 26);
		assert_int_equal(text[i * 8192 + 4096], 0);
	}
	free(text);
	content_is(&im, "/gone", "2");
	close_image(&im);
}

static void later_entries_replace_earlier_ones(void **state)
{
	struct maker m = pax();
	struct archive_entry *e;
	union inode_buf inode;
	struct image im;
	char *big = calloc(1, 3 << 20);

	put_bytes(&m, entry("f", S_IFREG | 0600), big, 3 << 20);
	put_file(&m, "f", "new");
	put_file(&m, "kept", "both");
	put_hardlink(&m, "other", "kept");
	put_file(&m, "kept", "alone");
	put_dir(&m, "d");
	put_file(&m, "d/in", "1");
	e = entry("d", S_IFDIR | 0700);
	archive_entry_xattr_add_entry(e, "user.a", "1", 1);
	put(&m, e, NULL);
	put_symlink(&m, "f2", "nowhere");
	put_file(&m, "f2", "no link now");
	put_dir(&m, "empty");
	put_file(&m, "empty", "a file now");
	put(&m, entry("./", S_IFDIR | 0711), NULL);
	free(big);
	im = open_image(import_ok(&m));
	content_is(&im, "/f", "new");
	content_is(&im, "/other", "both");
	content_is(&im, "/kept", "alone");
	content_is(&im, "/d/in", "1");
	content_is(&im, "/f2", "no link now");
	content_is(&im, "/empty", "a file now");
	must_find(&im, "/d", &inode);
	assert_int_equal(inode.s.i_mode, S_IFDIR | 0700);
	xattr_is(&im, "/d", "user.a", "1", 1);
	must_find(&im, "/", &inode);
	assert_int_equal(inode.s.i_mode, S_IFDIR | 0711);
	close_image(&im);
}

static void follows_links_inside_the_image_only(void **state)
{
	struct maker m = pax();
	union inode_buf inode;
	struct image im;

	put_symlink(&m, "bin", "usr/bin");
	put_file(&m, "bin/sh", "shell");
	put_symlink(&m, "abs", "/usr/lib");
	put_file(&m, "abs/x", "in lib");
	put_symlink(&m, "usr/up", "../../../../../etc");
	put_file(&m, "usr/up/passwd", "ours");
	put_dir(&m, "bin/"); /* a directory entry for a link to one: the link stays */
	im = open_image(import_ok(&m));
	content_is(&im, "/usr/bin/sh", "shell");
	content_is(&im, "/usr/lib/x", "in lib");
	content_is(&im, "/etc/passwd", "ours");
	link_is(&im, "/bin", "usr/bin");
	must_find(&im, "/usr/bin", &inode);
	assert_int_equal(inode_uid(inode.s), 1000);
	close_image(&im);
}

static void makes_absolute_names_relative(void **state)
{
	struct maker m = pax();
	struct image im;

	put_file(&m, "/etc/x", "1");
	put_file(&m, "//etc/.//y", "2");
	im = open_image(import_ok(&m));
	content_is(&im, "/etc/x", "1");
	content_is(&im, "/etc/y", "2");
	close_image(&im);
}

static void reads_every_format_and_filter(void **state)
{
	static const struct {
		int format, filter;
	} kinds[] = {
		{ ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP },
		{ ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_BZIP2 },
		{ ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_XZ },
		{ ARCHIVE_FORMAT_TAR_PAX_RESTRICTED, ARCHIVE_FILTER_ZSTD },
		{ ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_LZ4 },
		{ ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_COMPRESS },
		{ ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_LZIP },
		{ ARCHIVE_FORMAT_CPIO_POSIX, ARCHIVE_FILTER_NONE },
		{ ARCHIVE_FORMAT_CPIO_SVR4_NOCRC, ARCHIVE_FILTER_GZIP },
		{ ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE },
		{ ARCHIVE_FORMAT_7ZIP, ARCHIVE_FILTER_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct maker m = maker_begin(kinds[i].format, kinds[i].filter);
		union inode_buf inode;
		struct image im;

		put_dir(&m, "etc");
		put_file(&m, "etc/hosts", "127.0.0.1 localhost\n");
		put_symlink(&m, "etc/link", "hosts");
		im = open_image(import_ok(&m));
		content_is(&im, "/etc/hosts", "127.0.0.1 localhost\n");
		link_is(&im, "/etc/link", "hosts");
		must_find(&im, "/etc/hosts", &inode);
		assert_int_equal(inode.s.i_mode, S_IFREG | 0644);
		assert_int_equal(inode.l.i_mtime, 1600000000);
		close_image(&im);
	}
}

static void reads_from_a_pipe(void **state)
{
	struct maker m = maker_begin(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP);
	int fds[2], fd, image = new_image();
	struct image_info info;
	struct image im;
	struct err err;
	pid_t pid;

	put_file(&m, "etc/f", "piped");
	fd = maker_end(&m);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		char c;

		close(fds[0]);
		while (read(fd, &c, 1) == 1)
			if (write(fds[1], &c, 1) != 1)
				_exit(1);
		_exit(0);
	}
	close(fds[1]);
	assert_int_equal(import_at(image, fds[0], SMALL, false, &info, &err), 0);
	image_info_done(&info);
	close(fds[0]);
	close(fd);
	waitpid(pid, NULL, 0);
	im = open_image(image);
	content_is(&im, "/etc/f", "piped");
	close_image(&im);
}

static void cpio_links_bring_their_data_last(void **state)
{
	struct maker m = maker_begin(ARCHIVE_FORMAT_CPIO_SVR4_NOCRC, ARCHIVE_FILTER_NONE);
	union inode_buf inode;
	struct archive_entry *e;
	struct image im;

	put(&m, entry("sock", S_IFSOCK | 0600), NULL); /* left out */
	for (int i = 0; i < 2; i++) {
		e = entry(i ? "b" : "a", S_IFREG | 0644);
		archive_entry_set_ino(e, 77);
		archive_entry_set_dev(e, 1);
		archive_entry_set_nlink(e, 2);
		put(&m, e, i ? "the content" : NULL);
	}
	im = open_image(import_ok(&m));
	content_is(&im, "/a", "the content");
	content_is(&im, "/b", "the content");
	assert_int_equal(find(&im, "/sock", &inode), 0);
	must_find(&im, "/a", &inode);
	assert_int_equal(inode.s.i_links_count, 2);
	close_image(&im);
}

static void tells_what_is_inside(void **state)
{
	struct maker m = pax();
	int image = new_image(), archive;
	struct image_info info;
	struct err err;

	put_symlink(&m, "etc/os-release", "/usr/lib/os-release");
	put_file(&m, "usr/lib/os-release", "ID=test\n");
	put_file(&m, "etc/wsl-distribution.conf", "[oobe]\n");
	archive = maker_end(&m);
	assert_int_equal(import_at(image, archive, SMALL, false, &info, &err), 0);
	assert_string_equal(info.os_release, "ID=test\n");
	assert_string_equal(info.distribution_conf, "[oobe]\n");
	assert_true(info.files >= 15 && info.files < 30);
	assert_true(info.bytes > 4096 && info.bytes < 1 << 20);
	image_info_done(&info);
	err = ERR_INIT;
	assert_int_equal(image_inspect(image, "test.img", &info, &err), 0);
	assert_string_equal(info.os_release, "ID=test\n");
	image_info_done(&info);
	close(archive);
	close(image);
}

static void accepts_a_shell_without_etc(void **state)
{
	struct maker m = pax();
	int image = new_image(), archive;
	struct image_info info;
	struct err err;

	put_symlink(&m, "bin", "/usr/bin");
	put_symlink(&m, "usr/bin/sh", "dash");
	archive = maker_end(&m);
	assert_int_equal(import_at(image, archive, SMALL, false, &info, &err), 0);
	assert_string_equal(info.os_release, "");
	image_info_done(&info);
	close(archive);
	close(image);
}

static void refuses_what_is_no_distribution(void **state)
{
	struct maker m = pax();
	int image = new_image(), archive;
	struct image_info info;
	struct err err;

	put_file(&m, "readme", "hello");
	archive = maker_end(&m);
	assert_true(import_at(image, archive, SMALL, false, &info, &err) < 0);
	assert_int_equal(err.id, ERR_WSL_E_NOT_A_LINUX_DISTRO);
	close(archive);
	archive = memfd_create("empty", 0);
	assert_true(import_at(image, archive, SMALL, false, &info, &err) < 0);
	assert_int_equal(err.id, ERR_WSL_E_NOT_A_LINUX_DISTRO);
	close(archive);
	close(image);
}

static void costs_little_when_empty(void **state)
{
	static const uint64_t sizes[] = { IMAGE_MIN_BYTES, 100ull << 20, 10ull << 30, 1ull << 40,
					  20ull << 40 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char path[] = "/tmp/lxss-image-XXXXXX";
		int image = mkostemp(path, O_CLOEXEC);
		struct err err = ERR_INIT;
		struct stat st;

		unlink(path);
		if (image_create(image, "test.img", sizes[i], false, &err) < 0) {
			print_message("%s\n", err.text);
			assert_int_equal(err.errnum, EFBIG); /* the host's file system: 16 TiB */
			close(image);
			continue;
		}
		assert_int_equal(fstat(image, &st), 0);
		assert_true((uint64_t)st.st_size == sizes[i]);
		assert_true(st.st_blocks * 512ll < 24ll << 20);
		if (sizes[i] < 1ull << 40) /* e2fsck of a larger one takes its time */
			assert_int_equal(fsck(image), 0);
		close(image);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_plain_metadata),
		cmocka_unit_test(keeps_times_beyond_2038_and_before_1970),
		cmocka_unit_test(keeps_links_and_devices),
		cmocka_unit_test(keeps_attributes),
		cmocka_unit_test(keeps_access_control_lists),
		cmocka_unit_test(keeps_names_byte_by_byte),
		cmocka_unit_test(keeps_undeclared_bytes_in_pax_headers),
		cmocka_unit_test(keeps_holes),
		cmocka_unit_test(writes_deep_extent_trees),
		cmocka_unit_test(later_entries_replace_earlier_ones),
		cmocka_unit_test(follows_links_inside_the_image_only),
		cmocka_unit_test(makes_absolute_names_relative),
		cmocka_unit_test(reads_every_format_and_filter),
		cmocka_unit_test(reads_from_a_pipe),
		cmocka_unit_test(cpio_links_bring_their_data_last),
		cmocka_unit_test(tells_what_is_inside),
		cmocka_unit_test(accepts_a_shell_without_etc),
		cmocka_unit_test(refuses_what_is_no_distribution),
		cmocka_unit_test(costs_little_when_empty),
	};

	return cmocka_run_group_tests_name("image-import", tests, NULL, NULL);
}
