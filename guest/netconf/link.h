/* guest/netconf/link.h - interfaces, addresses and routes as NET_CONFIG wants them
 *
 * Applying the same configuration again changes nothing; a different one replaces the addresses and
 * routes of an earlier one. What others have added to the interface (proto "static" default routes
 * aside) is left alone.
 */
#ifndef GUEST_NETCONF_LINK_H
#define GUEST_NETCONF_LINK_H

struct err;
struct msg_net_config;

/* 0 or -errno with *err filled; what can be applied is applied all the same. */
int link_apply(const struct msg_net_config *m, struct err *err);

#endif
