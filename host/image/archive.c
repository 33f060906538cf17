/* host/image/archive.c - the archive being imported, read with libarchive
 *
 * Formats and filters are listed one by one: "all" would include the mtree format, which opens
 * files of the host that the archive names, and filters that run other programs.
 */
#include "image/image-internal.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_BYTES (256u << 10)

struct source {
	int fd;
	const char *name;
	struct archive *archive;
	uint8_t *buf;
	size_t held; /* bytes in buf that libarchive has not seen */
	bool seekable;
	off_t start;
	uint64_t done, total;
	bool any, tar, marked; /* had entries; is a tar; its end marker was seen */
	locale_t locale;
	int input_error;
	struct ticker ticker;
};

static ssize_t fill(struct source *s)
{
	ssize_t n;

	do
		n = read(s->fd, s->buf, INPUT_BYTES);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		s->done += (uint64_t)n;
	return n;
}

static la_ssize_t on_read(struct archive *a, void *data, const void **ret)
{
	struct source *s = data;
	ssize_t n = (ssize_t)s->held;

	*ret = s->buf;
	s->held = 0;
	if (n == 0)
		n = fill(s);
	if (n < 0) {
		s->input_error = errno;
		archive_set_error(a, errno, "cannot read the archive");
		return ARCHIVE_FATAL;
	}
	ticker_tick(&s->ticker, s->done, s->total);
	return n;
}

static la_int64_t on_seek(struct archive *a, void *data, la_int64_t offset, int whence)
{
	struct source *s = data;
	off_t at;

	if (whence == SEEK_SET)
		offset += s->start;
	at = lseek(s->fd, (off_t)offset, whence);
	if (at < s->start) {
		archive_set_error(a, EINVAL, "cannot seek in the archive");
		return ARCHIVE_FATAL;
	}
	s->held = 0;
	s->done = (uint64_t)(at - s->start);
	return (la_int64_t)(at - s->start);
}

/* zip, 7-Zip and ISO 9660 keep names in UTF-8 or UTF-16 and their directory at the end. */
static bool is_container(const uint8_t *head, size_t len)
{
	static const char *const magic[] = { "PK\3\4", "PK\5\6", "PK00PK", "7z\xbc\xaf\x27\x1c" };
	const char *iso = "CD001";

	for (size_t i = 0; i < ARRAY_SIZE(magic); i++)
		if (len >= strlen(magic[i]) && memcmp(head, magic[i], strlen(magic[i])) == 0)
			return true;
	return len >= 32774 && memcmp(head + 32769, iso, 5) == 0;
}

static int choose_readers(struct archive *a, bool container)
{
	int r = ARCHIVE_OK;

	if (container) {
		r = MIN(r, archive_read_support_format_zip(a));
		r = MIN(r, archive_read_support_format_7zip(a));
		r = MIN(r, archive_read_support_format_iso9660(a));
		return r;
	}
	r = MIN(r, archive_read_support_format_empty(a));
	r = MIN(r, archive_read_support_format_tar(a));
	r = MIN(r, archive_read_support_format_cpio(a));
	r = MIN(r, archive_read_support_filter_gzip(a));
	r = MIN(r, archive_read_support_filter_bzip2(a));
	r = MIN(r, archive_read_support_filter_xz(a));
	r = MIN(r, archive_read_support_filter_lzma(a));
	r = MIN(r, archive_read_support_filter_lzip(a));
	r = MIN(r, archive_read_support_filter_zstd(a));
	r = MIN(r, archive_read_support_filter_lz4(a));
	r = MIN(r, archive_read_support_filter_compress(a));
	return r;
}

static int open_archive(struct source *s, struct err *err)
{
	bool container = is_container(s->buf, s->held);
	struct archive *a = archive_read_new();

	if (!a)
		return err_nomem(err);
	s->archive = a;
	s->locale = charset_enter(container ? CHARSET_UTF8 : CHARSET_BYTES);
	if (choose_readers(a, container) == ARCHIVE_FATAL)
		return err_set(err, -EIO, "cannot prepare to read '%s': %s", s->name,
			       archive_error_string(a));
	archive_read_set_callback_data(a, s);
	archive_read_set_read_callback(a, on_read);
	if (container && s->seekable)
		archive_read_set_seek_callback(a, on_seek);
	if (archive_read_open1(a) == ARCHIVE_FATAL)
		return err_set(err, -EIO, "cannot read '%s': %s", s->name, archive_error_string(a));
	return 0;
}

static int open_source(struct source *s, struct err *err)
{
	struct stat st;

	s->buf = malloc(INPUT_BYTES);
	if (!s->buf)
		return err_nomem(err);
	if (fstat(s->fd, &st) < 0)
		return err_errno(err, "cannot read '%s'", s->name);
	s->start = lseek(s->fd, 0, SEEK_CUR);
	s->seekable = S_ISREG(st.st_mode) && s->start >= 0;
	if (s->seekable) {
		s->total = st.st_size > s->start ? (uint64_t)(st.st_size - s->start) : 0;
		(void)posix_fadvise(s->fd, s->start, 0, POSIX_FADV_SEQUENTIAL);
	}
	while (s->held < 64u << 10) { /* enough to tell the formats apart */
		ssize_t n;

		do
			n = read(s->fd, s->buf + s->held, INPUT_BYTES - s->held);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return err_errno(err, "cannot read '%s'", s->name);
		if (n == 0)
			break;
		s->held += (size_t)n;
		s->done += (size_t)n;
	}
	return open_archive(s, err);
}

int source_open(int fd, const char *name, const struct image_events *events, struct source **ret,
		struct err *err)
{
	struct source *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_nomem(err);
	s->fd = fd;
	s->name = name;
	ticker_init(&s->ticker, events, "import");
	r = open_source(s, err);
	if (r < 0) {
		source_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct source *source_free(struct source *s)
{
	if (!s)
		return NULL;
	if (s->archive)
		archive_read_free(s->archive);
	charset_leave(s->locale);
	free(s->buf);
	free(s);
	return NULL;
}

static int read_failed(struct source *s, struct err *err)
{
	const char *why = archive_error_string(s->archive);

	if (s->input_error)
		return err_code(err, -s->input_error, "cannot read '%s'", s->name);
	if (archive_errno(s->archive) == ENOMEM)
		return err_nomem(err);
	return err_set(err, -EBADMSG, "'%s' is damaged, cut short or not an archive: %s", s->name,
		       why ? why : "unknown format");
}

/* Warnings about names that are not in the locale's character set: they are kept as they are. */
static bool only_charset(struct source *s)
{
	const char *why = archive_error_string(s->archive);

	return !why || strstr(why, "can't be converted") || strstr(why, "cannot be converted");
}

/* libarchive takes a tar without the two zero blocks at its end for complete, but so looks an
 * archive that was cut between two files. */
static int check_end(struct source *s, uint64_t before, struct err *err)
{
	uint64_t after = (uint64_t)archive_filter_bytes(s->archive, 0);

	if (!s->any || !s->tar || after >= before + 512)
		return 0;
	return err_set(
		err, -EBADMSG,
		"'%s' ends without an end marker: it was cut short; fetch or create it again",
		s->name);
}

int source_next(struct source *s, struct archive_entry **ret, struct err *err)
{
	uint64_t before = (uint64_t)archive_filter_bytes(s->archive, 0);
	int r = archive_read_next_header(s->archive, ret);

	if (r == ARCHIVE_EOF)
		return check_end(s, before, err);
	if (r == ARCHIVE_WARN && !only_charset(s))
		warn(s->ticker.events, "%s: %s", s->name, archive_error_string(s->archive));
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return read_failed(s, err);
	s->any = true;
	s->tar = (archive_format(s->archive) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
	return 1;
}

int source_data(struct source *s, const void **ret, size_t *ret_len, uint64_t *ret_offset,
		struct err *err)
{
	la_int64_t offset;
	int r = archive_read_data_block(s->archive, ret, ret_len, &offset);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return read_failed(s, err);
	if (offset < 0)
		return err_set(err, -EBADMSG, "'%s' is damaged: data at a negative place", s->name);
	*ret_offset = (uint64_t)offset;
	return 1;
}

void source_finish(struct source *s)
{
	ticker_done(&s->ticker, s->done, s->total);
}
