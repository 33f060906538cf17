/* tests/unit/catalog-test.c - manifests, look-up, hashes, downloads, apt sources, child processes
 *
 * Downloads talk to a server of this file: a thread on the loopback that knows Range and If-Range
 * and can be told to misbehave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "catalog/aptsources.h"
#include "catalog/catalog.h"
#include "catalog/digest.h"
#include "catalog/fetch.h"
#include "catalog/manifest.h"
#include "catalog/recipe-internal.h"
#include "catalog/supervise.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/util.h"
#include "protocol/message.h"

#if defined(__aarch64__)
#define ARCH       "Arm64"
#define OTHER_ARCH "Amd64"
#else
#define ARCH       "Amd64"
#define OTHER_ARCH "Arm64"
#endif

#define BODY_BYTES 300000u

struct fixture {
	char dir[64];
	int dirfd;
	struct err err;
	char said[2048];
	struct catalog *cat;
};

static void say(const char *text, void *arg)
{
	struct fixture *f = arg;

	strncat(f->said, text, sizeof(f->said) - strlen(f->said) - 2);
	strcat(f->said, "\n");
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	auto_free char *cache = NULL, *config = NULL;

	if (!f)
		return -1;
	strcpy(f->dir, "/tmp/catalog-test-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	f->dirfd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cache = str_printf("%s/cache", f->dir);
	config = str_printf("%s/config", f->dir);
	setenv("XDG_CACHE_HOME", cache, 1);
	setenv("XDG_CONFIG_HOME", config, 1);
	unsetenv("LXSS_DISTRIBUTION_LIST_URL_APPEND");
	setenv("no_proxy", "*", 1);
	fetch_retry_ms = 1;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	catalog_free(f->cat);
	close(f->dirfd);
	remove_tree(AT_FDCWD, f->dir);
	free(f);
	return 0;
}

static void put(struct fixture *f, const char *name, const char *text)
{
	assert_int_equal(write_file_at(f->dirfd, name, text, strlen(text), 0644), 0);
}

/* A file:// URL of a file below the fixture's directory; valid until the next call. */
static const char *url_of(struct fixture *f, const char *name)
{
	static char url[128];

	str_format(url, sizeof(url), "file://%s/%s", f->dir, name);
	return url;
}

/* --- manifests -------------------------------------------------------------------------------- */

#define ENTRY(name, is_default)                                                                    \
	"{\"Name\":\"" name "\",\"FriendlyName\":\"The " name "\",\"Default\":" is_default         \
	",\"" ARCH "Url\":{\"Url\":\"file:///" name "\",\"Sha256\":\"0xAB\"}}"
#define FOREIGN(name)                                                                              \
	"{\"Name\":\"" name "\",\"FriendlyName\":\"x\",\"Default\":true,\"" OTHER_ARCH             \
	"Url\":{\"Url\":\"file:///x\"}}"
#define LEGACY(name)                                                                               \
	"{\"Name\":\"" name "\",\"FriendlyName\":\"Old " name "\",\"StoreAppId\":\"1\",\"" ARCH    \
	"\":true}"

static const char full[] =
	"{\"Default\":\"Two\",\"ModernDistributions\":{\"Zed\":[" ENTRY("One", "false") "," ENTRY(
		"Two",
		"true") "," FOREIGN("Three") "],\"Able\":[" ENTRY("Four",
								  "false") "]},"
									   "\"Distributions\":"
									   "[" LEGACY("Old") "," LEGACY(
										   "One") "]}";

static int parse(struct fixture *f, const char *text, struct manifest *m)
{
	size_t len = strlen(text);
	char *exact = malloc(len + !len);
	int r;

	assert_non_null(exact);
	memcpy(exact, text, len);
	r = manifest_parse(exact, len, m, &f->err);
	free(exact);
	return r;
}

static const char *name_found(const struct manifest *m, const char *name, bool legacy)
{
	const struct manifest_entry *e = manifest_find(m, name, legacy);

	return e ? e->pub.friendly_name : "(none)";
}

static void finds_in_a_manifest(void **state)
{
	struct fixture *f = *state;
	struct manifest m;

	assert_int_equal(parse(f, full, &m), 0);
	assert_string_equal(m.default_name, "Two");
	assert_int_equal(m.n, 5);
	assert_string_equal(m.entries[0].pub.name, "One"); /* order kept */
	assert_string_equal(m.entries[2].pub.name, "Four");
	assert_string_equal(name_found(&m, "ZED", false), "The Two"); /* flavour: its default */
	assert_string_equal(name_found(&m, "one", false), "The One"); /* modern before legacy */
	assert_string_equal(name_found(&m, "one", true), "Old One");
	assert_string_equal(name_found(&m, "able", false), "(none)");  /* no default entry */
	assert_string_equal(name_found(&m, "three", false), "(none)"); /* other architecture */
	assert_string_equal(name_found(&m, "old", false), "Old Old");
	manifest_done(&m);
}

static void refuses_bad_manifests(void **state)
{
	static const char *const bad[] = {
		"",
		"<html>",
		"[]",
		"{\"Default\":1}",
		"{\"ModernDistributions\":[]}",
		"{\"ModernDistributions\":{\"F\":{}}}",
		"{\"ModernDistributions\":{\"F\":[1]}}",
		"{\"ModernDistributions\":{\"F\":[{}]}}",
		"{\"ModernDistributions\":{\"F\":[{\"Name\":\"a\"}]}}",
		"{\"ModernDistributions\":{\"F\":[{\"Name\":\"a\",\"FriendlyName\":\"b\",\"" ARCH
		"Url\":\"u\"}]}}",
		"{\"ModernDistributions\":{\"F\":[{\"Name\":\"a\",\"FriendlyName\":\"b\",\"" ARCH
		"Url\":{}}]}}",
		"{\"Distributions\":{}}",
	};
	struct fixture *f = *state;
	struct manifest m;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(f, bad[i], &m), -EINVAL);
		assert_int_equal(f->err.id, ERR_WSL_E_INVALID_JSON);
		assert_non_null(str_after(f->err.text, "Invalid JSON document. Parse error: "));
	}
	assert_int_equal(parse(f, "{}", &m), 0);
	manifest_done(&m);
}

static void replaces_control_characters(void **state)
{
	struct fixture *f = *state;
	struct manifest m;

	assert_int_equal(parse(f,
			       "{\"Distributions\":[{\"Name\":\"a\\u001b[2J\",\"FriendlyName\":"
			       "\"b\\u009bc \\u00e4\",\"" ARCH "\":true}]}",
			       &m),
			 0);
	assert_string_equal(m.entries[0].pub.name, "a?[2J");
	assert_string_equal(m.entries[0].pub.friendly_name, "b??c \xc3\xa4");
	manifest_done(&m);
}

static void decodes_file_urls(void **state)
{
	static const struct {
		const char *url, *path;
	} cases[] = { { "file:///a/b", "/a/b" },
		      { "FILE:///a%20b", "/a b" },
		      { "file://localhost/a", "/a" },
		      { "file:///a%2", "/a%2" },
		      { "file:///a%00b", "/a%00b" },
		      { "file://host/a", NULL },
		      { "file:/a", NULL },
		      { "https://x/file:///a", NULL } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *path = url_file_path(cases[i].url);

		if (cases[i].path)
			assert_string_equal(path, cases[i].path);
		else
			assert_null(path);
	}
}

/* --- the catalog ------------------------------------------------------------------------------ */

static int load(struct fixture *f, const char *list, const char *append)
{
	const struct catalog_config cfg = {
		.list_url = list, .append_url = append, .warn = say, .arg = f
	};

	f->cat = catalog_free(f->cat);
	f->said[0] = '\0';
	setenv("LXSS_DISTRIBUTION_LIST_URL", list ? list : "", 1);
	return catalog_load(&cfg, &f->cat, &f->err);
}

static const char *found(struct fixture *f, const char *name)
{
	const struct catalog_entry *e;

	f->said[0] = '\0';
	return catalog_find(f->cat, name, false, &e, &f->err) < 0 ? "(error)" : e->friendly_name;
}

static void our_own_distributions_need_no_network(void **state)
{
	struct fixture *f = *state;
	const struct catalog_entry *e;

	assert_int_equal(load(f, NULL, NULL), 0);
	assert_string_equal(found(f, "debian"), "Debian GNU/Linux 12 (bookworm)");
	assert_string_equal(found(f, "debian-13"), "Debian GNU/Linux 13 (trixie)");
	assert_int_equal(catalog_find(f->cat, NULL, false, &e, &f->err), 0);
	assert_string_equal(e->name, "Debian");
	assert_int_equal(e->kind, CATALOG_RECIPE);
	assert_string_equal(e->recipe, "debian");
	assert_string_equal(e->suite, "bookworm");
	assert_string_equal(f->said, "");
}

static void overrides_come_first(void **state)
{
	struct fixture *f = *state;
	auto_free char *list = NULL, *append = NULL;
	const struct catalog_entry *const *rows;
	char names[256] = "";
	size_t n;

	put(f, "list", full);
	put(f, "append",
	    "{\"Default\":\"Four\",\"ModernDistributions\":{\"Able\":[" ENTRY(
		    "Mine", "true") "," ENTRY("Two", "false") "]}}");
	list = str_dup(url_of(f, "list"));
	append = str_dup(url_of(f, "append"));
	assert_int_equal(load(f, list, append), 0);
	assert_string_equal(found(f, "able"), "The Mine");
	assert_string_equal(f->said,
			    "The distribution \"Mine\" is provided by an override manifest.\n");
	assert_string_equal(found(f, NULL), "The Four"); /* the override's default wins */
	assert_string_equal(f->said, "");
	assert_string_equal(found(f, "one"), "The One");
	assert_string_equal(found(f, "debian"), "Debian GNU/Linux 12 (bookworm)");
	assert_int_equal(catalog_list_online(f->cat, &rows, &n, &f->err), 0);
	for (size_t i = 0; i < n; i++) {
		strcat(names, rows[i]->name);
		strcat(names, " ");
	}
	assert_string_equal(names, "Mine Two One Four Debian Debian-13 Old ");
}

static void user_manifest_overrides(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdirat(f->dirfd, "config", 0700), 0);
	assert_int_equal(mkdirat(f->dirfd, "config/lxss", 0700), 0);
	put(f, "config/lxss/DistributionInfo.json",
	    "{\"ModernDistributions\":{\"Debian\":[" ENTRY("Mine", "true") "]}}");
	put(f, "empty", "{}");
	assert_int_equal(load(f, url_of(f, "empty"), NULL), 0);
	assert_string_equal(found(f, "Debian"), "The Mine");
	put(f, "config/lxss/DistributionInfo.json", "{");
	assert_int_equal(load(f, NULL, NULL), -EINVAL);
	assert_int_equal(f->err.id, ERR_WSL_E_INVALID_JSON);
	assert_non_null(strstr(f->err.text, "config/lxss/DistributionInfo.json"));
}

static void unknown_names_and_missing_lists(void **state)
{
	struct fixture *f = *state;
	auto_free char *warning = NULL, *url = str_dup(url_of(f, "missing"));

	assert_int_equal(load(f, url, NULL), 0);
	warning = str_printf("Failed to fetch the distribution list from '%s'. No such file or "
			     "directory\n",
			     url);
	assert_string_equal(f->said, warning);
	assert_string_equal(found(f, "debian"), "Debian GNU/Linux 12 (bookworm)");
	assert_string_equal(found(f, "nosuch"), "(error)");
	assert_int_equal(f->err.id, ERR_WSL_E_DISTRO_NOT_FOUND);
	assert_non_null(str_after(f->err.text, "Invalid distribution name: 'nosuch'."));
	assert_non_null(strstr(f->err.text, "--list --online"));
}

static void at_most_four_entries_per_flavour(void **state)
{
	struct fixture *f = *state;
	const struct catalog_entry *const *rows;
	size_t n;

	put(f, "list",
	    "{\"ModernDistributions\":{\"F\":[" ENTRY("a", "false") "," ENTRY(
		    "b", "false") "," ENTRY("c",
					    "false") "," ENTRY("d",
							       "false") "," ENTRY("e",
										  "false") "]}}");
	assert_int_equal(load(f, url_of(f, "list"), NULL), 0);
	assert_int_equal(catalog_list_online(f->cat, &rows, &n, &f->err), 0);
	assert_int_equal(n, 6);
	assert_string_equal(rows[3]->name, "d");
	assert_string_equal(rows[4]->name, "Debian");
	assert_string_equal(found(f, "e"), "The e");
}

static void legacy_entries_cannot_be_had(void **state)
{
	struct fixture *f = *state;
	const struct catalog_entry *e;
	char *source;
	int fd;

	put(f, "list", full);
	assert_int_equal(load(f, url_of(f, "list"), NULL), 0);
	assert_int_equal(catalog_find(f->cat, NULL, true, &e, &f->err), 0);
	assert_string_equal(e->name, "Old");
	assert_int_equal(catalog_obtain(f->cat, e, NULL, &fd, &source, &f->err), -EOPNOTSUPP);
	assert_int_equal(f->err.id, ERR_WSL_E_DISTRO_ONLY_AVAILABLE_FROM_STORE);
}

/* --- hashes and local archives ---------------------------------------------------------------- */

static const char hello_sha[] = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

static int obtain(struct fixture *f, const char *url, const char *sha256, int *fd)
{
	struct catalog_entry e = { .name = "x",
				   .friendly_name = "X",
				   .kind = CATALOG_ARCHIVE,
				   .url = url,
				   .sha256 = sha256 };
	auto_free char *source = NULL;
	int r = catalog_obtain(f->cat, &e, NULL, fd, &source, &f->err);

	if (r == 0)
		assert_non_null(source);
	return r;
}

static void checks_hashes(void **state)
{
	struct fixture *f = *state;
	auto_free char *upper = str_printf("0X%s", hello_sha), *said = NULL;
	auto_free char *url = NULL;
	char text[6] = "";
	int fd;

	assert_int_equal(load(f, NULL, NULL), 0);
	put(f, "hello world", "hello");
	url = str_printf("file://%s/hello%%20world", f->dir);
	for (char *c = upper + 2; *c; c++)
		*c = *c >= 'a' ? (char)(*c - 32) : *c;
	assert_int_equal(obtain(f, url, upper, &fd), 0);
	assert_int_equal(read(fd, text, 5), 5);
	assert_string_equal(text, "hello");
	close(fd);
	assert_int_equal(obtain(f, url, "", &fd), 0);
	close(fd);
	assert_int_equal(obtain(f, url, "0xABCD", &fd), -EBADMSG);
	said = str_printf(
		"The distribution hash doesn't match. Expected: 0xabcd, actual hash: 0x%s",
		hello_sha);
	assert_string_equal(f->err.text, said);
	assert_int_equal(f->err.id, ERR_TRUST_E_BAD_DIGEST);
	assert_string_equal(f->err.context, "VerifyChecksum");
	assert_int_equal(faccessat(f->dirfd, "hello world", F_OK, 0), 0); /* not deleted */
	assert_int_equal(obtain(f, url, "0xABC", &fd), -EINVAL);
	assert_string_equal(f->err.text, "Invalid hex string: 0xABC");
	assert_int_equal(obtain(f, url, "xyz!", &fd), -EINVAL);
	assert_int_equal(f->err.id, ERR_E_INVALIDARG);
}

/* --- downloads -------------------------------------------------------------------------------- */

struct server {
	int fd;
	uint16_t port;
	pthread_t thread;
	uint8_t *body;
	size_t size;
	const char *etag; /* NULL: none sent, no If-Range understood */
	bool ignore_range;
	unsigned cut;         /* this many answers end in the middle */
	unsigned fail;        /* this many answers are 503 */
	int status;           /* other than 0: always this */
	const char *location; /* redirect there */
	unsigned requests, ranged;
};

static uint64_t range_of(const char *request)
{
	const char *range = strcasestr(request, "\r\nRange: bytes=");

	return range ? strtoull(range + 15, NULL, 10) : 0;
}

static bool same_file(const struct server *s, const char *request)
{
	const char *condition = strcasestr(request, "\r\nIf-Range: ");

	return !condition || (s->etag && strncmp(condition + 12, s->etag, strlen(s->etag)) == 0);
}

static void answer(struct server *s, int c, const char *request)
{
	auto_free char *tag = s->etag ? str_printf("ETag: %s\r\n", s->etag) : str_dup("");
	auto_free char *head = NULL;
	size_t from = (size_t)range_of(request), n;

	s->requests++;
	s->ranged += from > 0;
	if (s->location || s->status || s->fail) {
		int status = s->location ? 302 : s->status ? s->status : 503;

		s->fail -= s->fail > 0;
		head = str_printf(
			"HTTP/1.1 %d X\r\nContent-Length: 4\r\nConnection: close\r\n%s%s\r\n"
			"\r\nsorr",
			status, s->location ? "Location: " : "X: y",
			s->location ? s->location : "");
		write_all(c, head, strlen(head));
		return;
	}
	if (s->ignore_range || !same_file(s, request))
		from = 0;
	if (from >= s->size)
		head = str_printf("HTTP/1.1 416 X\r\nContent-Range: bytes */%zu\r\n"
				  "Content-Length: 0\r\nConnection: close\r\n\r\n",
				  s->size);
	else if (from)
		head = str_printf("HTTP/1.1 206 X\r\n%sContent-Range: bytes %zu-%zu/%zu\r\n"
				  "Content-Length: %zu\r\nConnection: close\r\n\r\n",
				  tag, from, s->size - 1, s->size, s->size - from);
	else
		head = str_printf(
			"HTTP/1.1 200 X\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n", tag,
			s->size);
	write_all(c, head, strlen(head));
	n = from >= s->size ? 0 : s->size - from;
	if (s->cut) {
		s->cut--;
		n /= 2;
	}
	write_all(c, s->body + from, n);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	int c;

	while ((c = accept(s->fd, NULL, NULL)) >= 0) {
		char request[4096] = "";
		size_t len = 0;
		ssize_t n;

		while (!strstr(request, "\r\n\r\n") &&
		       (n = read(c, request + len, sizeof(request) - 1 - len)) > 0)
			len += (size_t)n;
		answer(s, c, request);
		close(c);
	}
	return NULL;
}

static void server_start(struct server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	signal(SIGPIPE, SIG_IGN);
	s->size = BODY_BYTES;
	s->body = malloc(s->size);
	assert_non_null(s->body);
	for (size_t i = 0; i < s->size; i++)
		s->body[i] = (uint8_t)(i * 7 + i / 251);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->fd, 8), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	free(s->body);
}

static char *sha_of(const struct server *s)
{
	struct digest *d = digest_new();
	char hex[DIGEST_HEX_BYTES];

	digest_update(d, s->body, s->size);
	digest_hex(d, hex);
	digest_free(d);
	return str_dup(hex);
}

static int fetch(struct fixture *f, const struct server *s, const char *sha256,
		 const struct catalog_progress *progress, int *fd)
{
	auto_free char *url = str_printf("http://127.0.0.1:%u/x.wsl", s->port);

	f->err = ERR_INIT;
	return fetch_file(f->dirfd, url, sha256, progress, fd, &f->err);
}

static void assert_body(const struct server *s, int fd)
{
	auto_free uint8_t *got = malloc(s->size + 1);

	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	for (size_t n = 0; n < s->size;) {
		ssize_t more = read(fd, got + n, s->size + 1 - n);

		assert_true(more > 0);
		n += (size_t)more;
	}
	assert_memory_equal(got, s->body, s->size);
	close(fd);
}

static unsigned count_files(struct fixture *f, const char *suffix)
{
	auto_free char *command = str_printf("ls %s | grep -c '%s$'", f->dir, suffix);
	FILE *p = popen(command, "re");
	unsigned n = 99;

	assert_int_equal(fscanf(p, "%u", &n), 1);
	pclose(p);
	return n;
}

static void downloads_and_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct server s = { .etag = "\"v1\"" };
	auto_free char *sha = NULL;
	int fd;

	server_start(&s);
	sha = sha_of(&s);
	assert_int_equal(fetch(f, &s, sha, NULL, &fd), 0);
	assert_body(&s, fd);
	assert_int_equal(s.requests, 1);
	assert_int_equal(count_files(f, ""), 0);
	server_stop(&s);
}

static void retries_and_continues(void **state)
{
	struct fixture *f = *state;
	struct server s = { .etag = "\"v1\"", .cut = 3, .fail = 2 };
	int fd;

	server_start(&s);
	assert_int_equal(fetch(f, &s, NULL, NULL, &fd), 0);
	assert_int_equal(f->err.errnum, 0);
	assert_body(&s, fd);
	assert_int_equal(s.requests, 6);
	assert_int_equal(s.ranged, 3);
	server_stop(&s);
}

static void gives_up_and_resumes_later(void **state)
{
	struct fixture *f = *state;
	struct server s = { .etag = "\"v1\"",
			    .cut = 100 }; /* each answer brings half of the rest */
	auto_free char *sha = NULL;
	int fd;

	server_start(&s);
	sha = sha_of(&s);
	assert_true(fetch(f, &s, sha, NULL, &fd) < 0);
	assert_int_equal(count_files(f, ".partial"), 1);
	s.cut = 0;
	s.requests = s.ranged = 0;
	assert_int_equal(fetch(f, &s, sha, NULL, &fd), 0);
	assert_body(&s, fd);
	assert_int_equal(s.requests, 1);
	assert_int_equal(s.ranged, 1);
	server_stop(&s);
}

static void a_changed_file_starts_again(void **state)
{
	struct fixture *f = *state;
	struct server s = { .etag = "\"v1\"" };
	auto_free char *partial = NULL, *info = NULL, *sha = NULL;
	auto_free char *url = NULL;
	struct digest *d = digest_new();
	char hex[DIGEST_HEX_BYTES];
	int fd;

	server_start(&s);
	url = str_printf("http://127.0.0.1:%u/x.wsl", s.port);
	digest_update(d, url, strlen(url));
	digest_hex(d, hex);
	digest_free(d);
	partial = str_printf("%.16s.partial", hex);
	info = str_printf("%.16s.info", hex);
	sha = sha_of(&s);
	/* what is there came from "v0": the server sends everything */
	put(f, partial, "old content");
	auto_free char *text = str_printf("%s\n\"v0\"\n", url);
	put(f, info, text);
	s.requests = s.ranged = 0;
	assert_int_equal(fetch(f, &s, sha, NULL, &fd), 0);
	assert_body(&s, fd);
	assert_int_equal(s.requests, 1);
	/* no validator, but a hash: a wrong start is noticed and the file fetched whole */
	put(f, partial, "old content");
	s.requests = 0;
	assert_int_equal(fetch(f, &s, sha, NULL, &fd), 0);
	assert_body(&s, fd);
	assert_int_equal(s.requests, 2);
	/* neither: never continued */
	put(f, partial, "old content");
	s.ranged = 0;
	assert_int_equal(fetch(f, &s, NULL, NULL, &fd), 0);
	assert_body(&s, fd);
	assert_int_equal(s.ranged, 0);
	/* a server without ranges */
	put(f, partial, "old content");
	put(f, info, text);
	s.ignore_range = true;
	assert_int_equal(fetch(f, &s, sha, NULL, &fd), 0);
	assert_body(&s, fd);
	server_stop(&s);
}

static void a_wrong_hash_removes_the_file(void **state)
{
	struct fixture *f = *state;
	struct server s = { .etag = "\"v1\"" };
	int fd;

	server_start(&s);
	assert_int_equal(fetch(f, &s, hello_sha, NULL, &fd), -EBADMSG);
	assert_int_equal(f->err.id, ERR_TRUST_E_BAD_DIGEST);
	assert_int_equal(count_files(f, ""), 0);
	server_stop(&s);
}

static void final_errors_are_not_retried(void **state)
{
	struct fixture *f = *state;
	struct server s = { .status = 404 };
	int fd;

	server_start(&s);
	assert_true(fetch(f, &s, NULL, NULL, &fd) < 0);
	assert_non_null(strstr(f->err.text, "HTTP status 404"));
	assert_int_equal(s.requests, 1);
	s.status = 503;
	s.requests = 0;
	assert_true(fetch(f, &s, NULL, NULL, &fd) < 0);
	assert_int_equal(s.requests, 4);
	s.location = "file:///etc/passwd"; /* never leaves HTTP */
	s.requests = 0;
	assert_true(fetch(f, &s, NULL, NULL, &fd) < 0);
	assert_int_equal(s.requests, 1);
	s.location = "/again"; /* for ever */
	s.requests = 0;
	assert_true(fetch(f, &s, NULL, NULL, &fd) < 0);
	assert_int_equal(s.requests, 11);
	server_stop(&s);
}

struct watch {
	uint64_t done, total;
	bool cancel;
};

static void watch_show(const struct msg_progress *p, void *arg)
{
	struct watch *w = arg;

	w->done = p->done;
	w->total = p->total;
}

static bool watch_cancelled(void *arg)
{
	return ((struct watch *)arg)->cancel;
}

static void progress_and_cancelling(void **state)
{
	struct fixture *f = *state;
	struct server s = { .etag = "\"v1\"" };
	struct watch w = { 0 };
	const struct catalog_progress p = { watch_show, watch_cancelled, &w };
	int fd;

	server_start(&s);
	assert_int_equal(fetch(f, &s, NULL, &p, &fd), 0);
	close(fd);
	assert_int_equal(w.done, BODY_BYTES);
	assert_int_equal(w.total, BODY_BYTES);
	w.cancel = true;
	assert_int_equal(fetch(f, &s, NULL, &p, &fd), -EINTR);
	assert_int_equal(f->err.id, ERR_E_ABORT);
	server_stop(&s);
}

static void small_texts(void **state)
{
	struct fixture *f = *state;
	struct server s = { .etag = "\"v1\"" };
	auto_free char *url = NULL;
	char *text;
	size_t len;

	server_start(&s);
	url = str_printf("http://127.0.0.1:%u/list", s.port);
	assert_int_equal(fetch_text(url, BODY_BYTES, &text, &len, &f->err), 0);
	assert_int_equal(len, BODY_BYTES);
	free(text);
	assert_int_equal(fetch_text(url, BODY_BYTES - 1, &text, &len, &f->err), -EFBIG);
	s.status = 500;
	assert_true(fetch_text(url, 10, &text, &len, &f->err) < 0);
	server_stop(&s);
	assert_true(fetch_text(url, 10, &text, &len, &f->err) < 0); /* nobody listens */
	assert_true(f->err.text[0]);
}

/* --- apt sources ------------------------------------------------------------------------------ */

static char *sources_of(struct fixture *f, const char *suite)
{
	struct apt_mirror m;
	char *text;

	apt_mirror_load(f->dir, &m);
	text = m.main.uri ? apt_mirror_sources(&m, suite, "/key.gpg") : str_dup("(none)");
	apt_mirror_done(&m);
	return text;
}

static void reads_one_line_sources(void **state)
{
	struct fixture *f = *state;
	auto_free char *text = NULL;

	put(f, "sources.list",
	    "# deb http://wrong/debian bookworm main\n"
	    "deb cdrom:[Debian 12]/ bookworm main\n"
	    "deb http://other.example/ stuff main\n"
	    "deb-src http://wrong/debian bookworm main\n"
	    "deb [ arch=amd64 signed-by=/etc/k.gpg ] http://m.example/debian/ bookworm main "
	    "contrib # x\n"
	    "deb http://s.example/debian-security bookworm-security main\n");
	text = sources_of(f, "trixie");
	assert_string_equal(text, "Types: deb\nURIs: http://m.example/debian\n"
				  "Suites: trixie trixie-updates\nComponents: main contrib\n"
				  "Signed-By: /etc/k.gpg\n\n"
				  "Types: deb\nURIs: http://s.example/debian-security\n"
				  "Suites: trixie-security\nComponents: main contrib\n"
				  "Signed-By: /key.gpg\n");
}

static void reads_deb822_sources(void **state)
{
	struct fixture *f = *state;
	auto_free char *text = NULL, *rolling = NULL;

	assert_int_equal(mkdirat(f->dirfd, "sources.list.d", 0700), 0);
	put(f, "sources.list.d/a.sources",
	    "Types: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n"
	    "Enabled: no\n");
	put(f, "sources.list.d/b.sources",
	    "# comment\ntypes: deb deb-src\nURIs: http://m.example/debian http://n.example\n"
	    "Suites: bookworm bookworm-updates\n# within\nComponents: main\nTrusted: yes\n"
	    "Signed-By:\n -----BEGIN\n .\n -----END\n\n"
	    "Types: deb\nURIs: http://x.example/nodejs\nSuites: nodistro\nComponents: main\n");
	put(f, "sources.list.d/c.list.disabled", "deb http://wrong/debian bookworm main\n");
	text = sources_of(f, "bookworm");
	assert_string_equal(text, "Types: deb\nURIs: http://m.example/debian\n"
				  "Suites: bookworm bookworm-updates\nComponents: main\n"
				  "Signed-By: \n -----BEGIN\n .\n -----END\nTrusted: yes\n");
	rolling = sources_of(f, "sid");
	assert_non_null(strstr(rolling, "Suites: sid\n"));
}

static void no_debian_no_mirror(void **state)
{
	struct fixture *f = *state;
	auto_free char *none = sources_of(f, "bookworm");

	assert_string_equal(none, "(none)");
}

/* --- mmdebstrap's output, child processes ------------------------------------------------------
 */

static void follows_the_build(void **state)
{
	static const struct {
		const char *line, *phase;
	} script[] = {
		{ "I: automatically chosen format: tar", NULL },
		{ "I: running apt-get update...", "Reading the package lists" },
		{ "Get:1 http://x InRelease", NULL },
		{ "I: downloading packages with apt...", "Downloading the base packages" },
		{ "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.", NULL },
		{ "Get:1 http://x libc6", "Downloading the base packages (1 of 2)" },
		{ "I: installing essential packages...", "Installing the base packages" },
		{ "Unpacking libc6", NULL },
	};
	struct build_progress p = { 0 };
	char phase[BUILD_PHASE_BYTES];

	for (size_t i = 0; i < ARRAY_SIZE(script); i++) {
		bool changed = build_progress_line(&p, script[i].line, phase);

		assert_int_equal(changed, script[i].phase != NULL);
		if (changed)
			assert_string_equal(phase, script[i].phase);
	}
}

static bool never(void *arg)
{
	return false;
}

static void keep_line(const char *line, void *arg)
{
	say(line, arg);
}

static struct supervised shell_job(struct fixture *f, const char *const *argv, const char *scratch)
{
	return (struct supervised) { .argv = argv,
				     .stdin_fd = STDIN_FILENO,
				     .stdout_fd = STDOUT_FILENO,
				     .scratch = scratch,
				     .on_line = keep_line,
				     .cancelled = never,
				     .arg = f };
}

static void supervises_a_program(void **state)
{
	struct fixture *f = *state;
	auto_free char *scratch = str_printf("%s/scratch", f->dir);
	const char *argv[] = { "sh", "-c",
			       "echo one >&2; sleep 300 & printf two >&2; echo >&2; exit 3", NULL };
	struct supervised job = shell_job(f, argv, scratch);
	int status;

	assert_int_equal(mkdir(scratch, 0700), 0);
	status = supervise(&job, &f->err); /* returns although its child still sleeps */
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
	assert_string_equal(f->said, "one\ntwo\n");
	assert_int_equal(access(scratch, F_OK), -1);
	argv[0] = "no-such-program";
	job.scratch = NULL;
	status = supervise(&job, &f->err);
	assert_int_equal(WEXITSTATUS(status), 127);
}

/* Builds must not be able to write to the host's package state, nor leave mounts behind. */
static void host_state_is_read_only(void **state)
{
	struct fixture *f = *state;
	const char *argv[] = { "sh", "-c", "touch \"$0/x\" || exit 9", f->dir, NULL };
	const char *guarded[] = { f->dir, NULL };
	auto_free char *mounts = NULL;
	struct supervised job;
	int status;

	if (system("unshare --mount true 2>/dev/null") != 0)
		skip(); /* only root can write there anyway */
	job = shell_job(f, argv, NULL);
	job.read_only = guarded;
	status = supervise(&job, &f->err);
	assert_int_equal(WEXITSTATUS(status), 9);
	argv[2] = "mount -t tmpfs none \"$0\" && touch \"$0/x\"";
	job.read_only = NULL;
	status = supervise(&job, &f->err);
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(faccessat(f->dirfd, "x", F_OK, 0), -1);
	assert_int_equal(read_file_at(AT_FDCWD, "/proc/self/mountinfo", 16 << 20, &mounts, NULL),
			 0);
	assert_null(strstr(mounts, f->dir));
}

static bool soon(void *arg)
{
	struct fixture *f = arg;

	return f->said[0] != '\0';
}

/* Waits until the lock that the whole tree holds is free. */
static void assert_gone(int dirfd)
{
	auto_close int fd = openat(dirfd, "alive", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		assert_true(i < 1000);
		usleep(10000);
	}
}

static const char stubborn[] = "exec 9>\"$0/alive\"; flock 9; echo ready >&2; setsid sleep 300 & "
			       "sleep 300";

static void cancelling_ends_the_whole_tree(void **state)
{
	struct fixture *f = *state;
	auto_free char *scratch = str_printf("%s/scratch", f->dir);
	auto_free char *output = str_printf("%s/output", f->dir);
	const char *argv[] = { "sh", "-c", stubborn, f->dir, NULL };
	struct supervised job = shell_job(f, argv, scratch);

	assert_int_equal(mkdir(scratch, 0700), 0);
	put(f, "output", "half");
	job.output = output;
	job.cancelled = soon;
	assert_int_equal(supervise(&job, &f->err), -EINTR);
	assert_int_equal(f->err.id, ERR_E_ABORT);
	assert_gone(f->dirfd);
	assert_int_equal(access(scratch, F_OK), -1);
	assert_int_equal(access(output, F_OK), -1);
}

/* The client is killed with SIGKILL: its build ends and is cleaned away. */
static void the_tree_dies_with_us(void **state)
{
	struct fixture *f = *state;
	auto_free char *scratch = str_printf("%s/scratch", f->dir);
	const char *argv[] = { "sh", "-c", stubborn, f->dir, NULL };
	struct supervised job = shell_job(f, argv, scratch);
	pid_t pid;

	assert_int_equal(mkdir(scratch, 0700), 0);
	pid = fork();
	if (pid == 0) {
		job.on_line = NULL;
		supervise(&job, NULL);
		_exit(0);
	}
	for (int i = 0; faccessat(f->dirfd, "alive", F_OK, 0) < 0; i++) {
		assert_true(i < 1000);
		usleep(10000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_gone(f->dirfd);
	for (int i = 0; access(scratch, F_OK) == 0; i++) {
		assert_true(i < 1000);
		usleep(10000);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(finds_in_a_manifest),
		TEST(refuses_bad_manifests),
		TEST(replaces_control_characters),
		TEST(decodes_file_urls),
		TEST(our_own_distributions_need_no_network),
		TEST(overrides_come_first),
		TEST(user_manifest_overrides),
		TEST(unknown_names_and_missing_lists),
		TEST(at_most_four_entries_per_flavour),
		TEST(legacy_entries_cannot_be_had),
		TEST(checks_hashes),
		TEST(downloads_and_leaves_nothing),
		TEST(retries_and_continues),
		TEST(gives_up_and_resumes_later),
		TEST(a_changed_file_starts_again),
		TEST(a_wrong_hash_removes_the_file),
		TEST(final_errors_are_not_retried),
		TEST(progress_and_cancelling),
		TEST(small_texts),
		TEST(reads_one_line_sources),
		TEST(reads_deb822_sources),
		TEST(no_debian_no_mirror),
		TEST(follows_the_build),
		TEST(supervises_a_program),
		TEST(host_state_is_read_only),
		TEST(cancelling_ends_the_whole_tree),
		TEST(the_tree_dies_with_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
