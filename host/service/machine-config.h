/* host/service/machine-config.h - facts about the host that the guest is told */
#ifndef HOST_SERVICE_MACHINE_CONFIG_H
#define HOST_SERVICE_MACHINE_CONFIG_H

#include <stdbool.h>

char *host_name(void); /* fresh memory, without the domain */
char *host_domain(void); /* fresh memory, "localdomain" when there is none */
/* The entries of a hosts file that are of use elsewhere, "address<TAB>name..." lines: comments,
 * loopback and multicast left out. Fresh memory; "" (and *ret_large) beyond LIMIT_HOSTS_BYTES. */
char *host_hosts(const char *path, bool *ret_large);
char *host_timezone(void); /* "Europe/Rome", fresh memory; "" when it cannot be told */

#endif
