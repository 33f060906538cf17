/* host/service/host-resolver.h - name servers and search list of the host's resolv.conf(5) */
#ifndef HOST_SERVICE_HOST_RESOLVER_H
#define HOST_SERVICE_HOST_RESOLVER_H

#define HOST_MAX_SERVERS 3
#define HOST_MAX_SEARCH	 32

struct host_resolver { /* both NULL-terminated */
	char *nameservers[HOST_MAX_SERVERS + 1];
	char *search[HOST_MAX_SEARCH + 1];
};

/* A missing or unreadable file gives empty lists. */
void host_resolver_read(struct host_resolver *ret, const char *path);
void host_resolver_done(struct host_resolver *r);

#endif
