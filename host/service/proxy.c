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

struct host { /* of a proxy's URL */
	char name[PROXY_HOST_BYTES];
	size_t at, len; /* its place in the URL, with brackets */
};

/* "http://user@host:port/path" and shorter forms; false when it holds no host. */
static bool host_of(const char *url, struct host *ret)
{
	const char *scheme = strstr(url, "://"), *start = scheme ? scheme + 3 : url, *at;
	size_t n = strcspn(start, "/?#");
	bool brackets;

	at = memrchr(start, '@', n);
	if (at) {
		n -= (size_t)(at + 1 - start);
		start = at + 1;
	}
	brackets = *start == '[';
	if (brackets)
		n = strcspn(start + 1, "]");
	else if (memchr(start, ':', n) == memrchr(start, ':', n))
		n = strcspn(start, ":/?#"); /* more than one colon: an address without brackets */
	if (n == 0 || n >= PROXY_HOST_BYTES)
		return false;
	memcpy(ret->name, start + brackets, n);
	ret->name[n] = '\0';
	ret->at = (size_t)(start - url);
	ret->len = n + brackets + (brackets && start[1 + n] == ']');
	return true;
}

static bool is_this_computer(const char *host, const struct proxy_place *place)
{
	return streq(host, "127.0.0.1") || strcaseeq(host, "localhost") ||
	       strcaseeq(host, "loopback") || strcaseeq(host, place->hostname);
}

static char *replace_host(const char *url, const struct host *host, const char *left,
			  const char *address, const char *right)
{
	return str_printf("%.*s%s%s%s%s", (int)host->at, url, left, address, right,
			  url + host->at + host->len);
}

/* The proxy as the guest reaches it; NULL when it cannot, with the reason. */
static char *as_seen_by_guest(const char *value, const struct proxy_place *place, const char **why)
{
	struct in6_addr six;
	struct in_addr four;
	struct host host;

	if (!place->gateway[0]) {
		*why = "cannot be reached without a network";
		return NULL;
	}
	if (!host_of(value, &host))
		return str_dup(value);
	if (inet_pton(AF_INET6, host.name, &six) == 1) {
		*why = "has an IPv6 address, and the distribution has no IPv6";
		if (!place->gateway6[0])
			return NULL;
		return IN6_IS_ADDR_LOOPBACK(&six)
			       ? replace_host(value, &host, "[", place->gateway6, "]")
			       : str_dup(value);
	}
	if (place->mirrored)
		return str_dup(value);
	if (is_this_computer(host.name, place))
		return replace_host(value, &host, "", place->gateway, "");
	*why = "is on a loopback address of this computer that distributions cannot reach (only "
	       "127.0.0.1 can be)";
	return inet_pton(AF_INET, host.name, &four) == 1 && ntohl(four.s_addr) >> 24 == 127
		       ? NULL
		       : str_dup(value);
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
		const char *value = offered_value(offered, i), *why = NULL;
		auto_free char *seen = value ? as_seen_by_guest(value, place, &why) : NULL;

		if (seen)
			add(ret, environment, i, seen);
		else if (value && !ret->warning)
			ret->warning =
				str_printf("The proxy '%s' (%s) %s. It is not passed on to the "
					   "distribution.",
					   value, names[i][0], why);
		any |= seen != NULL;
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
