/* host/net/fragment.h - IPv4 fragments of the guest are put together before anybody else sees them
 *
 * libslirp's own reassembly can be made to follow a wrong pointer. Fragments on this link keep their
 * order; a datagram with a gap, an overlap or a wrong end is dropped.
 */
#ifndef HOST_NET_FRAGMENT_H
#define HOST_NET_FRAGMENT_H

#include <stddef.h>
#include <stdint.h>

#define FRAGMENT_SLOTS 16u /* datagrams at a time; the oldest gives way */

struct fragments;

struct fragments *fragments_new(void);
struct fragments *fragments_free(struct fragments *f);

/* @frame: an Ethernet frame of @len bytes in a buffer of NET_FRAME_MAX. Returns the length of what
 * is there now: @len for all but fragments, that of the whole frame with the last fragment, 0 while
 * some are missing or when the datagram is dropped. */
size_t fragments_take(struct fragments *f, uint8_t *frame, size_t len);

#endif
