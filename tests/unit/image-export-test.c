/* tests/unit/image-export-test.c - what an image holds is what the archive says, and back again */
#include "image-util.h"

static int export_to(int image, enum image_format format, struct err *err)
{
	struct image_export job = { .image_fd = image,
				    .image_name = "test.img",
				    .target_fd = memfd_create("out", MFD_CLOEXEC),
				    .target_name = "out.tar",
				    .format = format };
	int r;

	*err = ERR_INIT;
	r = image_export(&job, err);
	if (r < 0) {
		close(job.target_fd);
		return r;
	}
	lseek(job.target_fd, 0, SEEK_SET);
	return job.target_fd;
}

static int must_export(int image, enum image_format format)
{
	struct err err;
	int fd = export_to(image, format, &err);

	if (fd < 0)
		print_message("%s\n", err.text);
	assert_true(fd >= 0);
	return fd;
}

static int reimport(int archive)
{
	int image = new_image();
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

/* One of everything. */
static int everything(void)
{
	static const uint8_t cap[20] = { 1, 0, 0, 2, 0, 4 };
	const int access = ARCHIVE_ENTRY_ACL_TYPE_ACCESS, def = ARCHIVE_ENTRY_ACL_TYPE_DEFAULT;
	struct maker m = pax();
	struct archive_entry *e = entry("bin/ping", S_IFREG | 04755);
	char *big = malloc(2000000);

	for (int i = 0; i < 2000000; i++)
		big[i] = (char)(i * 7 + i / 4096);
	archive_entry_xattr_add_entry(e, "security.capability", cap, sizeof(cap));
	archive_entry_xattr_add_entry(e, "user.note", "\0\1\2", 3);
	archive_entry_xattr_add_entry(e, "user.long", big, 2000);
	archive_entry_set_uid(e, 4000000000);
	put_bytes(&m, e, big, 2000000);
	free(big);
	put_hardlink(&m, "sbin/ping", "bin/ping");
	e = entry("acl", S_IFREG | 0640);
	archive_entry_acl_add_entry(e, access, 4, ARCHIVE_ENTRY_ACL_USER, 1001, "");
	archive_entry_acl_add_entry(e, access, 6, ARCHIVE_ENTRY_ACL_GROUP, 70000, "");
	archive_entry_acl_add_entry(e, access, 6, ARCHIVE_ENTRY_ACL_MASK, -1, "");
	put(&m, e, "guarded");
	e = entry("dir", S_IFDIR | 02775);
	archive_entry_acl_add_entry(e, def, 7, ARCHIVE_ENTRY_ACL_USER_OBJ, -1, "");
	archive_entry_acl_add_entry(e, def, 5, ARCHIVE_ENTRY_ACL_GROUP_OBJ, -1, "");
	archive_entry_acl_add_entry(e, def, 5, ARCHIVE_ENTRY_ACL_GROUP, 50, "");
	archive_entry_acl_add_entry(e, def, 0, ARCHIVE_ENTRY_ACL_OTHER, -1, "");
	put(&m, e, NULL);
	put_file(&m, "dir/caf\xe9", "latin");
	put_file(&m, "dir/caf\xc3\xa9", "utf-8");
	put_file(&m, "dir/empty", NULL);
	put_symlink(&m, "dir/link", "../acl");
	put_symlink(&m, "dir/longer",
		    "0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/caf\xe9");
	e = entry("dev/x", S_IFBLK | 0660);
	archive_entry_set_rdev(e, makedev(259, 70000));
	put(&m, e, NULL);
	e = entry("dev/null", S_IFCHR | 0666);
	archive_entry_set_rdev(e, makedev(1, 3));
	put(&m, e, NULL);
	put(&m, entry("fifo", S_IFIFO | 0600), NULL);
	e = entry("old", S_IFREG | 0600);
	archive_entry_set_mtime(e, -1000000, 5);
	put(&m, e, NULL);
	e = entry("sparse", S_IFREG | 0600);
	archive_entry_set_size(e, 100000);
	archive_entry_sparse_add_entry(e, 40960, 4096);
	archive_write_header(m.a, e);
	big = calloc(1, 100000);
	memset(big + 40960, 's', 4096);
	archive_write_data(m.a, big, 100000);
	free(big);
	archive_entry_free(e);
	e = entry("hole", S_IFREG | 0600);
	archive_entry_set_size(e, 5000000);
	archive_entry_sparse_add_entry(e, 0, 0);
	archive_write_header(m.a, e);
	big = calloc(1, 5000000);
	archive_write_data(m.a, big, 5000000);
	free(big);
	archive_entry_free(e);
	return import_ok(&m);
}

/* Describes each entry of a tar on a line, in the order of the archive. */
static char *listing(int fd)
{
	struct archive *a = archive_read_new();
	struct archive_entry *e;
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	archive_read_support_format_tar(a);
	assert_int_equal(archive_read_open_fd(a, fd, 65536), ARCHIVE_OK);
	while (archive_read_next_header(a, &e) >= ARCHIVE_WARN && archive_errno(a) != -1) {
		const char *name, *hard = archive_entry_hardlink(e);
		const void *bytes;
		char *acl = archive_entry_acl_to_text(e, NULL,
						      ARCHIVE_ENTRY_ACL_STYLE_EXTRA_ID |
							      ARCHIVE_ENTRY_ACL_TYPE_ACCESS |
							      ARCHIVE_ENTRY_ACL_TYPE_DEFAULT);
		unsigned sum = 0;
		size_t len;
		la_int64_t at;

		if (!archive_entry_pathname(e)) {
			free(acl);
			break;
		}
		fprintf(f, "%s %o %lld:%lld %lld.%09ld dev=%llx %s %s acl=%s",
			archive_entry_pathname(e), archive_entry_mode(e),
			(long long)archive_entry_uid(e), (long long)archive_entry_gid(e),
			(long long)archive_entry_mtime(e), archive_entry_mtime_nsec(e),
			(unsigned long long)archive_entry_rdev(e), hard ? hard : "-",
			archive_entry_symlink(e) ? archive_entry_symlink(e) : "-", acl ? acl : "");
		free(acl);
		archive_entry_xattr_reset(e);
		while (archive_entry_xattr_next(e, &name, &bytes, &len) == ARCHIVE_OK) {
			for (size_t i = 0; i < len; i++)
				sum = sum * 31 + ((const uint8_t *)bytes)[i];
			fprintf(f, " %s=%zu:%u", name, len, sum);
		}
		while (archive_read_data_block(a, &bytes, &len, &at) == ARCHIVE_OK) {
			for (size_t i = 0; i < len; i++)
				sum = sum * 31 + ((const uint8_t *)bytes)[i];
			fprintf(f, " data@%lld", (long long)at);
		}
		fprintf(f, " %u size=%lld\n", sum, (long long)archive_entry_size(e));
	}
	archive_read_free(a);
	fclose(f);
	lseek(fd, 0, SEEK_SET);
	return text;
}

static void a_round_trip_keeps_everything(void **state)
{
	static const enum image_format formats[] = { IMAGE_TAR, IMAGE_TAR_GZ, IMAGE_TAR_XZ,
						     IMAGE_TAR_ZST };
	int first = everything();
	int tar = must_export(first, IMAGE_TAR);
	char *expected = listing(tar);

	close(tar);
	assert_non_null(strstr(expected, "./dir/caf\xe9 "));
	assert_non_null(strstr(expected, "./dir/caf\xc3\xa9 "));
	assert_non_null(strstr(expected, "4000000000:100"));
	assert_non_null(strstr(expected, "1600000000.123456789"));
	assert_non_null(strstr(expected, "security.capability=20:"));
	assert_non_null(strstr(expected, "data@40960"));
	assert_non_null(strstr(expected, "user:1001:r--:1001"));
	assert_null(strstr(expected, "lost+found"));
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		int second = reimport(must_export(first, formats[i]));
		char *got;

		tar = must_export(second, IMAGE_TAR);
		got = listing(tar);
		assert_string_equal(got, expected);
		free(got);
		close(tar);
		close(second);
	}
	free(expected);
	close(first);
}

static void holes_cost_nothing(void **state)
{
	struct maker m = pax();
	struct archive_entry *e = entry("giant", S_IFREG | 0644);
	void *zeros = mmap(NULL, 1 << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int image, tar;
	struct stat st;

	archive_entry_set_size(e, 4ll << 40);
	archive_entry_sparse_add_entry(e, 0, 0);
	archive_write_header(m.a, e);
	for (int64_t at = 0; at < 4ll << 40;)
		at += archive_write_data(m.a, zeros, 1 << 30);
	archive_entry_free(e);
	munmap(zeros, 1 << 30);
	image = import_ok(&m);
	tar = must_export(image, IMAGE_TAR);
	assert_int_equal(fstat(tar, &st), 0);
	assert_true(st.st_size < 32768);
	close(image);
	close(reimport(tar));
}

static void a_raw_copy_keeps_holes(void **state)
{
	int image = everything(), copy = must_export(image, IMAGE_RAW);
	struct stat a, b;
	struct image im;

	assert_int_equal(fstat(image, &a), 0);
	assert_int_equal(fstat(copy, &b), 0);
	assert_true(a.st_size == b.st_size);
	assert_true(b.st_blocks <= a.st_blocks + 8);
	assert_int_equal(fsck(copy), 0);
	im = open_image(copy);
	content_is(&im, "/acl", "guarded");
	close_image(&im);
	close(image);
}

static void reports_a_target_that_fails(void **state)
{
	struct image_export job = { .image_fd = everything(),
				    .image_name = "test.img",
				    .target_fd = open("/dev/full", O_WRONLY | O_CLOEXEC),
				    .target_name = "out.tar" };

	for (int f = IMAGE_TAR; f <= IMAGE_RAW; f++) {
		struct err err = ERR_INIT;

		job.format = (enum image_format)f;
		assert_int_equal(image_export(&job, &err), -ENOSPC);
		assert_int_equal(err.id, ERR_ERROR_DISK_FULL);
		assert_non_null(strstr(err.text, "out.tar"));
	}
	close(job.target_fd);
	close(job.image_fd);
}

static void run_debugfs(int image, const char *commands)
{
	char path[] = "/tmp/lxss-debugfs-XXXXXX", line[256];
	int fd = mkstemp(path);

	assert_int_equal(write(fd, commands, strlen(commands)), (ssize_t)strlen(commands));
	close(fd);
	snprintf(line, sizeof(line), "/sbin/debugfs -w -f %s /proc/%d/fd/%d >/dev/null 2>&1", path,
		 (int)getpid(), image);
	assert_int_equal(system(line), 0);
	unlink(path);
}

static bool needs_recovery(int image)
{
	uint32_t incompat;

	assert_int_equal(pread(image, &incompat, 4, 1024 + 96), 4);
	return incompat & EXT3_FEATURE_INCOMPAT_RECOVER;
}

/* A transaction in the journal gives /f new content; one that was revoked does not. */
static void reads_what_is_only_in_the_journal(const char *open_journal)
{
	char block[4096], path[] = "/tmp/lxss-block-XXXXXX", commands[512];
	struct maker m = pax();
	int image, tar, fd = mkstemp(path);
	struct ext3_extent {
		uint32_t block;
		uint16_t len, hi;
		uint32_t lo;
	} f, g;
	union inode_buf inode;
	struct image im;
	char *before, *after;

	put_file(&m, "f", "old content");
	put_file(&m, "g", "old content");
	image = import_ok(&m);
	im = open_image(image);
	must_find(&im, "/f", &inode);
	memcpy(&f, (uint8_t *)inode.s.i_block + 12, sizeof(f));
	must_find(&im, "/g", &inode);
	memcpy(&g, (uint8_t *)inode.s.i_block + 12, sizeof(g));
	reader_close(&im.r);

	memset(block, 0, sizeof(block));
	memcpy(block, "\xc0\x3b\x39\x98 escape", 11); /* looks like the journal's own */
	assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	close(fd);
	/* debugfs takes one file with as many blocks as it writes */
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	close(fd);
	snprintf(commands, sizeof(commands), "%s\njw -b %u,%u %s\njw -r %u\njc\n", open_journal,
		 f.lo, g.lo, path, g.lo);
	run_debugfs(image, commands);
	unlink(path);
	assert_true(needs_recovery(image));

	tar = must_export(image, IMAGE_TAR);
	before = listing(tar);
	close(tar);
	im = open_image(image);
	content_is(&im, "/f", "\xc0\x3b\x39\x98 escape");
	content_is(&im, "/g", "old content");
	reader_close(&im.r);
	assert_true(needs_recovery(image)); /* nothing was written */
	snprintf(commands, sizeof(commands), "/sbin/e2fsck -fy /proc/%d/fd/%d >/dev/null 2>&1",
		 (int)getpid(), image);
	assert_true(system(commands) >= 0);
	assert_false(needs_recovery(image));
	tar = must_export(image, IMAGE_TAR);
	after = listing(tar);
	assert_string_equal(before, after);
	free(before);
	free(after);
	close(tar);
	close(image);
}

static void reads_through_a_journal_that_needs_recovery(void **state)
{
	reads_what_is_only_in_the_journal("jo");
	reads_what_is_only_in_the_journal("jo -c -v 2");
	reads_what_is_only_in_the_journal("jo -c -v 3");
}

static char *many_name(char *buf, size_t size, int i)
{
	snprintf(buf, size, "some/directory/file-number-%d%s", i,
		 i % 7 ? "" : ".with-a-longer-name");
	return buf;
}

static void holds_100000_files_in_one_directory(void **state)
{
	enum { FILES = 100000 };
	struct maker m = pax();
	struct image_info info;
	int image = new_image(), archive, tar, second;
	union inode_buf inode;
	struct image im;
	struct err err;
	char name[100];

	for (int i = 0; i < FILES; i++)
		put_file(&m, many_name(name, sizeof(name), i), NULL);
	archive = maker_end(&m);
	assert_int_equal(import_at(image, archive, 2ull << 30, true, &info, &err), 0);
	close(archive);
	assert_int_equal(info.files, FILES + 3 + 10);
	image_info_done(&info);
	assert_int_equal(fsck(image), 0);
	im = open_image(image);
	must_find(&im, "some/directory", &inode);
	assert_true(inode.s.i_flags & EXT2_INDEX_FL);
	for (int i = 0; i < FILES; i += 9999)
		must_find(&im, many_name(name, sizeof(name), i), &inode);
	reader_close(&im.r);
	tar = must_export(image, IMAGE_TAR);
	second = new_image();
	assert_int_equal(import_at(second, tar, 2ull << 30, true, &info, &err), 0);
	assert_int_equal(info.files, FILES + 3 + 10);
	image_info_done(&info);
	assert_int_equal(fsck(second), 0);
	close(tar);
	close(second);
	close(image);
}

/* Directories of every size around the borders of a block, and of the index's first level. */
static void writes_directories_of_every_size(void **state)
{
	static const int sizes[] = { 0,   1,   14,  15,  16,  17,  18,   60,   120,
				     230, 231, 240, 255, 256, 510, 1000, 3000, 7000 };
	struct maker m = pax();
	struct image_info info;
	int image = new_image(), archive;
	struct err err;
	char name[300];

	for (size_t d = 0; d < ARRAY_SIZE(sizes); d++) {
		snprintf(name, sizeof(name), "d%zu", d);
		put_dir(&m, name);
		for (int i = 0; i < sizes[d]; i++) {
			snprintf(name, sizeof(name), "d%zu/%0*d", d, d % 2 ? 250 : 4, i);
			put_file(&m, name, NULL);
		}
	}
	for (int i = 0; i < 66000; i++) { /* more subdirectories than a link count can tell */
		snprintf(name, sizeof(name), "subdirs/%d", i);
		put_dir(&m, name);
	}
	archive = maker_end(&m);
	assert_int_equal(import_at(image, archive, 2ull << 30, true, &info, &err), 0);
	image_info_done(&info);
	assert_int_equal(fsck(image), 0);
	close(archive);
	close(image);
}

static void parses_format_names(void **state)
{
	enum image_format f;

	assert_int_equal(image_format_parse("tar.zst", &f), 0);
	assert_int_equal(f, IMAGE_TAR_ZST);
	assert_int_equal(image_format_parse("img", &f), 0);
	assert_int_equal(f, IMAGE_RAW);
	assert_int_equal(image_format_parse("vhdx", &f), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_round_trip_keeps_everything),
		cmocka_unit_test(holes_cost_nothing),
		cmocka_unit_test(a_raw_copy_keeps_holes),
		cmocka_unit_test(reports_a_target_that_fails),
		cmocka_unit_test(reads_through_a_journal_that_needs_recovery),
		cmocka_unit_test(holds_100000_files_in_one_directory),
		cmocka_unit_test(writes_directories_of_every_size),
		cmocka_unit_test(parses_format_names),
	};

	return cmocka_run_group_tests_name("image-export", tests, NULL, NULL);
}
