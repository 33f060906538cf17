/* guest/netconf/dns.h - the name server of the VM: a tunnel to the host's resolver
 *
 * Listens on one address, port 53, UDP and TCP, and carries each query over one vsock stream to the
 * host (VSOCK_PORT_DNS; DNS messages with a 2-byte length, RFC 1035 section 4.2.2). All record
 * types pass; nothing is cached.
 */
#ifndef GUEST_NETCONF_DNS_H
#define GUEST_NETCONF_DNS_H

struct dns;
struct loop;

/* @address: dotted quad, already on an interface. NULL with errno set when it cannot listen. */
struct dns *dns_new(struct loop *loop, const char *address);
struct dns *dns_free(struct dns *d);

#endif
