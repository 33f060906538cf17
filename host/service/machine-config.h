/* host/service/machine-config.h - facts about the host that the guest is told */
#ifndef HOST_SERVICE_MACHINE_CONFIG_H
#define HOST_SERVICE_MACHINE_CONFIG_H

char *host_name(void); /* fresh memory, without the domain */
char *host_domain(void); /* fresh memory, "localdomain" when there is none */
char *host_timezone(void); /* "Europe/Rome", fresh memory; "" when it cannot be told */

#endif
