/* host/catalog/fetch.h - HTTP: small texts, and large files that survive interruptions
 *
 * http and https only, also after redirects, of which a few are followed; https never falls back to
 * http. Proxies come from the environment (http_proxy, https_proxy, no_proxy).
 */
#ifndef HOST_CATALOG_FETCH_H
#define HOST_CATALOG_FETCH_H

#include <stddef.h>
#include <stdint.h>

struct catalog_progress;
struct err;

/* A text of at most @max bytes, within seconds or not at all; no cache in between is asked. The
 * error text is the bare reason. */
int fetch_text(const char *url, size_t max, char **ret, size_t *ret_len, struct err *err);

/*
 * Downloads into the directory @dirfd and returns a descriptor of the complete file, positioned at
 * its start, whose name is gone already. What an interrupted call left there (<key>.partial with
 * <key>.info) is continued if the server still has the same file. Transient failures are retried.
 * @sha256: digest_parse()'s form, or NULL; a file with another hash is removed.
 * Concurrent downloads of one URL wait for each other.
 */
int fetch_file(int dirfd, const char *url, const char *sha256,
	       const struct catalog_progress *progress, int *ret_fd, struct err *err);

/* First pause before a retry, doubled by each; tests shorten it. */
extern unsigned fetch_retry_ms;

#endif
