/* host/net/unreachable.h - tells the guest that a host or network it connects to cannot be reached */
#ifndef HOST_NET_UNREACHABLE_H
#define HOST_NET_UNREACHABLE_H

#include "net/segment.h"

#define UNREACHABLE_MAX SEGMENT_HEADERS_MAX

/* Writes the ICMP error of @router, IPv4 addresses in their mapped form, that answers the guest's
 * @syn. @error: EHOSTUNREACH or ENETUNREACH. Returns the number of bytes. */
size_t unreachable_build(const struct segment *syn, const struct in6_addr *router, int error,
			 uint8_t out[UNREACHABLE_MAX]);

#endif
