/* guest/netconf/gns.h - the guest's network daemon, one per VM */
#ifndef GUEST_NETCONF_GNS_H
#define GUEST_NETCONF_GNS_H

#include <sys/types.h>

/* Forks it in the caller's namespaces. Returns its pid or -errno. It ends with status 0 when the
 * host has no work for it. */
pid_t gns_start(void);

#endif
