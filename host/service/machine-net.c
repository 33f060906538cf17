/* host/service/machine-net.c - networkingMode, addresses, NET_CONFIG */
#include "service/machine-net.h"

#include <arpa/inet.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "io/channel.h"
#include "service/host-resolver.h"

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
		return st->networking_mode;
	case NETWORKING_CONSOMME: /* user-mode network: what "nat" is here */
		return NETWORKING_NAT;
	case NETWORKING_MIRRORED:
		warn("Mirrored networking mode is not supported: the host's interfaces cannot be "
		     "shared with the VM.\nFalling back to NAT networking.",
		     arg);
		return NETWORKING_NAT;
	case NETWORKING_BRIDGED:
		if (!st->vm_switch)
			warn("Bridged networking requires wsl2.vmSwitch to be set.", arg);
		return fall_back(NETWORKING_BRIDGED, NETWORKING_NONE, warn, arg);
	}
	return NETWORKING_NAT;
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
	};
	if (ret->mode == NETWORKING_NONE)
		return;
	if (!net_plan_probe(&ret->plan, st->mac_address))
		log_warn("the host's routes cover every address range the VM could have: using "
			 "%s/%u, hidden hosts cannot be reached from it",
			 inet_ntop(AF_INET, &ret->plan.network, address, sizeof(address)),
			 NET_PREFIX4);
	net_plan_format(&ret->plan, ret->text);
}

void machine_net_send(const struct machine_net *n, struct channel *gns)
{
	const struct net_plan *p = &n->plan;
	char address4[INET_ADDRSTRLEN], gateway4[INET_ADDRSTRLEN];
	char address6[INET6_ADDRSTRLEN] = "", gateway6[INET6_ADDRSTRLEN] = "";
	char tunnel[INET_ADDRSTRLEN];
	struct host_resolver host = { 0 };
	const char *own[2] = { NULL, NULL };
	struct msg_net_config m = { .mode = "none",
				    .interface = "",
				    .address4 = "",
				    .gateway4 = "",
				    .address6 = "",
				    .gateway6 = "",
				    .dns_address = "" };

	if (n->mode != NETWORKING_NONE) {
		host_resolver_read(&host, "/etc/resolv.conf");
		m.search.list = (const char *const *)host.search;
		m.nameservers.list = (const char *const *)host.nameservers;
		m.localhost_forwarding = n->localhost_forwarding;
		if (n->dns_tunneling) {
			own[0] = m.dns_address = inet_ntop(AF_INET, &n->dns_address, tunnel, sizeof(tunnel));
			m.nameservers.list = own;
		}
		m.mode = "nat";
		m.interface = "eth0";
		m.address4 = inet_ntop(AF_INET, &p->guest, address4, sizeof(address4));
		m.gateway4 = inet_ntop(AF_INET, &p->gateway, gateway4, sizeof(gateway4));
		m.prefix4 = NET_PREFIX4;
		m.mtu = p->mtu;
		if (p->ipv6) {
			m.address6 = inet_ntop(AF_INET6, &p->guest6, address6, sizeof(address6));
			m.prefix6 = NET_PREFIX6;
		}
		if (p->ipv6_route)
			m.gateway6 = inet_ntop(AF_INET6, &p->gateway6, gateway6, sizeof(gateway6));
	}
	channel_send(gns, MSG_NET_CONFIG, channel_next_seq(gns), &m);
	host_resolver_done(&host);
}
