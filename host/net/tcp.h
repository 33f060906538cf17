/* host/net/tcp.h - the guest's TCP connections, ended here and continued on host sockets
 *
 * Takes the segments of connections it can serve; others (and those whose host socket fails at
 * once, for the error to become ICMP) are left to the general stack.
 */
#ifndef HOST_NET_TCP_H
#define HOST_NET_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "net/segment.h"
#include "net/stack.h"

struct loop;
struct names;
struct net_plan;
struct tcp;

/* Sends a segment to the guest: @headers as segment_build() made them, their checksum still open,
 * then @payload. @mss not 0: to be cut into segments of that size. False: no room, nothing
 * sent. */
typedef bool (*tcp_output_fn)(void *arg, const struct segment *s, const uint8_t *headers,
			      size_t header_bytes, const struct iovec *payload, unsigned n,
			      uint16_t mss);

struct tcp_limits {
	unsigned connections;              /* at most; beyond, SYN is dropped */
	bool segmentation4, segmentation6; /* the guest takes segments larger than its MSS */
};

/* @names: borrowed; NULL: nobody answers at the name server's address. @output_frame: for whole frames
 * that are no segments, which can wait. */
struct tcp *tcp_new(struct loop *loop, const struct net_plan *plan, struct names *names,
		    tcp_output_fn output, stack_output_fn output_frame, void *arg);
struct tcp *tcp_free(struct tcp *t);
void tcp_limit(struct tcp *t, const struct tcp_limits *limits);

/* One segment with its payload, which may lie in guest memory. False: not ours. */
bool tcp_input(struct tcp *t, const struct segment *s, const struct iovec *payload, unsigned n);
/* Works on connections that have something to do; true: there is more. Stops when the guest has no
 * room, until the next call. */
bool tcp_run(struct tcp *t);
unsigned tcp_connections(const struct tcp *t);
void tcp_reset_all(struct tcp *t); /* the guest is gone */

#endif
