/* host/catalog/download.c - large files by HTTP, resumed and verified
 *
 * THEORY OF OPERATION
 *   <key>.partial holds the first bytes of the file, <key>.info the URL and the validator (a strong
 *   ETag, else Last-Modified) of the answer they came from; key is the URL's hash. A request for
 * the rest carries Range and If-Range: the server answers 206 with the rest, or 200 with everything
 *   when the file changed. Without a validator a rest is only asked for when the whole has a known
 *   hash to prove it right.
 * STATE
 *   have = bytes in the file = bytes in the digest, at every moment but inside on_body().
 * RETRIES
 *   A transient failure is tried again after a pause, MAX_TRIES times without a new byte.
 * LOCK
 *   The partial file is flock'ed. The winner unlinks it in the end, so a waiter looks again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "catalog/catalog.h"
#include "catalog/digest.h"
#include "catalog/fetch-internal.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "protocol/message.h"

#define MAX_TRIES       4u
#define MAX_FILE_BYTES  (256 * GIB) /* more than any root file system; a runaway server */
#define CONNECT_MS      15000L
#define STALL_SECONDS   30L
#define SHOW_EVERY_MS   100u
#define WAIT_SLICE_MS   100u
#define VALIDATOR_BYTES 256u
#define INFO_BYTES      8192u
#define KEY_BYTES       17u
#define STALE_SECONDS   (14 * 24 * 3600) /* unfinished downloads nobody came back for */

unsigned fetch_retry_ms = 500;

struct download {
	int dirfd, fd;
	const char *url, *sha256;
	const struct catalog_progress *progress;
	char key[KEY_BYTES], partial[KEY_BYTES + 8], info[KEY_BYTES + 8];
	struct digest *digest;
	uint64_t have, total;            /* total 0: unknown */
	char validator[VALIDATOR_BYTES]; /* of the bytes we have; "": none */
	uint64_t shown_ms;
	/* of the answer being received */
	CURL *curl;
	bool body_begun, refused;
	char etag[VALIDATOR_BYTES], modified[VALIDATOR_BYTES];
	uint64_t length, range_start, range_total;
	bool have_length, have_range;
	int fault; /* -errno of a failed write or check */
	struct err *err;
};

static bool cancelled(const struct download *d)
{
	return d->progress && d->progress->cancelled && d->progress->cancelled(d->progress->arg);
}

static void show(struct download *d, const char *phase, bool force)
{
	struct msg_progress p = { .done = d->have, .total = d->total, .phase = phase };

	if (!d->progress || !d->progress->show ||
	    (!force && now_ms() - d->shown_ms < SHOW_EVERY_MS))
		return;
	d->shown_ms = now_ms();
	d->progress->show(&p, d->progress->arg);
}

static int aborted(struct err *err)
{
	return err_id(err, ERR_E_ABORT, "The operation was cancelled.");
}

/* Sleeps in slices; -EINTR with the error when cancelled. */
static int pause_ms(struct download *d, uint64_t ms)
{
	uint64_t end = now_ms() + ms;

	while (now_ms() < end) {
		struct timespec slice = { .tv_nsec = (long)MIN(ms, (uint64_t)WAIT_SLICE_MS) *
						     1000000 };

		if (cancelled(d))
			return aborted(d->err);
		nanosleep(&slice, NULL);
	}
	return 0;
}

/* --- the files ------------------------------------------------------------------------------- */

static void make_key(struct download *d)
{
	char hex[DIGEST_HEX_BYTES];

	digest_update(d->digest, d->url, strlen(d->url));
	digest_hex(d->digest, hex);
	digest_reset(d->digest);
	snprintf(d->key, sizeof(d->key), "%.16s", hex);
	snprintf(d->partial, sizeof(d->partial), "%s.partial", d->key);
	snprintf(d->info, sizeof(d->info), "%s.info", d->key);
}

/* True when @fd still is what the name says. */
static bool is_current(int dirfd, const char *name, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int open_partial(struct download *d)
{
	for (;;) {
		auto_close int fd = openat(d->dirfd, d->partial,
					   O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		int r;

		if (fd < 0)
			return err_errno(d->err, "Cannot create a file for the download");
		while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno != EWOULDBLOCK)
				return err_errno(d->err, "Cannot lock the download");
			show(d, "Waiting for another download of the same file", false);
			r = pause_ms(d, WAIT_SLICE_MS);
			if (r < 0)
				return r;
		}
		if (is_current(d->dirfd, d->partial, fd)) {
			d->fd = take_fd(&fd);
			return 0;
		}
	}
}

static int empty_partial(struct download *d)
{
	digest_reset(d->digest);
	d->have = 0;
	d->validator[0] = '\0';
	if (ftruncate(d->fd, 0) < 0 || lseek(d->fd, 0, SEEK_SET) < 0)
		return err_errno(d->err, "Cannot empty the unfinished download");
	return 0;
}

/* "URL\nvalidator\n" */
static void load_info(struct download *d)
{
	auto_free char *text = NULL;
	char *newline;

	if (read_file_at(d->dirfd, d->info, INFO_BYTES, &text, NULL) < 0)
		return;
	newline = strchr(text, '\n');
	if (!newline)
		return;
	*newline++ = '\0';
	newline[strcspn(newline, "\n")] = '\0';
	if (streq(text, d->url))
		str_format(d->validator, sizeof(d->validator), "%s", newline);
}

static void save_info(struct download *d)
{
	auto_free char *text = str_printf("%s\n%s\n", d->url, d->validator);

	/* without it an interrupted download merely starts again */
	write_file_at(d->dirfd, d->info, text, strlen(text), 0600);
}

/* Takes over what an earlier call left, if it can be continued at all. */
static int resume(struct download *d)
{
	struct stat st;
	int r;

	if (fstat(d->fd, &st) < 0)
		return err_errno(d->err, "Cannot inspect the unfinished download");
	load_info(d);
	if (st.st_size == 0 || (!d->validator[0] && !d->sha256))
		return empty_partial(d);
	if (lseek(d->fd, 0, SEEK_SET) < 0)
		return err_errno(d->err, "Cannot read the unfinished download");
	r = digest_read(d->digest, d->fd, (uint64_t)st.st_size);
	if (r < 0)
		return empty_partial(d);
	d->have = (uint64_t)st.st_size;
	return 0;
}

static void forget(struct download *d)
{
	unlinkat(d->dirfd, d->partial, 0);
	unlinkat(d->dirfd, d->info, 0);
}

/* --- one answer ------------------------------------------------------------------------------ */

static bool header_is(const char *line, size_t len, const char *name, char value[VALIDATOR_BYTES])
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return false;
	line += n + 1;
	len -= n + 1;
	while (len && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	while (len && strchr(" \t\r\n", line[len - 1]))
		len--;
	if (len >= VALIDATOR_BYTES)
		len = 0;
	memcpy(value, line, len);
	value[len] = '\0';
	return true;
}

/* "bytes 100-199/200", "bytes * /200", "bytes 100-199/ *" */
static void parse_range(struct download *d, const char *value)
{
	const char *s = str_after(value, "bytes ");
	uint64_t last;

	if (!s)
		return;
	if (sscanf(s, "%" SCNu64 "-%" SCNu64 "/%" SCNu64, &d->range_start, &last,
		   &d->range_total) == 3 ||
	    sscanf(s, "*/%" SCNu64, &d->range_total) == 1)
		d->have_range = true;
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct download *d = arg;
	size_t len = size * n;
	char value[VALIDATOR_BYTES];

	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* also after a redirect */
		d->etag[0] = d->modified[0] = '\0';
		d->have_length = d->have_range = false;
	} else if (header_is(line, len, "ETag", value)) {
		if (value[0] == '"') /* weak ones do not promise equal bytes */
			memcpy(d->etag, value, sizeof(value));
	} else if (header_is(line, len, "Last-Modified", value)) {
		memcpy(d->modified, value, sizeof(value));
	} else if (header_is(line, len, "Content-Length", value)) {
		d->have_length = parse_u64(value, &d->length) == 0;
	} else if (header_is(line, len, "Content-Range", value)) {
		parse_range(d, value);
	}
	return len;
}

static int check_room(struct download *d, uint64_t more)
{
	struct statvfs fs;
	char buf[32];

	if (d->have > MAX_FILE_BYTES || more > MAX_FILE_BYTES - d->have)
		return err_set(d->err, -EFBIG, "'%s' is too large for a distribution.", d->url);
	if (fstatvfs(d->fd, &fs) < 0 || more <= (uint64_t)fs.f_bavail * fs.f_frsize)
		return 0;
	return err_id(d->err, ERR_ERROR_DISK_FULL,
		      "There is not enough space for the download: %s are needed.",
		      format_size(buf, sizeof(buf), more));
}

/* The first byte of an answer: decides whether it continues what we have or replaces it. */
static int begin_body(struct download *d)
{
	long status = fetch_status(d->curl);
	int r;

	d->body_begun = true;
	if (status == 206 && d->have_range && d->range_start == d->have) {
		d->total = d->range_total;
	} else if (status == 200) {
		r = empty_partial(d);
		if (r < 0)
			return r;
		d->total = d->have_length ? d->length : 0;
		memcpy(d->validator, d->etag[0] ? d->etag : d->modified, VALIDATOR_BYTES);
		save_info(d);
	} else {
		d->refused = true; /* an error page, or a part we did not ask for */
		return 0;
	}
	return check_room(d, d->total > d->have ? d->total - d->have : 0);
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct download *d = arg;

	n *= size;
	if (!d->body_begun)
		d->fault = begin_body(d);
	if (d->fault == 0 && !d->refused && d->total == 0)
		d->fault = check_room(d, n);
	if (d->fault < 0)
		return 0;
	if (d->refused)
		return n;
	d->fault = write_all(d->fd, data, n);
	if (d->fault < 0) {
		if (d->fault == -ENOSPC)
			err_id(d->err, ERR_ERROR_DISK_FULL, "The disk is full.");
		else
			err_code(d->err, d->fault, "Cannot write the download");
		return 0;
	}
	digest_update(d->digest, data, n);
	d->have += n;
	return n;
}

static int on_tick(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
		   curl_off_t ulnow)
{
	struct download *d = arg;

	show(d, "Downloading", false);
	return cancelled(d);
}

static struct curl_slist *range_headers(const struct download *d)
{
	auto_free char *range = str_printf("Range: bytes=%" PRIu64 "-", d->have);
	auto_free char *condition = str_printf("If-Range: %s", d->validator);
	struct curl_slist *list = NULL;

	if (d->have == 0)
		return NULL;
	list = curl_slist_append(NULL, range);
	return d->validator[0] ? curl_slist_append(list, condition) : list;
}

enum outcome { DONE = 0, RETRY = 1 }; /* negative: failed, *err says why */

static int start_over(struct download *d)
{
	int r = empty_partial(d);

	if (r < 0)
		return r;
	err_set(d->err, -EIO,
		"Cannot download '%s': the server keeps offering the wrong part of it.", d->url);
	return RETRY;
}

/* A partial file as long as the whole is answered by 416; any other length is a changed file. */
static int judge_416(struct download *d)
{
	if (d->have_range && d->range_total == d->have && d->sha256)
		return DONE;
	return start_over(d);
}

static int judge(struct download *d, CURLcode code, const char *reason)
{
	long status = fetch_status(d->curl);
	char buf[CURL_ERROR_SIZE + 32];

	if (d->fault < 0)
		return d->fault;
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return aborted(d->err);
	if (code == CURLE_OK && status == 416 && d->have > 0)
		return judge_416(d);
	if (code == CURLE_OK && status == 200 && !d->body_begun) /* an empty file */
		return empty_partial(d);
	if (code == CURLE_OK && d->body_begun && !d->refused) {
		if (d->total == 0 || d->have == d->total)
			return DONE;
		code = CURLE_PARTIAL_FILE;
	}
	if (code == CURLE_OK && status == 206)
		return start_over(d);
	err_set(d->err, -EIO, "Cannot download '%s': %s.", d->url,
		fetch_reason(code, status, reason, buf, sizeof(buf)));
	if (code == CURLE_OK && (status == 404 || status == 410))
		err_name(d->err, ERR_ERROR_FILE_NOT_FOUND);
	return fetch_transient(code, status) ? RETRY : -EIO;
}

static int attempt(struct download *d)
{
	char reason[CURL_ERROR_SIZE];
	struct curl_slist *headers = range_headers(d);
	CURLcode code;
	int r;

	d->curl = fetch_handle(d->url, reason);
	if (!d->curl)
		return err_id(d->err, ERR_E_OUTOFMEMORY, "Out of memory.");
	d->body_begun = d->refused = d->have_length = d->have_range = false;
	d->fault = 0;
	curl_easy_setopt(d->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(d->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(d->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(d->curl, CURLOPT_LOW_SPEED_TIME, STALL_SECONDS);
	curl_easy_setopt(d->curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(d->curl, CURLOPT_HEADERDATA, d);
	curl_easy_setopt(d->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(d->curl, CURLOPT_WRITEDATA, d);
	curl_easy_setopt(d->curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(d->curl, CURLOPT_XFERINFOFUNCTION, on_tick);
	curl_easy_setopt(d->curl, CURLOPT_XFERINFODATA, d);
	code = curl_easy_perform(d->curl);
	r = judge(d, code, reason);
	curl_easy_cleanup(d->curl);
	curl_slist_free_all(headers);
	return r;
}

static int transfer(struct download *d)
{
	unsigned tries = 0;

	for (;;) {
		uint64_t before = d->have;
		int r = attempt(d);

		if (r != RETRY)
			return r;
		tries = d->have > before ? 1 : tries + 1;
		if (tries >= MAX_TRIES)
			return -d->err->errnum;
		show(d, "Trying again", true);
		r = pause_ms(d, (uint64_t)fetch_retry_ms << (tries - 1));
		if (r < 0)
			return r;
	}
}

static int run(struct download *d)
{
	char actual[DIGEST_HEX_BYTES];
	bool resumed;
	int r = open_partial(d);

	if (r == 0)
		r = resume(d);
	resumed = r == 0 && d->have > 0;
	if (r == 0)
		r = transfer(d);
	if (r < 0)
		return r;
	show(d, "Downloading", true);
	digest_hex(d->digest, actual);
	if (d->sha256 && !streq(d->sha256, actual) && resumed && !d->validator[0]) {
		/* what was here before need not belong to the same file */
		r = empty_partial(d);
		if (r == 0)
			r = transfer(d);
		if (r < 0)
			return r;
		digest_hex(d->digest, actual);
	}
	forget(d);
	return d->sha256 ? digest_check(d->sha256, actual, d->err) : 0;
}

/* Unfinished downloads that nobody came back for. */
static void remove_stale(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	if (!dir) {
		drop_fd(&fd);
		return;
	}
	while ((entry = readdir(dir))) {
		if ((str_endswith(entry->d_name, ".partial") ||
		     str_endswith(entry->d_name, ".info")) &&
		    fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_mtime < time(NULL) - STALE_SECONDS)
			unlinkat(dirfd, entry->d_name, 0);
	}
	closedir(dir);
}

int fetch_file(int dirfd, const char *url, const char *sha256,
	       const struct catalog_progress *progress, int *ret_fd, struct err *err)
{
	struct err own = ERR_INIT; /* the retries want to see what they report */
	struct download d = { .dirfd = dirfd,
			      .fd = -1,
			      .url = url,
			      .sha256 = sha256,
			      .progress = progress,
			      .err = err ? err : &own };
	int r;

	d.digest = digest_new();
	if (!d.digest)
		return err_id(err, ERR_E_OUTOFMEMORY, "Out of memory.");
	remove_stale(dirfd);
	make_key(&d);
	r = run(&d);
	digest_free(d.digest);
	if (r == 0 && lseek(d.fd, 0, SEEK_SET) < 0)
		r = err_errno(err, "Cannot read the download");
	if (r < 0) {
		drop_fd(&d.fd);
		return r;
	}
	*d.err = ERR_INIT; /* of failures that a retry made good */
	*ret_fd = d.fd;
	return 0;
}
