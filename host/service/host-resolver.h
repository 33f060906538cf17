/* host/service/host-resolver.h - name servers and search list of the host's resolv.conf(5) */
#ifndef HOST_SERVICE_HOST_RESOLVER_H
#define HOST_SERVICE_HOST_RESOLVER_H

#include <stdbool.h>

#define HOST_MAX_SERVERS 3
#define HOST_MAX_SEARCH  32

struct host_resolver { /* both NULL-terminated */
	char *nameservers[HOST_MAX_SERVERS + 1];
	char *search[HOST_MAX_SEARCH + 1];
};

/* A missing or unreadable file gives empty lists. */
void host_resolver_read(struct host_resolver *ret, const char *path);
/* Makes servers on the host's loopback reachable from the guest, without a tunnel: 127.0.0.1 and ::1
 * become the gateway, which leads there; for another one (a stub such as 127.0.0.53) the servers in
 * @upstream_path, if it exists, come instead. IPv6 servers stay if @ipv6. */
void host_resolver_for_guest(struct host_resolver *r, const char *upstream_path,
			     const char *gateway, bool ipv6);
void host_resolver_done(struct host_resolver *r);

#endif
