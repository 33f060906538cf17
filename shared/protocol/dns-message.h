/* shared/protocol/dns-message.h - the little that a DNS forwarder must know of messages (RFC 1035,
 * 6891) */
#ifndef SHARED_PROTOCOL_DNS_MESSAGE_H
#define SHARED_PROTOCOL_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEADER_BYTES 12u
#define DNS_UDP_MIN      512u
#define DNS_UDP_MAX      4096u /* what we send over UDP at the most */

/* A query worth forwarding: long enough and not a reply. */
bool dns_is_query(const uint8_t *m, size_t len);
uint16_t dns_id(const uint8_t *m);
void dns_set_id(uint8_t *m, uint16_t id);
/* The UDP payload size the sender can take: its OPT record's, within DNS_UDP_MIN..DNS_UDP_MAX. */
size_t dns_udp_limit(const uint8_t *m, size_t len);
/* Cuts a reply that is too long to header and question with TC set, or to the header alone if that
 * is still longer than DNS_UDP_MIN; returns its new length. */
size_t dns_truncate(uint8_t *m, size_t len);

#endif
