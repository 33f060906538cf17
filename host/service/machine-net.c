/* host/service/machine-net.c - networkingMode, addresses, NET_CONFIG */
#include "service/machine-net.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "io/channel.h"
#include "service/host-resolver.h"

#define RESOLV_CONF   "/etc/resolv.conf"
#define UPSTREAM_CONF "/run/systemd/resolve/resolv.conf" /* behind a stub on loopback */

static const char *const mode_names[] = {
	[NETWORKING_NONE] = "None",         [NETWORKING_NAT] = "Nat",
	[NETWORKING_BRIDGED] = "Bridged",   [NETWORKING_MIRRORED] = "Mirrored",
	[NETWORKING_CONSOMME] = "Consomme",
};

static enum networking_mode fall_back(enum networking_mode from, enum networking_mode to,
				      ini_warn_fn warn, void *arg)
{
	auto_free char *text = str_printf("Failed to configure network (networkingMode %s), "
					  "falling back to networkingMode %s.",
					  mode_names[from], mode_names[to]);

	warn(text, arg);
	return to;
}

/* The mode there will be: what is not offered falls back as specified. */
static enum networking_mode mode_of(const struct settings *st, ini_warn_fn warn, void *arg)
{
	switch (st->networking_mode) {
	case NETWORKING_NONE:
	case NETWORKING_NAT:
	case NETWORKING_MIRRORED:
		return st->networking_mode;
	case NETWORKING_CONSOMME: /* user-mode network: what "nat" is here */
		return NETWORKING_NAT;
	case NETWORKING_BRIDGED:
		if (!st->vm_switch)
			warn("Bridged networking requires wsl2.vmSwitch to be set.", arg);
		return fall_back(NETWORKING_BRIDGED, NETWORKING_NONE, warn, arg);
	}
	return NETWORKING_NAT;
}

static void read_host(const struct machine_net *n, struct host_addresses *ret)
{
	host_addresses_read(ret);
	if (n->mode != NETWORKING_MIRRORED)
		ret->n4 = ret->n6 = ret->deprecated6 = 0;
}

void machine_net_choose(struct machine_net *ret, const struct settings *st, ini_warn_fn warn,
			void *arg)
{
	char address[INET_ADDRSTRLEN];

	*ret = (struct machine_net) {
		.mode = mode_of(st, warn, arg),
		.dns_tunneling = st->dns_tunneling,
		.dns_address = st->dns_tunneling_address,
		.localhost_forwarding = st->localhost_forwarding,
		.auto_proxy = st->auto_proxy,
		.host_address_loopback = st->host_address_loopback,
	};
	ret->inbound = ret->mode == NETWORKING_MIRRORED && !st->firewall;
	if (ret->mode == NETWORKING_MIRRORED && !ret->localhost_forwarding) {
		warn("The wsl2.localhostForwarding setting has no effect when using mirrored "
		     "networking mode",
		     arg);
		ret->localhost_forwarding = true;
	}
	port_set_parse(&ret->ignored, st->ignored_ports, warn, arg);
	if (st->dns_tunneling && ntohl(st->dns_tunneling_address) >> 24 == 127) {
		warn("experimental.dnsTunnelingIpAddress must not be a loopback address: DNS "
		     "tunneling is "
		     "off.",
		     arg);
		ret->dns_tunneling = false;
	}
	ret->dns_proxy = st->dns_proxy && !ret->dns_tunneling && ret->mode == NETWORKING_NAT;
	if (ret->mode == NETWORKING_NONE)
		return;
	if (!net_plan_probe(&ret->plan, st->mac_address))
		log_warn("the host's routes cover every address range the VM could have: using "
			 "%s/%u, hidden hosts cannot be reached from it",
			 inet_ntop(AF_INET, &ret->plan.network, address, sizeof(address)),
			 NET_PREFIX4);
	net_plan_format(&ret->plan, ret->text);
	read_host(ret, &ret->host); /* the first session may begin before gns asks */
}

const char *machine_net_mode(const struct machine_net *n)
{
	return n->mode == NETWORKING_NONE       ? "none"
	       : n->mode == NETWORKING_MIRRORED ? "mirrored"
						: "nat";
}

bool machine_net_copies_hosts(const struct machine_net *n)
{
	return n->mode != NETWORKING_NONE && !n->dns_tunneling;
}

void machine_net_describe(const struct machine_net *n, struct machine_net_texts *ret)
{
	const struct net_plan *p = &n->plan;
	const struct host_addresses *h = &n->host;

	*ret = (struct machine_net_texts) { .address4 = "" };
	if (n->mode == NETWORKING_NONE)
		return;
	inet_ntop(AF_INET, h->n4 ? &h->four[0] : &p->guest, ret->address4, sizeof(ret->address4));
	inet_ntop(AF_INET, &p->gateway, ret->gateway4, sizeof(ret->gateway4));
	if (p->ipv6 && h->ipv6)
		inet_ntop(AF_INET6, h->n6 ? &h->six[0] : &p->guest6, ret->address6,
			  sizeof(ret->address6));
	if (p->ipv6 && h->route6)
		inet_ntop(AF_INET6, &p->gateway6, ret->gateway6, sizeof(ret->gateway6));
	if (n->dns_tunneling) {
		inet_ntop(AF_INET, &n->dns_address, ret->tunnel, sizeof(ret->tunnel));
		memcpy(ret->nameserver, ret->tunnel, sizeof(ret->nameserver));
	} else if (n->dns_proxy) {
		inet_ntop(AF_INET, &p->nameserver, ret->nameserver, sizeof(ret->nameserver));
	}
}

/* --- what may change underneath --- */

bool machine_net_moved(const struct machine_net *n)
{
	struct host_addresses now;

	if (n->mode == NETWORKING_NONE)
		return false;
	read_host(n, &now);
	return !host_addresses_same(&now, &n->host);
}

static void resolv_conf_stat(struct stat *ret)
{
	if (stat(RESOLV_CONF, ret) < 0)
		memset(ret, 0, sizeof(*ret));
}

bool machine_net_stale(const struct machine_net *n)
{
	struct stat now;

	resolv_conf_stat(&now);
	return now.st_dev != n->resolv_conf.st_dev || now.st_ino != n->resolv_conf.st_ino ||
	       now.st_size != n->resolv_conf.st_size ||
	       now.st_mtim.tv_sec != n->resolv_conf.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != n->resolv_conf.st_mtim.tv_nsec;
}

/* --- NET_CONFIG --- */

struct addresses { /* "ADDRESS/PREFIX", for a message */
	unsigned n;
	const char *list[LIMIT_GUEST_ADDRESSES + 1];
	char texts[LIMIT_GUEST_ADDRESSES][INET6_ADDRSTRLEN + sizeof("/128")];
};

static void add_address(struct addresses *a, int family, const void *bytes, unsigned prefix)
{
	char *text = a->texts[a->n], address[INET6_ADDRSTRLEN];

	inet_ntop(family, bytes, address, sizeof(address));
	str_format(text, sizeof(a->texts[0]), "%s/%u", address, prefix);
	a->list[a->n++] = text;
}

/* The host's neighbours are behind the gateway, too: its addresses come without their networks. */
static void fill_addresses4(const struct machine_net *n, struct addresses *ret)
{
	for (unsigned i = 0; i < n->host.n4; i++)
		add_address(ret, AF_INET, &n->host.four[i], 32);
	if (!n->host.n4)
		add_address(ret, AF_INET, &n->plan.guest, NET_PREFIX4);
}

/* The guest's own address stays the last: by it the gateway is on the link. */
static void fill_addresses6(const struct machine_net *n, struct addresses *ret)
{
	if (!n->plan.ipv6 || !n->host.ipv6)
		return;
	for (unsigned i = 0; i < n->host.n6; i++)
		add_address(ret, AF_INET6, &n->host.six[i], 128);
	add_address(ret, AF_INET6, &n->plan.guest6, NET_PREFIX6);
}

void machine_net_send(struct machine_net *n, struct channel *gns)
{
	struct host_resolver host = { 0 };
	struct machine_net_texts t;
	struct addresses four = { 0 }, six = { 0 };
	const char *own[2] = { t.nameserver, NULL };
	struct msg_net_config m = {
		.mode = machine_net_mode(n),
		.interface = n->mode == NETWORKING_NONE ? "" : "eth0",
		.addresses4.list = four.list,
		.addresses6.list = six.list,
		.gateway4 = t.gateway4,
		.gateway6 = t.gateway6,
		.dns_address = t.tunnel,
	};

	if (n->mode != NETWORKING_NONE) {
		/* before they are read: a change meanwhile shows later */
		resolv_conf_stat(&n->resolv_conf);
		read_host(n, &n->host);
		fill_addresses4(n, &four);
		fill_addresses6(n, &six);
		m.deprecated6 = n->host.n6 ? n->host.deprecated6 + 1 : 0;
	}
	machine_net_describe(n, &t);
	if (n->mode != NETWORKING_NONE) {
		host_resolver_read(&host, RESOLV_CONF);
		if (!t.nameserver[0])
			host_resolver_for_guest(&host, UPSTREAM_CONF, t.gateway4, n->host.route6);
		m.search.list = (const char *const *)host.search;
		m.nameservers.list = t.nameserver[0] ? own : (const char *const *)host.nameservers;
		m.localhost_forwarding = n->localhost_forwarding;
		m.inbound = n->inbound;
		if (n->mode == NETWORKING_MIRRORED)
			m.host_loopback = n->host_address_loopback ? HOST_LOOPBACK_ADDRESSES
								   : HOST_LOOPBACK_SHARED;
		m.mtu = n->plan.mtu;
	}
	channel_send(gns, MSG_NET_CONFIG, channel_next_seq(gns), &m);
	host_resolver_done(&host);
}
