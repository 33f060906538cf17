/* guest/netconf/localhost.h - the process that lets the host reach ports of the guest's loopback */
#ifndef GUEST_NETCONF_LOCALHOST_H
#define GUEST_NETCONF_LOCALHOST_H

/* Runs until its channel to the service closes; called in a process of its own. */
_Noreturn void localhost_main(void);

#endif
