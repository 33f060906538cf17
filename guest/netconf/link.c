/* guest/netconf/link.c - interfaces, addresses and routes over rtnetlink
 *
 * Router advertisements are switched off before the interface comes up: the host says everything.
 * Addresses skip duplicate detection, the interface has one peer; so they can be used at once.
 */
#include "netconf/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/if_addr.h>
#include <linux/if_link.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/util.h"
#include "io/netlink.h"
#include "protocol/message.h"

#define MAX_FOUND (2 * LIMIT_GUEST_ADDRESSES) /* addresses or routes that are looked at */

struct address {
	uint8_t family, prefix, len; /* len 0: none */
	bool deprecated;
	uint8_t bytes[16];
};

struct wanted { /* of one interface and family */
	unsigned index;
	int family;
	unsigned n;
	struct address addresses[LIMIT_GUEST_ADDRESSES], gateway;
};

static int parse_address(int family, const char *text, struct address *ret)
{
	*ret = (struct address) { .family = (uint8_t)family };
	if (!*text)
		return 0;
	ret->len = family == AF_INET ? 4 : 16;
	ret->prefix = (uint8_t)(8 * ret->len);
	return inet_pton(family, text, ret->bytes) == 1 ? 0 : -EINVAL;
}

/* "ADDRESS/PREFIX" */
static int parse_prefixed(int family, const char *text, struct address *ret)
{
	size_t len = strcspn(text, "/");
	char address[INET6_ADDRSTRLEN];
	uint32_t prefix;

	if (len == 0 || len >= sizeof(address) || !text[len])
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (parse_address(family, address, ret) < 0 || parse_u32(text + len + 1, &prefix) < 0 ||
	    prefix > ret->prefix)
		return -EINVAL;
	ret->prefix = (uint8_t)prefix;
	return 0;
}

static int parse_wanted(struct wanted *w, const struct strv *addresses, uint32_t deprecated,
			const char *gateway, struct err *err)
{
	const char *family = w->family == AF_INET ? "IPv4" : "IPv6";

	if (parse_address(w->family, gateway, &w->gateway) < 0)
		return err_set(err, -EINVAL, "the gateway '%s' is not an %s address", gateway,
			       family);
	if (addresses->n > LIMIT_GUEST_ADDRESSES)
		return err_set(err, -E2BIG, "%u %s addresses are too many", addresses->n, family);
	strv_foreach (text, addresses) {
		struct address *a = &w->addresses[w->n];

		if (parse_prefixed(w->family, text, a) < 0)
			return err_set(err, -EINVAL, "'%s' is not an %s address with its prefix",
				       text, family);
		a->deprecated = addresses->n - w->n++ <= deprecated;
	}
	return 0;
}

/* --- interfaces --- */

static int set_link(struct nl *nl, unsigned index, uint32_t mtu)
{
	struct ifinfomsg *m = nl_begin(nl, RTM_NEWLINK, 0, sizeof(*m));

	m->ifi_family = AF_UNSPEC;
	m->ifi_index = (int)index;
	m->ifi_flags = m->ifi_change = IFF_UP;
	if (mtu)
		nl_put_u32(nl, IFLA_MTU, mtu);
	return nl_ask(nl);
}

static void set_sysctl(const char *family, const char *interface, const char *name,
		       const char *value)
{
	char path[128];
	int r = str_format(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, interface,
			   name);

	if (r == 0)
		r = write_existing(path, value);
	if (r < 0 && r != -ENOENT)
		log_warn("cannot set %s: %s", path, strerror(-r));
}

static void quiet_autoconfiguration(const char *interface)
{
	static const char *const names[] = { "accept_ra", "autoconf", "use_tempaddr" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		set_sysctl("ipv6", interface, names[i], "0");
}

/* --- addresses --- */

static int change_address(struct nl *nl, bool add, unsigned index, const struct address *a)
{
	struct ifaddrmsg *m = nl_begin(nl, add ? RTM_NEWADDR : RTM_DELADDR,
				       add ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*m));
	struct ifa_cacheinfo deprecated = { .ifa_valid = UINT32_MAX };
	uint32_t all;

	m->ifa_family = a->family;
	m->ifa_prefixlen = a->prefix;
	m->ifa_flags = a->family == AF_INET6 && add ? IFA_F_NODAD : 0;
	m->ifa_index = index;
	nl_put(nl, IFA_LOCAL, a->bytes, a->len);
	nl_put(nl, IFA_ADDRESS, a->bytes, a->len);
	if (a->family == AF_INET && add && a->prefix < 31) {
		memcpy(&all, a->bytes, sizeof(all));
		all |= htonl(~0u >> a->prefix);
		nl_put(nl, IFA_BROADCAST, &all, sizeof(all));
	}
	if (a->deprecated && add)
		nl_put(nl, IFA_CACHEINFO, &deprecated, sizeof(deprecated));
	return nl_ask(nl);
}

struct found_addresses {
	const struct wanted *wanted;
	unsigned n;
	struct address all[MAX_FOUND]; /* as the kernel lists them */
};

static int see_address(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	struct found_addresses *f = arg;
	const struct wanted *w = f->wanted;
	struct address a = { .family = (uint8_t)w->family, .len = w->family == AF_INET ? 4 : 16 };
	const void *bytes;

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) ||
	    m->ifa_index != w->index || m->ifa_family != a.family ||
	    m->ifa_scope != RT_SCOPE_UNIVERSE || f->n == MAX_FOUND)
		return 0;
	bytes = nl_attr(h, sizeof(*m), IFA_LOCAL, a.len);
	if (!bytes)
		bytes = nl_attr(h, sizeof(*m), IFA_ADDRESS, a.len);
	if (!bytes)
		return 0;
	memcpy(a.bytes, bytes, a.len);
	a.prefix = m->ifa_prefixlen;
	a.deprecated = m->ifa_flags & IFA_F_DEPRECATED;
	f->all[f->n++] = a;
	return 0;
}

static bool is_same(const struct address *a, const struct address *b)
{
	return a->prefix == b->prefix && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool is_wanted(const struct wanted *w, const struct address *a)
{
	for (unsigned i = 0; i < w->n; i++)
		if (is_same(&w->addresses[i], a))
			return true;
	return false;
}

/* The kernel lists a new IPv4 address behind the others, a new IPv6 address before them. */
static const struct address *by_age(const struct address *all, unsigned n, int family, unsigned at)
{
	return &all[family == AF_INET ? at : n - 1 - at];
}

/* Adds what is missing. What is there, but not in the wanted order, is set anew: programs take the
 * first address for the machine's. */
static int add_addresses(struct nl *nl, const struct wanted *w, const struct found_addresses *f)
{
	unsigned kept = 0;
	int r = 0;

	for (unsigned i = 0; i < f->n && r == 0; i++) {
		const struct address *a = by_age(f->all, f->n, w->family, i), *want;

		if (!is_wanted(w, a) || kept == w->n)
			continue;
		want = by_age(w->addresses, w->n, w->family, kept);
		if (!is_same(a, want)) {
			r = change_address(nl, false, w->index, a);
			continue;
		}
		if (a->deprecated != want->deprecated)
			r = change_address(nl, true, w->index, want);
		kept++;
	}
	for (; kept < w->n && r == 0; kept++)
		r = change_address(nl, true, w->index, by_age(w->addresses, w->n, w->family, kept));
	return r;
}

static int remove_addresses(struct nl *nl, const struct wanted *w, const struct found_addresses *f)
{
	int r = 0;

	for (unsigned i = 0; i < f->n && r == 0; i++)
		if (!is_wanted(w, &f->all[i]))
			r = change_address(nl, false, w->index, &f->all[i]);
	return r;
}

/* --- routes --- */

struct route { /* a default route */
	struct address gateway, source;
};

static int change_route(struct nl *nl, bool add, unsigned index, const struct route *route)
{
	struct rtmsg *m = nl_begin(nl, add ? RTM_NEWROUTE : RTM_DELROUTE,
				   add ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*m));

	m->rtm_family = route->gateway.family;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_scope = add ? RT_SCOPE_UNIVERSE : RT_SCOPE_NOWHERE;
	m->rtm_type = RTN_UNICAST;
	m->rtm_flags = add ? RTNH_F_ONLINK : 0;
	nl_put(nl, RTA_GATEWAY, route->gateway.bytes, route->gateway.len);
	nl_put_u32(nl, RTA_OIF, index);
	if (route->source.len)
		nl_put(nl, RTA_PREFSRC, route->source.bytes, route->source.len);
	return nl_ask(nl);
}

struct found_routes {
	const struct wanted *wanted;
	bool there; /* what is wanted */
	unsigned n;
	struct route stale[MAX_FOUND];
};

static bool is_wanted_route(const struct wanted *w, const struct route *route)
{
	const struct address *source = &w->addresses[0];

	return w->gateway.len && memcmp(route->gateway.bytes, w->gateway.bytes, 16) == 0 &&
	       route->source.len == source->len &&
	       memcmp(route->source.bytes, source->bytes, 16) == 0;
}

/* Default routes of ours on this interface. */
static int see_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = NLMSG_DATA(h);
	struct found_routes *f = arg;
	uint8_t len = f->wanted->family == AF_INET ? 4 : 16;
	struct route route = { .gateway = { .family = (uint8_t)f->wanted->family, .len = len } };
	const void *gateway, *oif, *source;
	uint32_t index;

	if (h->nlmsg_type != RTM_NEWROUTE || h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) ||
	    m->rtm_family != f->wanted->family || m->rtm_table != RT_TABLE_MAIN || m->rtm_dst_len ||
	    m->rtm_protocol != RTPROT_STATIC)
		return 0;
	gateway = nl_attr(h, sizeof(*m), RTA_GATEWAY, len);
	oif = nl_attr(h, sizeof(*m), RTA_OIF, sizeof(index));
	source = nl_attr(h, sizeof(*m), RTA_PREFSRC, len);
	if (!gateway || !oif)
		return 0;
	memcpy(&index, oif, sizeof(index));
	if (index != f->wanted->index)
		return 0;
	memcpy(route.gateway.bytes, gateway, len);
	if (source) {
		route.source.len = len;
		memcpy(route.source.bytes, source, len);
	}
	if (is_wanted_route(f->wanted, &route))
		f->there = true;
	else if (f->n < MAX_FOUND)
		f->stale[f->n++] = route;
	return 0;
}

static int find_routes(struct nl *nl, const struct wanted *w, struct found_routes *ret)
{
	struct rtmsg *m = nl_begin(nl, RTM_GETROUTE, 0, sizeof(*m));

	ret->wanted = w;
	ret->there = false;
	ret->n = 0;
	m->rtm_family = (uint8_t)w->family;
	return nl_list(nl, see_route, ret);
}

/* The new route takes the place of one that is there, without a moment in between. */
static int apply_route(struct nl *nl, const struct wanted *w)
{
	struct found_routes f;
	int r = find_routes(nl, w, &f);

	if (r == 0 && w->gateway.len && !f.there) {
		r = change_route(nl, true, w->index,
				 &(struct route) { w->gateway, w->addresses[0] });
		if (r == 0)
			r = find_routes(nl, w, &f);
	}
	for (unsigned i = 0; i < f.n && r == 0; i++)
		r = change_route(nl, false, w->index, &f.stale[i]);
	return r;
}

/* --- all of it --- */

/* The addresses of before go last: a route may have them for its source. */
static int apply_family(struct nl *nl, const struct wanted *w, struct err *err)
{
	const char *family = w->family == AF_INET ? "IPv4" : "IPv6";
	struct found_addresses f = { .wanted = w };
	struct ifaddrmsg *m = nl_begin(nl, RTM_GETADDR, 0, sizeof(*m));
	int r;

	m->ifa_family = (uint8_t)w->family;
	r = nl_list(nl, see_address, &f);
	if (r == 0)
		r = add_addresses(nl, w, &f);
	if (r == -EAFNOSUPPORT || (r == -EOPNOTSUPP && !w->n))
		return 0; /* a kernel without IPv6 */
	if (r < 0)
		return err_code(err, r, "cannot set the %s addresses", family);
	r = apply_route(nl, w);
	if (r < 0)
		return err_code(err, r, "cannot set the %s default route", family);
	r = remove_addresses(nl, w, &f);
	return r < 0 ? err_code(err, r, "cannot remove %s addresses", family) : 0;
}

static int apply_interface(struct nl *nl, const struct msg_net_config *m, struct err *err)
{
	unsigned index = if_nametoindex(m->interface);
	struct wanted four = { .index = index, .family = AF_INET };
	struct wanted six = { .index = index, .family = AF_INET6 };
	struct err second = ERR_INIT;
	int r, r6;

	if (!index)
		return err_errno(err, "there is no interface '%s'", m->interface);
	quiet_autoconfiguration(m->interface);
	/* an address that is not ours may go before one of ours in the same network */
	set_sysctl("ipv4", m->interface, "promote_secondaries", "1");
	r = set_link(nl, index, m->mtu);
	if (r < 0)
		return err_code(err, r, "cannot bring up '%s' with an MTU of %u", m->interface,
				m->mtu);
	r = parse_wanted(&four, &m->addresses4, 0, m->gateway4, err);
	if (r == 0)
		r = apply_family(nl, &four, err);
	r6 = parse_wanted(&six, &m->addresses6, m->deprecated6, m->gateway6, &second);
	if (r6 == 0)
		r6 = apply_family(nl, &six, &second);
	if (r == 0 && r6 < 0)
		*err = second;
	return r < 0 ? r : r6;
}

/* The resolver's address belongs to no network; other namespaces of this machine route to it. */
static int apply_dns_address(struct nl *nl, unsigned lo, const char *text, struct err *err)
{
	struct address a;
	int r = parse_address(AF_INET, text, &a);

	if (r == 0 && a.len)
		r = change_address(nl, true, lo, &a);
	return r < 0 ? err_code(err, r, "cannot set the DNS address '%s'", text) : 0;
}

int link_apply(const struct msg_net_config *m, struct err *err)
{
	unsigned lo = if_nametoindex("lo");
	struct err second = ERR_INIT;
	struct nl nl;
	int r = nl_open(&nl, NETLINK_ROUTE), r2;

	if (r < 0)
		return err_code(err, r, "cannot open a netlink socket");
	r = set_link(&nl, lo, 0);
	if (r < 0)
		err_code(err, r, "cannot bring up the loopback interface");
	else
		r = apply_dns_address(&nl, lo, m->dns_address, err);
	r2 = m->interface[0] ? apply_interface(&nl, m, &second) : 0;
	if (r == 0 && r2 < 0)
		*err = second;
	nl_close(&nl);
	return r < 0 ? r : r2;
}
