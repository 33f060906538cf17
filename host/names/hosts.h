/* host/names/hosts.h - answers from the host's /etc/hosts
 *
 * Files     hosts(5), read anew whenever it changes; at most HOSTS_MAX_BYTES, beyond that unused.
 * Questions A, AAAA and PTR of class IN; DNS wire format as in RFC 1035.
 * Threads   calls are serialised inside.
 */
#ifndef HOST_NAMES_HOSTS_H
#define HOST_NAMES_HOSTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HOSTS_MAX_BYTES (8u << 20)

struct hosts;

/* @path is kept, not copied. NULL when memory is out. */
struct hosts *hosts_new(const char *path);
struct hosts *hosts_free(struct hosts *h);

/* Writes the reply to @query into @reply. Its length; 0: the file knows nothing of this name and type
 * (ask elsewhere); -errno. A name the file knows with the other address family only gets an empty
 * answer, as the C library would give. */
ssize_t hosts_answer(struct hosts *h, const uint8_t *query, size_t query_len, uint8_t *reply,
		     size_t reply_size);

#endif
