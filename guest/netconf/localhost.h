/* guest/netconf/localhost.h - the process that shares loopback with the host */
#ifndef GUEST_NETCONF_LOCALHOST_H
#define GUEST_NETCONF_LOCALHOST_H

struct msg_net_config;

/* Runs until its channel to the service closes; called in a process of its own. */
_Noreturn void localhost_main(const struct msg_net_config *m);

#endif
