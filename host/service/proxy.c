/* host/service/proxy.c - which proxy variables of the caller a session gets */
#include "service/proxy.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"

#define PROXY_HOST_BYTES 256u

static const char *const names[][2] = {
	/* the last one is the list of exceptions */
	{ "http_proxy", "HTTP_PROXY" },
	{ "https_proxy", "HTTPS_PROXY" },
	{ "no_proxy", "NO_PROXY" },
};

static const char *find(const struct strv *v, const char *name)
{
	size_t n = strlen(name);

	strv_foreach (s, v)
		if (strncmp(s, name, n) == 0 && s[n] == '=')
			return s + n + 1;
	return NULL;
}

/* "http://user@host:port/path" and shorter forms; false when it holds no host. */
static bool host_of(const char *url, char host[PROXY_HOST_BYTES])
{
	const char *scheme = strstr(url, "://"), *at;
	size_t n;

	url = scheme ? scheme + 3 : url;
	n = strcspn(url, "/?#");
	at = memrchr(url, '@', n);
	if (at) {
		n -= (size_t)(at + 1 - url);
		url = at + 1;
	}
	if (*url == '[') {
		url++;
		n = strcspn(url, "]");
	} else if (memchr(url, ':', n) == memrchr(url, ':', n)) {
		n = strcspn(url, ":/?#"); /* more than one colon: an address without brackets */
	}
	if (n == 0 || n >= PROXY_HOST_BYTES)
		return false;
	memcpy(host, url, n);
	host[n] = '\0';
	return true;
}

/* Why the guest cannot use this proxy, or NULL. */
static const char *obstacle(const char *value, const struct proxy_place *place)
{
	char host[PROXY_HOST_BYTES];
	struct in6_addr six;
	struct in_addr four;

	if (!host_of(value, host))
		return NULL;
	if (inet_pton(AF_INET6, host, &six) == 1) {
		if (IN6_IS_ADDR_LOOPBACK(&six))
			return "is the IPv6 loopback address";
		return place->mirrored ? NULL : "is an IPv6 address";
	}
	if (place->mirrored)
		return NULL;
	if (strcaseeq(host, "localhost") || strcaseeq(host, "loopback") ||
	    strcaseeq(host, place->hostname) ||
	    (inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127))
		return "is on this computer's loopback";
	return NULL;
}

static const char *offered_value(const struct strv *offered, size_t i)
{
	const char *value = find(offered, names[i][0]);

	if (!value || !value[0])
		value = find(offered, names[i][1]);
	return value && value[0] ? value : NULL;
}

static void add(struct proxy_vars *ret, const struct strv *environment, size_t i, const char *value)
{
	for (size_t form = 0; form < 2; form++)
		if (!find(environment, names[i][form]))
			ret->vars[ret->n++] = str_printf("%s=%s", names[i][form], value);
}

void proxy_choose(struct proxy_vars *ret, const struct strv *offered,
		  const struct strv *environment, const struct proxy_place *place)
{
	const char *exceptions = offered_value(offered, 2);
	bool any = false;

	*ret = (struct proxy_vars) { .n = 0 };
	for (size_t i = 0; i < 2; i++) {
		const char *value = offered_value(offered, i);
		const char *why = value ? obstacle(value, place) : NULL;

		if (why && !ret->warning)
			ret->warning = str_printf("The proxy '%s' (%s) %s and is not passed on to "
						  "the distribution. The "
						  "host's loopback is reached from there at %s.",
						  value, names[i][0], why, place->gateway);
		if (!value || why)
			continue;
		add(ret, environment, i, value);
		any = true;
	}
	if (exceptions && any)
		add(ret, environment, 2, exceptions);
}

void proxy_vars_done(struct proxy_vars *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->vars[i]);
	free(v->warning);
}
