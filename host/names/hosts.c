/* host/names/hosts.c - answers from the host's /etc/hosts
 *
 * The file is kept as text and searched line by line: it has a few lines nearly always, and then this
 * is as fast as a table and cannot be wrong about order, which decides in hosts(5).
 */
#include "names/hosts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/util.h"
#include "names/question.h"

#define HOSTS_TTL 60u

struct hosts {
	pthread_mutex_t lock;
	const char *path;
	struct timespec mtime;
	off_t size;
	ino_t inode;
	char *text;
};

struct hosts *hosts_new(const char *path)
{
	struct hosts *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->path = path;
	h->size = -1;
	pthread_mutex_init(&h->lock, NULL);
	return h;
}

struct hosts *hosts_free(struct hosts *h)
{
	if (!h)
		return NULL;
	pthread_mutex_destroy(&h->lock);
	free(h->text);
	free(h);
	return NULL;
}

static void refresh(struct hosts *h)
{
	struct stat st = { 0 };

	if (stat(h->path, &st) < 0)
		st.st_size = 0;
	if (st.st_size == h->size && st.st_ino == h->inode && st.st_mtim.tv_sec == h->mtime.tv_sec &&
	    st.st_mtim.tv_nsec == h->mtime.tv_nsec)
		return;
	free(h->text);
	h->text = NULL;
	h->size = st.st_size;
	h->inode = st.st_ino;
	h->mtime = st.st_mtim;
	if (read_file_at(AT_FDCWD, h->path, HOSTS_MAX_BYTES, &h->text, NULL) < 0)
		h->text = NULL;
}

struct address {
	int family;
	uint8_t bytes[16];
	size_t len;
};

static bool parse_address(const char *word, size_t n, struct address *ret)
{
	char text[64];

	if (n >= sizeof(text))
		return false;
	memcpy(text, word, n);
	text[n] = '\0';
	text[strcspn(text, "%")] = '\0';
	if (inet_pton(AF_INET, text, ret->bytes) == 1) {
		ret->family = AF_INET;
		ret->len = 4;
		return true;
	}
	ret->family = AF_INET6;
	ret->len = 16;
	return inet_pton(AF_INET6, text, ret->bytes) == 1;
}

static size_t word_length(const char *p)
{
	return strcspn(p, " \t\r\n#");
}

/* One line's words: @fn is called with the address, then each name until it returns true. */
typedef bool (*entry_fn)(const struct address *a, const char *name, size_t len, bool first, void *arg);

static void each_entry(const char *text, entry_fn fn, void *arg)
{
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *p = line + strspn(line, " \t");
		size_t n = word_length(p);
		struct address a;
		bool first = true;

		if (n == 0 || !parse_address(p, n, &a))
			continue;
		for (p += n;; p += n) {
			p += strspn(p, " \t");
			n = word_length(p);
			if (n == 0 || fn(&a, p, n, first, arg))
				break;
			first = false;
		}
	}
}

struct search {
	const struct question *q;
	uint8_t *reply;
	size_t size;
	ssize_t len;
	bool known;
	struct address wanted; /* PTR */
};

static bool match_name(const struct address *a, const char *name, size_t len, bool first, void *arg)
{
	struct search *s = arg;
	ssize_t n;

	(void)first;
	if (strlen(s->q->name) != len || strncasecmp(s->q->name, name, len) != 0)
		return false;
	s->known = true;
	if (a->family != (s->q->type == DNS_TYPE_A ? AF_INET : AF_INET6))
		return true;
	n = reply_add(s->reply, (size_t)s->len, s->size, s->q->type, HOSTS_TTL, a->bytes, a->len);
	if (n > 0)
		s->len = n;
	return true;
}

static bool match_address(const struct address *a, const char *name, size_t len, bool first, void *arg)
{
	struct search *s = arg;
	uint8_t wire[256];
	char text[256];
	ssize_t n;

	if (!first || s->known || a->family != s->wanted.family ||
	    memcmp(a->bytes, s->wanted.bytes, a->len) != 0 || len >= sizeof(text))
		return true;
	memcpy(text, name, len);
	text[len] = '\0';
	n = name_encode(text, wire, sizeof(wire));
	if (n > 0)
		n = reply_add(s->reply, (size_t)s->len, s->size, DNS_TYPE_PTR, HOSTS_TTL, wire, (size_t)n);
	if (n > 0) {
		s->known = true;
		s->len = n;
	}
	return true;
}

static int hex_digit(char c)
{
	const char *p = c ? strchr("0123456789abcdef", c) : NULL;

	return p ? (int)(p - "0123456789abcdef") : -1;
}

/* d.c.b.a.in-addr.arpa, and 32 nibbles before ip6.arpa */
static bool parse_reverse(const char *name, struct address *ret)
{
	unsigned b[4];
	int used = 0;

	if (sscanf(name, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &b[3], &b[2], &b[1], &b[0], &used) == 4 &&
	    used && name[used] == '\0') {
		ret->family = AF_INET;
		ret->len = 4;
		for (int i = 0; i < 4; i++) {
			if (b[i] > 255)
				return false;
			ret->bytes[i] = (uint8_t)b[i];
		}
		return true;
	}
	if (strlen(name) != 72 || !streq(name + 64, "ip6.arpa"))
		return false;
	ret->family = AF_INET6;
	ret->len = 16;
	for (int i = 0; i < 16; i++) {
		/* nibbles come lowest first */
		int low = hex_digit(name[60 - 4 * i]), high = hex_digit(name[62 - 4 * i]);

		if (low < 0 || high < 0)
			return false;
		ret->bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

ssize_t hosts_answer(struct hosts *h, const uint8_t *query, size_t query_len, uint8_t *reply,
		     size_t reply_size)
{
	struct question q;
	struct search s = { .q = &q, .reply = reply, .size = reply_size };
	int r = question_parse(query, query_len, &q);

	if (r < 0 || q.qclass != DNS_CLASS_IN)
		return 0;
	if (q.type == DNS_TYPE_PTR ? !parse_reverse(q.name, &s.wanted) :
				     q.type != DNS_TYPE_A && q.type != DNS_TYPE_AAAA)
		return 0;
	s.len = reply_begin(query, &q, 0, reply, reply_size);
	if (s.len < 0)
		return s.len;
	pthread_mutex_lock(&h->lock);
	refresh(h);
	if (h->text)
		each_entry(h->text, q.type == DNS_TYPE_PTR ? match_address : match_name, &s);
	pthread_mutex_unlock(&h->lock);
	return s.known ? s.len : 0;
}
