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
#include "common/log.h"
#include "common/util.h"
#include "io/netlink.h"
#include "protocol/message.h"

#define MAX_STALE 32u /* addresses or routes found to remove at a time */

struct address {
	uint8_t family, prefix, len;
	uint8_t bytes[16];
};

struct wanted { /* of one interface and family */
	unsigned index;
	struct address address, gateway; /* len 0: none */
};

static int parse_address(int family, const char *text, uint32_t prefix, struct address *ret)
{
	*ret = (struct address) { .family = (uint8_t)family };
	if (!*text)
		return 0;
	ret->len = family == AF_INET ? 4 : 16;
	if (prefix > 8u * ret->len || inet_pton(family, text, ret->bytes) != 1)
		return -EINVAL;
	ret->prefix = (uint8_t)prefix;
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
	return nl_ask(nl);
}

struct found {
	const struct wanted *wanted;
	bool there; /* what is wanted */
	unsigned n;
	struct address stale[MAX_STALE];
};

static int see_address(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	struct found *f = arg;
	const struct address *want = &f->wanted->address;
	struct address a = { .family = want->family, .len = want->family == AF_INET ? 4 : 16 };
	const void *bytes;

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) ||
	    m->ifa_index != f->wanted->index || m->ifa_family != a.family ||
	    m->ifa_scope != RT_SCOPE_UNIVERSE)
		return 0;
	bytes = nl_attr(h, sizeof(*m), IFA_LOCAL, a.len);
	if (!bytes)
		bytes = nl_attr(h, sizeof(*m), IFA_ADDRESS, a.len);
	if (!bytes)
		return 0;
	memcpy(a.bytes, bytes, a.len);
	a.prefix = m->ifa_prefixlen;
	if (want->len && a.prefix == want->prefix && memcmp(a.bytes, want->bytes, a.len) == 0)
		f->there = true;
	else if (f->n < MAX_STALE)
		f->stale[f->n++] = a;
	return 0;
}

static int apply_address(struct nl *nl, const struct wanted *w)
{
	struct found f = { .wanted = w };
	struct ifaddrmsg *m = nl_begin(nl, RTM_GETADDR, 0, sizeof(*m));
	int r;

	m->ifa_family = w->address.family;
	r = nl_list(nl, see_address, &f);
	if (r == 0 && w->address.len && !f.there)
		r = change_address(nl, true, w->index, &w->address);
	for (unsigned i = 0; i < f.n && r == 0; i++)
		r = change_address(nl, false, w->index, &f.stale[i]);
	return r;
}

/* --- routes --- */

static int change_route(struct nl *nl, bool add, unsigned index, const struct address *gateway)
{
	struct rtmsg *m = nl_begin(nl, add ? RTM_NEWROUTE : RTM_DELROUTE,
				   add ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*m));

	m->rtm_family = gateway->family;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_scope = add ? RT_SCOPE_UNIVERSE : RT_SCOPE_NOWHERE;
	m->rtm_type = RTN_UNICAST;
	m->rtm_flags = add ? RTNH_F_ONLINK : 0;
	nl_put(nl, RTA_GATEWAY, gateway->bytes, gateway->len);
	nl_put_u32(nl, RTA_OIF, index);
	return nl_ask(nl);
}

/* Default routes of ours on this interface. */
static int see_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = NLMSG_DATA(h);
	struct found *f = arg;
	const struct address *want = &f->wanted->gateway;
	struct address a = { .family = want->family, .len = want->family == AF_INET ? 4 : 16 };
	const void *gateway, *oif;
	uint32_t index;

	if (h->nlmsg_type != RTM_NEWROUTE || h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) ||
	    m->rtm_family != a.family || m->rtm_table != RT_TABLE_MAIN || m->rtm_dst_len ||
	    m->rtm_protocol != RTPROT_STATIC)
		return 0;
	gateway = nl_attr(h, sizeof(*m), RTA_GATEWAY, a.len);
	oif = nl_attr(h, sizeof(*m), RTA_OIF, sizeof(index));
	if (!gateway || !oif)
		return 0;
	memcpy(&index, oif, sizeof(index));
	memcpy(a.bytes, gateway, a.len);
	if (index != f->wanted->index)
		return 0;
	if (want->len && memcmp(a.bytes, want->bytes, a.len) == 0)
		f->there = true;
	else if (f->n < MAX_STALE)
		f->stale[f->n++] = a;
	return 0;
}

static int apply_route(struct nl *nl, const struct wanted *w)
{
	struct found f = { .wanted = w };
	struct rtmsg *m = nl_begin(nl, RTM_GETROUTE, 0, sizeof(*m));
	int r;

	m->rtm_family = w->gateway.family;
	r = nl_list(nl, see_route, &f);
	for (unsigned i = 0; i < f.n && r == 0; i++)
		r = change_route(nl, false, w->index, &f.stale[i]);
	if (r == 0 && w->gateway.len && !f.there)
		r = change_route(nl, true, w->index, &w->gateway);
	return r;
}

/* --- all of it --- */

static int apply_family(struct nl *nl, unsigned index, int family, const char *address,
			uint32_t prefix, const char *gateway, struct err *err)
{
	const char *name = family == AF_INET ? "IPv4" : "IPv6";
	struct wanted w = { .index = index };
	int r;

	if (parse_address(family, address, prefix, &w.address) < 0 ||
	    parse_address(family, gateway, 0, &w.gateway) < 0)
		return err_set(err, -EINVAL, "'%s/%u' or '%s' is not an %s address", address,
			       prefix, gateway, name);
	r = apply_address(nl, &w);
	if (r == -EAFNOSUPPORT || (r == -EOPNOTSUPP && !w.address.len))
		return 0; /* a kernel without IPv6 */
	if (r < 0)
		return err_code(err, r, "cannot set the %s address '%s'", name, address);
	r = apply_route(nl, &w);
	return r < 0 ? err_code(err, r, "cannot set the %s gateway '%s'", name, gateway) : 0;
}

static int apply_interface(struct nl *nl, const struct msg_net_config *m, struct err *err)
{
	unsigned index = if_nametoindex(m->interface);
	struct err second = ERR_INIT;
	int r, r6;

	if (!index)
		return err_errno(err, "there is no interface '%s'", m->interface);
	quiet_autoconfiguration(m->interface);
	r = set_link(nl, index, m->mtu);
	if (r < 0)
		return err_code(err, r, "cannot bring up '%s' with an MTU of %u", m->interface,
				m->mtu);
	r = apply_family(nl, index, AF_INET, m->address4, m->prefix4, m->gateway4, err);
	r6 = apply_family(nl, index, AF_INET6, m->address6, m->prefix6, m->gateway6, &second);
	if (r == 0 && r6 < 0)
		*err = second;
	return r < 0 ? r : r6;
}

/* The resolver's address belongs to no network; other namespaces of this machine route to it. */
static int apply_dns_address(struct nl *nl, unsigned lo, const char *text, struct err *err)
{
	struct address a;
	int r = parse_address(AF_INET, text, 32, &a);

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
