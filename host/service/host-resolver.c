/* host/service/host-resolver.c - name servers and search list of the host's resolv.conf(5) */
#include "service/host-resolver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/util.h"

#define RESOLV_CONF_BYTES 65536u

static void add(char **list, unsigned max, const char *word)
{
	unsigned n = 0;

	for (; list[n]; n++)
		if (strcaseeq(list[n], word))
			return;
	if (n < max)
		list[n] = str_dup(word);
}

static void clear(char **list)
{
	for (; *list; list++) {
		free(*list);
		*list = NULL;
	}
}

static bool is_address(const char *word)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, word, bytes) == 1 || inet_pton(AF_INET6, word, bytes) == 1;
}

static bool is_domain(const char *word)
{
	return strlen(word) < 254 &&
	       word[strspn(word,
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] ==
		       '\0';
}

static void take_line(struct host_resolver *r, char *line)
{
	char *save = NULL, *key, *word;

	line[strcspn(line, "#;")] = '\0';
	key = strtok_r(line, " \t\r", &save);
	if (!key)
		return;
	if (streq(key, "nameserver")) {
		word = strtok_r(NULL, " \t\r", &save);
		if (word && is_address(word))
			add(r->nameservers, HOST_MAX_SERVERS, word);
	} else if (streq(key, "search") || streq(key, "domain")) {
		clear(r->search); /* the last one counts */
		while ((word = strtok_r(NULL, " \t\r", &save)))
			if (is_domain(word) && !streq(word, "."))
				add(r->search, HOST_MAX_SEARCH, word);
	}
}

void host_resolver_read(struct host_resolver *ret, const char *path)
{
	auto_free char *text = NULL;
	char *save = NULL;

	*ret = (struct host_resolver) { 0 };
	if (read_file_at(AT_FDCWD, path, RESOLV_CONF_BYTES, &text, NULL) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_line(ret, line);
}

static bool is_stub(const char *server)
{
	return str_after(server, "127.") && !streq(server, "127.0.0.1");
}

static void take_servers(struct host_resolver *r, const struct host_resolver *from,
			 const char *gateway, bool ipv6)
{
	clear(r->nameservers);
	for (char *const *s = from->nameservers; *s; s++) {
		if (streq(*s, "127.0.0.1") || streq(*s, "::1"))
			add(r->nameservers, HOST_MAX_SERVERS, gateway);
		else if (!is_stub(*s) && (ipv6 || !strchr(*s, ':')))
			add(r->nameservers, HOST_MAX_SERVERS, *s);
	}
}

void host_resolver_for_guest(struct host_resolver *r, const char *upstream_path,
			     const char *gateway, bool ipv6)
{
	struct host_resolver from = { 0 };
	bool stub = false;

	for (char *const *s = r->nameservers; *s; s++)
		stub |= is_stub(*s);
	if (stub)
		host_resolver_read(&from, upstream_path);
	if (!stub || !from.nameservers[0])
		for (unsigned i = 0; r->nameservers[i]; i++)
			add(from.nameservers, HOST_MAX_SERVERS, r->nameservers[i]);
	take_servers(r, &from, gateway, ipv6);
	host_resolver_done(&from);
}

void host_resolver_done(struct host_resolver *r)
{
	clear(r->nameservers);
	clear(r->search);
}
