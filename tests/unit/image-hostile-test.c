/* tests/unit/image-hostile-test.c - archives and images that want to harm, and disks that are full
 */
#include "image-util.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

static void refuses_parent_directories(void **state)
{
	static const char *const names[] = { "../etc/passwd", "a/../../b", "a/..", "..", "/../x" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct maker m = pax();

		put_file(&m, names[i], "x");
		import_fails(&m, -EINVAL, "'..'");
	}
}

static void refuses_hard_links_out_of_order_or_tree(void **state)
{
	struct maker m = pax();

	put_hardlink(&m, "a", "later");
	put_file(&m, "later", "x");
	import_fails(&m, -ENOENT, "not in the archive before it");
	m = pax();
	put_hardlink(&m, "a", "../../etc/shadow");
	import_fails(&m, -EINVAL, "'..'");
	m = pax();
	put_dir(&m, "d");
	put_hardlink(&m, "a", "d");
	import_fails(&m, -EPERM, "directory");
}

static void does_not_follow_links_forever(void **state)
{
	struct maker m = pax();

	put_symlink(&m, "a", "b");
	put_symlink(&m, "b", "a");
	put_file(&m, "a/x", "x");
	import_fails(&m, -ELOOP, "too many symbolic links");
}

static void does_not_write_through_links_to_the_host(void **state)
{
	struct maker m = pax();
	struct image im;
	char path[64];

	snprintf(path, sizeof(path), "/tmp/lxss-escape-%d", (int)getpid());
	put_symlink(&m, "out", path);
	put_symlink(&m, "dir", "../../../../../../../../tmp");
	put_file(&m, "out", "replaced, not followed");
	put_file(&m, "dir/y", "inside");
	im = open_image(import_ok(&m));
	assert_int_equal(access(path, F_OK), -1);
	content_is(&im, "/tmp/y", "inside");
	content_is(&im, "/out", "replaced, not followed");
	close_image(&im);
}

static void refuses_files_as_directories_and_back(void **state)
{
	struct maker m = pax();

	put_file(&m, "f", "x");
	put_file(&m, "f/g", "x");
	import_fails(&m, -ENOTDIR, "is not a directory");
	m = pax();
	put_file(&m, "d/f", "x");
	put_file(&m, "d", "x");
	import_fails(&m, -ENOTEMPTY, "directory with files");
	m = pax();
	put_file(&m, ".", "x");
	import_fails(&m, -EINVAL, "root directory");
	m = pax();
	put_file(&m, "lost+found", "x");
	import_fails(&m, -EINVAL, "lost+found");
}

static void refuses_impossible_owners(void **state)
{
	static const int64_t ids[] = { 4294967295, 1ll << 40, -5 };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct maker m = maker_begin(ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_NONE);
		struct archive_entry *e = entry("f", S_IFREG | 0644);

		archive_entry_set_uid(e, ids[i]);
		put(&m, e, NULL);
		if (ids[i] < 0) { /* libarchive reads them as 0 */
			close(import_ok(&m));
			continue;
		}
		import_fails(&m, -ERANGE, "owner");
	}
}

static void refuses_names_that_are_too_long(void **state)
{
	struct maker m = pax();
	char *name = calloc(1, IMAGE_MAX_PATH + 10);

	memset(name, 'n', 256);
	put_file(&m, name, "x");
	import_fails(&m, -ENAMETOOLONG, "255 bytes");
	m = pax();
	for (size_t i = 0; i < IMAGE_MAX_PATH + 2; i += 2)
		memcpy(name + i, "d/", 2);
	put_file(&m, name, "x");
	import_fails(&m, -ENAMETOOLONG, "65535");
	m = pax();
	name[2 * 2000] = 'f';
	name[2 * 2000 + 1] = '\0';
	put_file(&m, name, "2000 levels deep");
	close(import_ok(&m)); /* as far as inodes go */
	free(name);
}

static void refuses_attributes_that_do_not_fit(void **state)
{
	struct maker m = pax();
	struct archive_entry *e = entry("f", S_IFREG | 0644);
	char *big = calloc(1, 1 << 20), name[300];

	archive_entry_xattr_add_entry(e, "user.big", big, 1 << 16);
	put(&m, e, NULL);
	import_fails(&m, -E2BIG, "attributes");
	m = pax();
	e = entry("f", S_IFREG | 0644);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "user.%d", i);
		archive_entry_xattr_add_entry(e, name, "", 0);
	}
	put(&m, e, NULL);
	import_fails(&m, -E2BIG, "attribute");
	m = pax();
	e = entry("f", S_IFREG | 0644);
	archive_entry_xattr_add_entry(e, "user.fits", big, 3900);
	put(&m, e, NULL);
	close(import_ok(&m));
	free(big);
}

static void bounds_declared_sizes(void **state)
{
	static const struct {
		int64_t size;
		int code;
	} sizes[] = { { 8ll << 40, 0 }, { 17ll << 40, -EFBIG } };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct maker m = pax();
		struct archive_entry *e = entry("giant", S_IFREG | 0644);
		void *zeros = mmap(NULL, 1 << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		archive_entry_set_size(e, sizes[i].size);
		archive_entry_sparse_add_entry(e, 0, 0);
		assert_int_equal(archive_write_header(m.a, e), ARCHIVE_OK);
		for (int64_t at = 0; at < sizes[i].size;)
			at += archive_write_data(m.a, zeros, 1 << 30);
		archive_entry_free(e);
		munmap(zeros, 1 << 30);
		if (sizes[i].code)
			import_fails(&m, sizes[i].code, "larger than ext4");
		else
			close(import_ok(&m)); /* nothing but a hole */
	}
}

static void a_full_image_says_so(void **state)
{
	struct maker m = maker_begin(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP);
	char *zeros = calloc(1, 80 << 20);

	put_bytes(&m, entry("bomb", S_IFREG | 0644), zeros, 80 << 20);
	free(zeros);
	import_fails(&m, -ENOSPC, "larger size");
	m = pax();
	for (int i = 0; i < 5000; i++) { /* 64 MiB hold 4096 inodes */
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		put_file(&m, name, NULL);
	}
	import_fails(&m, -ENOSPC, "room for 4096 files");
}

static void reuses_replaced_space_when_full(void **state)
{
	struct maker m = pax();
	char *bytes = malloc(20 << 20);
	struct image im;
	size_t len;
	char *text;

	for (int i = 0; i < 6; i++) {
		memset(bytes, 'a' + i, 20 << 20);
		put_bytes(&m, entry("same", S_IFREG | 0644), bytes, 20 << 20);
	}
	im = open_image(import_ok(&m));
	text = content(&im, "/same", &len);
	assert_int_equal(len, 20 << 20);
	assert_memory_equal(text, bytes, 20 << 20);
	free(text);
	free(bytes);
	close_image(&im);
}

/* An archive of some variety, compressed by @filter. */
static int sample(int format, int filter)
{
	struct maker m = maker_begin(format, filter);
	char *noise = malloc(50000);

	srandom(1);
	for (int i = 0; i < 50000; i++)
		noise[i] = (char)random();
	put_dir(&m, "etc");
	put_file(&m, "etc/passwd", "root:x:0:0::/:/bin/sh\n");
	put_bytes(&m, entry("noise", S_IFREG | 0644), noise, 50000);
	put_symlink(&m, "link", "etc/passwd");
	put_bytes(&m, entry("last", S_IFREG | 0644), noise, 3000);
	free(noise);
	return maker_end(&m);
}

static int import_prefix(const uint8_t *bytes, size_t len)
{
	int fd = memfd_create("cut", MFD_CLOEXEC), image = new_image(), r;
	struct image_info info;
	struct err err;

	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	lseek(fd, 0, SEEK_SET);
	r = import_at(image, fd, IMAGE_MIN_BYTES, true, &info, &err);
	if (r == 0)
		image_info_done(&info);
	else
		assert_true(err.text[0]);
	close(fd);
	close(image);
	return r;
}

/* The last bytes are padding or checksums that libarchive does not ask for. */
static void refuses_truncations(int format, int filter, size_t step, size_t slack)
{
	int fd = sample(format, filter);
	size_t size = (size_t)lseek(fd, 0, SEEK_END);
	uint8_t *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

	assert_int_equal(import_prefix(bytes, size), 0);
	for (size_t len = 1; len + slack < size; len += step) {
		if (import_prefix(bytes, len) == 0)
			print_message("accepted %zu of %zu bytes\n", len, size);
		assert_true(import_prefix(bytes, len) < 0);
	}
	munmap(bytes, size);
	close(fd);
}

static void refuses_truncated_archives(void **state)
{
	refuses_truncations(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE, 511, 10240);
	refuses_truncations(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE, 512, 10240);
	refuses_truncations(ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_NONE, 512, 10240);
	refuses_truncations(ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FILTER_GZIP, 997, 64);
	refuses_truncations(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_XZ, 997, 128);
	refuses_truncations(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_ZSTD, 997, 64);
	refuses_truncations(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_BZIP2, 997, 64);
	refuses_truncations(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_LZ4, 997, 64);
	refuses_truncations(ARCHIVE_FORMAT_CPIO_SVR4_NOCRC, ARCHIVE_FILTER_NONE, 509, 1024);
}

static void survives_corruption(void **state)
{
	static const int filters[] = { ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ,
				       ARCHIVE_FILTER_ZSTD };

	for (size_t f = 0; f < ARRAY_SIZE(filters); f++) {
		int fd = sample(ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, filters[f]);
		size_t size = (size_t)lseek(fd, 0, SEEK_END);
		uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

		for (size_t at = 0; at < size; at += 509) {
			bytes[at] ^= 0x55;
			import_prefix(bytes, size); /* any answer, no crash */
			bytes[at] ^= 0x55;
		}
		munmap(bytes, size);
		close(fd);
	}
}

static void refuses_what_is_no_archive(void **state)
{
	uint8_t bytes[5000];

	memset(bytes, 'x', sizeof(bytes));
	assert_true(import_prefix(bytes, sizeof(bytes)) < 0);
	memset(bytes, 0x1f, sizeof(bytes));
	assert_true(import_prefix(bytes, sizeof(bytes)) < 0);
	assert_true(import_prefix((const uint8_t *)"hello", 5) < 0);
}

static void a_full_disk_says_so(void **state)
{
	char dir[] = "/tmp/lxss-full-XXXXXX", path[64];
	struct maker m = pax();
	struct image_info info;
	struct err err;
	int archive, image;
	char *noise = calloc(1, 30 << 20);

	assert_non_null(mkdtemp(dir));
	if (mount("tmpfs", dir, "tmpfs", 0, "size=16m") < 0) {
		rmdir(dir);
		free(noise);
		archive_write_free(m.a);
		close(m.fd);
		skip();
	}
	put_bytes(&m, entry("etc/f", S_IFREG | 0644), noise, 30 << 20);
	free(noise);
	archive = maker_end(&m);
	snprintf(path, sizeof(path), "%s/disk.img", dir);
	image = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(import_at(image, archive, 0, false, &info, &err), -ENOSPC);
	assert_int_equal(err.id, ERR_ERROR_DISK_FULL);
	assert_non_null(strstr(err.text, "test.img"));
	assert_int_equal(ftruncate(image, 0), 0);
	assert_int_equal(image_create(image, "test.img", 1 << 30, true, &err), -ENOSPC);
	assert_int_equal(err.id, ERR_ERROR_DISK_FULL);
	close(image);
	close(archive);
	umount(dir);
	rmdir(dir);
}

/* The limit strikes at every stage: tables, data, directories. */
static void every_failed_write_is_reported(void **state)
{
	int archive = sample(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE);
	char path[] = "/tmp/lxss-limit-XXXXXX";
	int image = mkostemp(path, O_CLOEXEC);
	struct rlimit old, limit;
	struct image_info info;
	struct err err;

	unlink(path);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	for (rlim_t at = 0; at < IMAGE_MIN_BYTES; at += 1 << 20) {
		limit = (struct rlimit) { at, old.rlim_max };
		setrlimit(RLIMIT_FSIZE, &limit);
		lseek(archive, 0, SEEK_SET);
		assert_int_equal(import_at(image, archive, IMAGE_MIN_BYTES, true, &info, &err),
				 -EFBIG);
	}
	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_DFL);
	close(image);
	close(archive);
}

static void inspecting_garbage_is_corruption(void **state)
{
	struct image_info info;
	struct err err = ERR_INIT;
	int fd = new_image();

	assert_true(image_inspect(fd, "test.img", &info, &err) < 0);
	assert_int_equal(err.id, ERR_WSL_E_DISK_CORRUPTED);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_true(image_inspect(fd, "test.img", &info, &err) < 0);
	assert_int_equal(err.id, ERR_WSL_E_DISK_CORRUPTED);
	close(fd);
}

/* Every kind of damage ends in an answer, whatever it is. */
static void reads_damaged_images_without_harm(void **state)
{
	struct image_export job = { .image_name = "test.img",
				    .target_name = "out.tar",
				    .format = IMAGE_TAR };
	int archive = sample(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE), image = new_image();
	struct image_info info;
	struct err err;
	uint8_t *map;
	int failures = 0;

	assert_int_equal(import_at(image, archive, IMAGE_MIN_BYTES, true, &info, &err), 0);
	image_info_done(&info);
	close(archive);
	map = mmap(NULL, IMAGE_MIN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, image, 0);
	job.image_fd = image;
	job.target_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	srandom(7);
	for (int i = 0; i < 400; i++) {
		size_t at = (size_t)random() % (IMAGE_MIN_BYTES / 4);
		uint8_t old;

		while (map[at] == 0)
			at = (at + 1) % IMAGE_MIN_BYTES;
		old = map[at];
		map[at] = (uint8_t)random();
		err = ERR_INIT;
		failures += image_export(&job, &err) < 0;
		if (image_inspect(image, "test.img", &info, &err) == 0)
			image_info_done(&info);
		map[at] = old;
	}
	assert_true(failures > 0);
	close(job.target_fd);
	munmap(map, IMAGE_MIN_BYTES);
	close(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_parent_directories),
		cmocka_unit_test(refuses_hard_links_out_of_order_or_tree),
		cmocka_unit_test(does_not_follow_links_forever),
		cmocka_unit_test(does_not_write_through_links_to_the_host),
		cmocka_unit_test(refuses_files_as_directories_and_back),
		cmocka_unit_test(refuses_impossible_owners),
		cmocka_unit_test(refuses_names_that_are_too_long),
		cmocka_unit_test(refuses_attributes_that_do_not_fit),
		cmocka_unit_test(bounds_declared_sizes),
		cmocka_unit_test(a_full_image_says_so),
		cmocka_unit_test(reuses_replaced_space_when_full),
		cmocka_unit_test(refuses_truncated_archives),
		cmocka_unit_test(survives_corruption),
		cmocka_unit_test(refuses_what_is_no_archive),
		cmocka_unit_test(a_full_disk_says_so),
		cmocka_unit_test(every_failed_write_is_reported),
		cmocka_unit_test(inspecting_garbage_is_corruption),
		cmocka_unit_test(reads_damaged_images_without_harm),
	};

	return cmocka_run_group_tests_name("image-hostile", tests, NULL, NULL);
}
