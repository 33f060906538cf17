/* host/service/machine-net.h - the network of the VM: chosen at its start, told to its gns
 *
 * Errors  none: what cannot be had becomes a warning, and the next simpler mode. The VM starts.
 */
#ifndef HOST_SERVICE_MACHINE_NET_H
#define HOST_SERVICE_MACHINE_NET_H

#include "common/ini.h"
#include "config/settings.h"
#include "net/plan.h"

struct channel;

struct machine_net {
	enum networking_mode mode; /* in use: NETWORKING_NONE or NETWORKING_NAT */
	bool dns_tunneling, localhost_forwarding;
	uint32_t dns_address; /* of the tunnel, network byte order */
	struct net_plan plan;      /* with NETWORKING_NAT */
	char text[NET_PLAN_TEXT];  /* of the plan, for the relay */
};

void machine_net_choose(struct machine_net *ret, const struct settings *st, ini_warn_fn warn,
			void *arg);
/* NET_CONFIG, to gns. */
void machine_net_send(const struct machine_net *n, struct channel *gns);

#endif
