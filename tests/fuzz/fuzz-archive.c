/* tests/fuzz/fuzz-archive.c - any bytes as an archive: imported into a small image in memory, then
 * read and exported again. Whatever was accepted must be readable. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/err.h"
#include "image/image.h"

#define IMAGE_BYTES (32ull << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);

/* libarchive believes lengths in headers and asks for gigabytes; the worker's memory limit answers
 * no, and so do we. */
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1:max_allocation_size_mb=1024";
}

static void export_again(int image, int null)
{
	struct image_export job = { .image_fd = image,
				    .image_name = "image",
				    .target_fd = null,
				    .target_name = "null",
				    .format = IMAGE_TAR };
	struct err err = ERR_INIT;

	if (image_export(&job, &err) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_import job = { .image_name = "image",
				    .size_bytes = IMAGE_BYTES,
				    .archive_name = "archive",
				    .accept_any = true };
	struct image_info info;
	struct err err = ERR_INIT;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	job.image_fd = memfd_create("image", MFD_CLOEXEC);
	job.archive_fd = memfd_create("archive", MFD_CLOEXEC);
	if (write(job.archive_fd, data, size) != (ssize_t)size)
		abort();
	lseek(job.archive_fd, 0, SEEK_SET);
	if (image_import(&job, &info, &err) == 0) {
		image_info_done(&info);
		export_again(job.image_fd, null);
	}
	close(job.archive_fd);
	close(job.image_fd);
	close(null);
	return 0;
}
