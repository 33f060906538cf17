/* guest/netconf/localhost.h - the process that shares loopback with the host */
#ifndef GUEST_NETCONF_LOCALHOST_H
#define GUEST_NETCONF_LOCALHOST_H

/* Runs until its channel to the service closes; called in a process of its own. @gateway is the host;
 * @host_loopback: enum host_loopback. */
_Noreturn void localhost_main(const char *gateway, unsigned host_loopback);

#endif
