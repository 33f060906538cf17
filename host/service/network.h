/* host/service/network.h - the host's side of names and forwarded ports
 *
 * DNS streams of the guest go to one wslresolver process, started when the first comes. Ports the
 * guest listens on are opened on the host's loopback - at the addresses they have when machine_net
 * says inbound -, as this user, and handed to the relay; what cannot be opened is remembered with
 * its reason and shown by wsl --status.
 */
#ifndef HOST_SERVICE_NETWORK_H
#define HOST_SERVICE_NETWORK_H

#include <stdint.h>

struct channel;
struct network;
struct service;

struct network *network_new(struct service *s);
struct network *network_free(struct network *n);
/* Takes the stream. */
void network_dns_stream(struct network *n, int fd);
/* The guest's localhost process said hello on @c, which now belongs to the network. */
void network_localhost(struct network *n, struct channel *c);
/* The VM is gone: every port is closed, the resolver ended. */
void network_reset(struct network *n);
/* What wsl --status tells of ports: NULL-terminated arrays of "127.0.0.1:8080" and of sentences. */
struct network_ports {
	char **forwarded, **conflicts;
};
void network_ports(const struct network *n, struct network_ports *ret);
void network_ports_done(struct network_ports *p);

#endif
