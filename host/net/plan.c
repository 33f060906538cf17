/* host/net/plan.c - choosing addresses that do not collide with the host's, and their text form */
#include "net/plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"

#define HOST_FILE_BYTES (4u << 20) /* a router's table; the rest of a larger one does not count */
#define LONG_PREFIX     16u /* such a route is somebody's network, not "everything private" */

/* Last bytes of the addresses. */
enum { AT_GATEWAY = 1, AT_NAMESERVER = 2, AT_GUEST = 15, AT_DHCP = 16 };

/* Not among Docker's, Podman's, Kubernetes' or libvirt's defaults: they run inside, too. */
static const char *const candidates4[] = {
	"10.213.77.0",  "10.214.113.0",  "10.179.31.0", "10.61.201.0",
	"172.16.213.0", "192.168.213.0", "198.18.77.0",
};

static const char *const candidates6[] = {
	"fd6c:7873:73d5:1::",
	"fd6c:7873:73d5:2::",
	"fd9a:31c7:5be2:1::",
	"fdc4:8e0f:92b1:1::",
};

static const uint8_t own_mac[6] = { 0x02, 0x6c, 0x78, 0x73, 0x73, 0x01 };

static uint32_t mask_of(unsigned prefix)
{
	return prefix ? ~0u << (32 - prefix) : 0;
}

/* --- collisions --- */

/* The longest prefix among the routes that overlap @net (host byte order); 0: none. */
static unsigned longest_overlap(const char *routes, uint32_t net)
{
	unsigned longest = 0;

	for (const char *line = routes; line && *line; line = strchr(line, '\n')) {
		unsigned dest, gateway, flags, mask, prefix;
		uint32_t common;

		line += *line == '\n';
		if (sscanf(line, "%*s %x %x %x %*u %*u %*u %x", &dest, &gateway, &flags, &mask) !=
		    4)
			continue;
		mask = ntohl(mask);
		common = mask & mask_of(NET_PREFIX4);
		prefix = (unsigned)__builtin_popcount(mask);
		if (prefix && ((ntohl(dest) ^ net) & common) == 0)
			longest = MAX(longest, prefix);
	}
	return longest;
}

static bool hex_to_in6(const char *hex, struct in6_addr *ret)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		ret->s6_addr[i] = (uint8_t)byte;
	}
	return true;
}

static bool same_bits(const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
	for (unsigned i = 0; i < bits; i++)
		if ((a->s6_addr[i / 8] ^ b->s6_addr[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

/* A line of /proc/net/ipv6_route: false when it is not one, or of the loopback interface. */
static bool parse_route6(const char *line, struct in6_addr *dest, unsigned *prefix)
{
	char hex[33], device[32];

	return sscanf(line, "%32[0-9a-f] %x %*s %*s %*s %*s %*s %*s %*s %31s", hex, prefix,
		      device) == 3 &&
	       strlen(hex) == 32 && *prefix <= 128 && !streq(device, "lo") && hex_to_in6(hex, dest);
}

static bool overlaps6(const char *routes, const struct in6_addr *net)
{
	for (const char *line = routes; line && *line; line = strchr(line, '\n')) {
		struct in6_addr dest;
		unsigned prefix;

		line += *line == '\n';
		if (parse_route6(line, &dest, &prefix) && prefix &&
		    same_bits(&dest, net, MIN(prefix, NET_PREFIX6)))
			return true;
	}
	return false;
}

/* --- the choice --- */

static struct in_addr at4(struct in_addr net, unsigned last)
{
	return (struct in_addr) { htonl(ntohl(net.s_addr) | last) };
}

static struct in6_addr at6(struct in6_addr net, unsigned last)
{
	net.s6_addr[15] = (uint8_t)last;
	return net;
}

static void fill_addresses(struct net_plan *p)
{
	p->gateway = at4(p->network, AT_GATEWAY);
	p->nameserver = at4(p->network, AT_NAMESERVER);
	p->guest = at4(p->network, AT_GUEST);
	p->dhcp = at4(p->network, AT_DHCP);
	if (!p->ipv6)
		return;
	p->gateway6 = at6(p->network6, AT_GATEWAY);
	p->nameserver6 = at6(p->network6, AT_NAMESERVER);
	p->guest6 = at6(p->network6, AT_GUEST);
}

static bool choose4(struct net_plan *p, const char *routes)
{
	unsigned best = 33;

	for (size_t i = 0; i < ARRAY_SIZE(candidates4) && best; i++) {
		struct in_addr net;
		unsigned overlap;

		inet_pton(AF_INET, candidates4[i], &net);
		overlap = longest_overlap(routes, ntohl(net.s_addr));
		if (best == 33 || overlap == 0 || (best >= LONG_PREFIX && overlap < LONG_PREFIX)) {
			best = overlap;
			p->network = net;
		}
	}
	return best == 0;
}

static void choose6(struct net_plan *p, const char *routes)
{
	for (size_t i = 0; i < ARRAY_SIZE(candidates6) && !p->ipv6; i++) {
		inet_pton(AF_INET6, candidates6[i], &p->network6);
		p->ipv6 = !overlaps6(routes, &p->network6);
	}
}

bool net_plan_choose(struct net_plan *ret, const struct net_host *host, const uint8_t mac[6])
{
	static const uint8_t none[6];
	struct net_plan p = { .mtu = NET_MTU_MAX };
	bool clear = choose4(&p, host->routes);

	choose6(&p, host->routes6);
	memcpy(p.mac, memcmp(mac, none, sizeof(none)) ? mac : own_mac, sizeof(p.mac));
	fill_addresses(&p);
	*ret = p;
	return clear;
}

bool net_plan_probe(struct net_plan *ret, const uint8_t mac[6])
{
	auto_free char *routes = NULL, *routes6 = NULL;

	read_file_at(AT_FDCWD, "/proc/net/route", HOST_FILE_BYTES, &routes, NULL);
	read_file_at(AT_FDCWD, "/proc/net/ipv6_route", HOST_FILE_BYTES, &routes6, NULL);
	return net_plan_choose(ret, &(struct net_host) { routes, routes6 }, mac);
}

/* --- text --- */

void net_plan_format(const struct net_plan *plan, char text[NET_PLAN_TEXT])
{
	char net[INET_ADDRSTRLEN], net6[INET6_ADDRSTRLEN] = "-";
	const uint8_t *m = plan->mac;

	inet_ntop(AF_INET, &plan->network, net, sizeof(net));
	if (plan->ipv6)
		inet_ntop(AF_INET6, &plan->network6, net6, sizeof(net6));
	str_format(text, NET_PLAN_TEXT, "%s,%s,%u,%02x:%02x:%02x:%02x:%02x:%02x", net, net6,
		   plan->mtu, m[0], m[1], m[2], m[3], m[4], m[5]);
}

static int parse_mac(const char *text, uint8_t mac[6])
{
	int used = 0;

	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2],
		   &mac[3], &mac[4], &mac[5], &used) != 6 ||
	    text[used])
		return -EINVAL;
	return mac[0] & 1 ? -EINVAL : 0; /* a group address */
}

int net_plan_parse(const char *text, struct net_plan *ret)
{
	char net[INET_ADDRSTRLEN], net6[INET6_ADDRSTRLEN], mtu[8], mac[24];
	struct net_plan p = { 0 };

	if (sscanf(text, "%15[^,],%45[^,],%7[^,],%23s", net, net6, mtu, mac) != 4 ||
	    inet_pton(AF_INET, net, &p.network) != 1 || parse_u32(mtu, &p.mtu) < 0 ||
	    p.mtu < NET_MTU_MIN || p.mtu > NET_MTU_MAX || parse_mac(mac, p.mac) < 0)
		return -EINVAL;
	p.ipv6 = !streq(net6, "-");
	if (p.ipv6 && inet_pton(AF_INET6, net6, &p.network6) != 1)
		return -EINVAL;
	if ((ntohl(p.network.s_addr) & ~mask_of(NET_PREFIX4)) || p.network6.s6_addr[15])
		return -EINVAL;
	fill_addresses(&p);
	*ret = p;
	return 0;
}
