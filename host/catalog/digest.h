/* host/catalog/digest.h - SHA-256 while bytes stream by */
#ifndef HOST_CATALOG_DIGEST_H
#define HOST_CATALOG_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct digest;

#define DIGEST_BYTES     32u
#define DIGEST_HEX_BYTES (2 * DIGEST_BYTES + 1)

struct digest *digest_new(void); /* NULL: out of memory */
struct digest *digest_free(struct digest *d);
void digest_reset(struct digest *d);
void digest_update(struct digest *d, const void *data, size_t len);
/* Lower-case; ends the digest: reset it for another. */
void digest_hex(struct digest *d, char ret[DIGEST_HEX_BYTES]);
/* Adds the next @len bytes of @fd; 0 or -errno (-ENODATA: the file is shorter). */
int digest_read(struct digest *d, int fd, uint64_t len);

/* The canonical form of a hash in a manifest: optional 0x, any case, whole bytes. Fresh memory.
 * ERR_E_INVALIDARG "Invalid hex string: X". */
int digest_parse(const char *text, char **ret, struct err *err);
/* Compares with digest_parse()'s result. ERR_TRUST_E_BAD_DIGEST with context VerifyChecksum. */
int digest_check(const char *expected, const char *actual, struct err *err);

#endif
