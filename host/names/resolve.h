/* host/names/resolve.h - one DNS query answered as the host itself would
 *
 * Order: /etc/hosts; for single-label and .local names the host's name service switch, when it has
 * more sources than files and DNS; else the query goes, byte by byte, to the servers of the host's
 * resolv.conf through the C library (its timeouts, retries, TCP for large answers). resolv.conf is
 * read anew when it changes, so a VPN's servers count from the next query on.
 */
#ifndef HOST_NAMES_RESOLVE_H
#define HOST_NAMES_RESOLVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct hosts;
struct resolver; /* one per thread */

#define DNS_MAX_BYTES 65535u

struct resolver *resolver_new(struct hosts *hosts);
struct resolver *resolver_free(struct resolver *r);

/* Always gives a reply when the query has a question (SERVFAIL when nobody could be asked); its length,
 * or -errno when the query is not worth an answer. Blocks as long as the C library's timeouts. */
ssize_t resolver_answer(struct resolver *r, const uint8_t *query, size_t len,
			uint8_t reply[static DNS_MAX_BYTES]);

#endif
