/* host/net/plan.h - which addresses the virtual network of a VM has
 *
 * A plan is chosen by wslservice, handed to wslrelay as one word of text, and told to the guest in
 * NET_CONFIG. All of it lies in one IPv4 /24 and one IPv6 /64 that no route of the host covers, so
 * that every host the user can reach stays reachable from the guest.
 */
#ifndef HOST_NET_PLAN_H
#define HOST_NET_PLAN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_MTU_MIN   1280u
#define NET_MTU_MAX   65520u
#define NET_PREFIX4   24u
#define NET_PREFIX6   64u
#define NET_PLAN_TEXT 128u

struct net_plan {
	struct in_addr network, gateway, nameserver, guest, dhcp; /* network byte order */
	struct in6_addr network6, gateway6, nameserver6, guest6;
	bool ipv6; /* there is a network6, whether or not the host speaks IPv6 now */
	uint32_t mtu;
	uint8_t mac[6];
};

/* What the choice depends on: the contents of /proc/net/{route,ipv6_route}; NULL: no such file. */
struct net_host {
	const char *routes, *routes6;
};

/* Always finds a plan; false when its IPv4 network could not be kept clear of the host's routes:
 * then only a route of 16 bits or more is avoided, if that is possible. @mac: all zero for ours. */
bool net_plan_choose(struct net_plan *ret, const struct net_host *host, const uint8_t mac[6]);
/* The same with this host's files. */
bool net_plan_probe(struct net_plan *ret, const uint8_t mac[6]);

/* "NETWORK4,NETWORK6,MTU,MAC": NETWORK6 is "-" without IPv6. */
void net_plan_format(const struct net_plan *plan, char text[NET_PLAN_TEXT]);
int net_plan_parse(const char *text, struct net_plan *ret); /* -EINVAL */

#endif
