/* tests/fuzz/fuzz-archive-image.c - damaged images: inspected and exported without harm
 *
 * The input is a list of changes to a valid image: little-endian u32 offset, u8 value. The image
 * holds one file of every kind, attributes, an indexed directory and a journal.
 */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "image/image.h"

#define IMAGE_BYTES (32ull << 20)
#define USED_BYTES  (8ull << 20) /* where the content lies */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct archive *a, const char *name, unsigned mode, const char *text)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_copy_pathname(e, name);
	archive_entry_set_mode(e, mode);
	archive_entry_xattr_add_entry(e, "user.x", "value", 5);
	if (S_ISLNK(mode))
		archive_entry_copy_symlink(e, text);
	else if (text)
		archive_entry_set_size(e, (la_int64_t)strlen(text));
	archive_write_header(a, e);
	if (text && !S_ISLNK(mode))
		archive_write_data(a, text, strlen(text));
	archive_entry_free(e);
}

static int make_image(void)
{
	struct image_import job = { .image_fd = memfd_create("image", MFD_CLOEXEC),
				    .image_name = "image",
				    .size_bytes = IMAGE_BYTES,
				    .archive_fd = memfd_create("archive", MFD_CLOEXEC),
				    .archive_name = "archive" };
	struct archive *a = archive_write_new();
	struct image_info info;
	struct err err = ERR_INIT;
	char name[64];

	archive_write_set_format_pax(a);
	archive_write_open_fd(a, job.archive_fd);
	put(a, "etc/os-release", S_IFREG | 0644, "ID=fuzz\n");
	put(a, "etc/link", S_IFLNK | 0777, "os-release");
	put(a, "dev/null", S_IFCHR | 0666, NULL);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "many/file-with-a-longer-name-%d", i);
		put(a, name, S_IFREG | 0644, i % 10 ? NULL : name);
	}
	archive_write_close(a);
	archive_write_free(a);
	lseek(job.archive_fd, 0, SEEK_SET);
	if (image_import(&job, &info, &err) < 0)
		abort();
	image_info_done(&info);
	close(job.archive_fd);
	return job.image_fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *map;
	static int image = -1, null;
	struct image_export job = { .image_name = "image", .target_name = "null" };
	struct image_info info;
	struct err err = ERR_INIT;
	uint8_t old[64];
	size_t n = 0;

	if (image < 0) {
		image = make_image();
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		map = mmap(NULL, IMAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, image, 0);
	}
	for (; n < sizeof(old) && (n + 1) * 5 <= size; n++) {
		uint32_t at;

		memcpy(&at, data + n * 5, sizeof(at));
		old[n] = map[at % USED_BYTES];
		map[at % USED_BYTES] = data[n * 5 + 4];
	}
	if (image_inspect(image, "image", &info, &err) == 0)
		image_info_done(&info);
	job.image_fd = image;
	job.target_fd = null;
	err = ERR_INIT;
	image_export(&job, &err);
	while (n--) {
		uint32_t at;

		memcpy(&at, data + n * 5, sizeof(at));
		map[at % USED_BYTES] = old[n];
	}
	return 0;
}
