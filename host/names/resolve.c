/* host/names/resolve.c - one DNS query answered as the host itself would */
#include "names/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "names/hosts.h"
#include "names/question.h"

#define RCODE_SERVFAIL 2u
#define RCODE_NXDOMAIN 3u
#define SWITCH_TTL     10u /* of answers from other sources than DNS */

struct resolver {
	struct hosts *hosts;
	struct __res_state state;
	bool ready;
	struct timespec mtime;
	ino_t inode;
};

struct resolver *resolver_new(struct hosts *hosts)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r)
		r->hosts = hosts;
	return r;
}

struct resolver *resolver_free(struct resolver *r)
{
	if (r && r->ready)
		res_nclose(&r->state);
	free(r);
	return NULL;
}

static int refresh(struct resolver *r)
{
	struct stat st = { 0 };

	stat("/etc/resolv.conf", &st);
	if (r->ready && st.st_ino == r->inode && st.st_mtim.tv_sec == r->mtime.tv_sec &&
	    st.st_mtim.tv_nsec == r->mtime.tv_nsec)
		return 0;
	if (r->ready)
		res_nclose(&r->state);
	memset(&r->state, 0, sizeof(r->state));
	r->ready = res_ninit(&r->state) == 0;
	r->inode = st.st_ino;
	r->mtime = st.st_mtim;
	return r->ready ? 0 : -EIO;
}

/* Does "hosts:" of nsswitch.conf name a source besides files and dns? */
static bool switch_has_more(void)
{
	auto_free char *text = NULL;
	char *line, *save = NULL, *word;

	if (read_file_at(AT_FDCWD, "/etc/nsswitch.conf", 65536, &text, NULL) < 0)
		return false;
	line = strstr(text, "hosts:");
	if (!line || (line != text && line[-1] != '\n'))
		return false;
	line[strcspn(line, "#\n")] = '\0';
	for (word = strtok_r(line + 6, " \t", &save); word; word = strtok_r(NULL, " \t", &save))
		if (word[0] != '[' && !streq(word, "files") && !streq(word, "dns"))
			return true;
	return false;
}

static bool is_local(const char *name)
{
	return name[0] && (!strchr(name, '.') || str_endswith(name, ".local"));
}

static ssize_t ask_switch(const struct question *q, const uint8_t *query, uint8_t *reply)
{
	struct addrinfo hints = {
		.ai_family = q->type == DNS_TYPE_A ? AF_INET : AF_INET6,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *list = NULL;
	int e = getaddrinfo(q->name, NULL, &hints, &list);
	ssize_t len;

	len = reply_begin(query, q, e == EAI_NONAME ? RCODE_NXDOMAIN : e ? RCODE_SERVFAIL : 0, reply,
			  DNS_MAX_BYTES);
	for (struct addrinfo *a = list; a && len > 0; a = a->ai_next) {
		const void *data = a->ai_family == AF_INET ?
					   (void *)&((struct sockaddr_in *)a->ai_addr)->sin_addr :
					   (void *)&((struct sockaddr_in6 *)a->ai_addr)->sin6_addr;

		len = reply_add(reply, (size_t)len, DNS_MAX_BYTES, q->type, SWITCH_TTL, data,
				a->ai_family == AF_INET ? 4 : 16);
	}
	if (list)
		freeaddrinfo(list);
	return len;
}

static ssize_t ask_servers(struct resolver *r, const struct question *q, const uint8_t *query, size_t len,
			   uint8_t *reply)
{
	int n = -1;

	if (refresh(r) == 0)
		n = res_nsend(&r->state, query, (int)len, reply, (int)DNS_MAX_BYTES);
	if (n >= (int)DNS_HEADER_BYTES)
		return n;
	return reply_begin(query, q, RCODE_SERVFAIL, reply, DNS_MAX_BYTES);
}

ssize_t resolver_answer(struct resolver *r, const uint8_t *query, size_t len,
			uint8_t reply[static DNS_MAX_BYTES])
{
	struct question q;
	ssize_t n;

	if (question_parse(query, len, &q) < 0)
		return -EBADMSG;
	n = hosts_answer(r->hosts, query, len, reply, DNS_MAX_BYTES);
	if (n != 0)
		return n;
	if ((q.type == DNS_TYPE_A || q.type == DNS_TYPE_AAAA) && q.qclass == DNS_CLASS_IN &&
	    is_local(q.name) && switch_has_more())
		return ask_switch(&q, query, reply);
	return ask_servers(r, &q, query, len, reply);
}
