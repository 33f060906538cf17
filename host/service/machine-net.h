/* host/service/machine-net.h - the network of the VM: chosen at its start, told to its gns
 *
 * Errors  none: what cannot be had becomes a warning, and the next simpler mode. The VM starts.
 */
#ifndef HOST_SERVICE_MACHINE_NET_H
#define HOST_SERVICE_MACHINE_NET_H

#include <stdbool.h>
#include <sys/stat.h>

#include "common/ini.h"
#include "config/settings.h"
#include "net/plan.h"
#include "service/host-addresses.h"
#include "service/port-set.h"

struct channel;

struct machine_net_texts { /* "": that there is not */
	char address4[INET_ADDRSTRLEN], gateway4[INET_ADDRSTRLEN], tunnel[INET_ADDRSTRLEN];
	char address6[INET6_ADDRSTRLEN], gateway6[INET6_ADDRSTRLEN];
	char nameserver[INET_ADDRSTRLEN]; /* "": the host's own */
};

struct machine_net {
	enum networking_mode mode; /* in use: NETWORKING_NONE, _NAT or _MIRRORED */
	bool dns_tunneling, localhost_forwarding, auto_proxy;
	bool dns_proxy;           /* without a tunnel: the network's name server is the guest's */
	uint32_t dns_address;     /* of the tunnel, network byte order */
	struct net_plan plan;     /* with NETWORKING_NAT */
	char text[NET_PLAN_TEXT]; /* of the plan, for the relay */
	bool host_address_loopback;
	bool inbound; /* ports of the guest are open to other machines as its programs have them */
	struct port_set ignored; /* ports that are not forwarded */
	/* as they were when gns was told */
	struct host_addresses host; /* without addresses unless mirrored */
	struct stat resolv_conf;    /* zero: there was none */
};

void machine_net_choose(struct machine_net *ret, const struct settings *st, ini_warn_fn warn,
			void *arg);
const char *machine_net_mode(const struct machine_net *n); /* "none", "nat", "mirrored" */
void machine_net_describe(const struct machine_net *n, struct machine_net_texts *ret);
/* Without a tunnel the host's hosts file is copied. */
bool machine_net_copies_hosts(const struct machine_net *n);
/* NET_CONFIG, to gns. */
void machine_net_send(struct machine_net *n, struct channel *gns);
/* Has the host's resolv.conf become another one since? */
bool machine_net_stale(const struct machine_net *n);
/* Or what the guest has of its addresses and routes? */
bool machine_net_moved(const struct machine_net *n);

#endif
