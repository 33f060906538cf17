/* host/catalog/digest.c - SHA-256 by libcrypto */
#include "catalog/digest.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"

struct digest {
	EVP_MD_CTX *ctx;
};

struct digest *digest_new(void)
{
	struct digest *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx)
		return digest_free(d);
	digest_reset(d);
	return d;
}

struct digest *digest_free(struct digest *d)
{
	if (d) {
		EVP_MD_CTX_free(d->ctx);
		free(d);
	}
	return NULL;
}

/* These can only fail for a library without SHA-256, or without memory. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

void digest_reset(struct digest *d)
{
	must(EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL));
}

void digest_update(struct digest *d, const void *data, size_t len)
{
	must(EVP_DigestUpdate(d->ctx, data, len));
}

void digest_hex(struct digest *d, char ret[DIGEST_HEX_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char md[EVP_MAX_MD_SIZE];

	must(EVP_DigestFinal_ex(d->ctx, md, NULL));
	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		ret[2 * i] = digits[md[i] >> 4];
		ret[2 * i + 1] = digits[md[i] & 15];
	}
	ret[2 * DIGEST_BYTES] = '\0';
}

int digest_read(struct digest *d, int fd, uint64_t len)
{
	const size_t room = 256 * KIB;
	auto_free char *buf = malloc(room);

	if (!buf)
		return -ENOMEM;
	while (len > 0) {
		ssize_t n = read(fd, buf, MIN(len, (uint64_t)room));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		digest_update(d, buf, (size_t)n);
		len -= (uint64_t)n;
	}
	return 0;
}

int digest_parse(const char *text, char **ret, struct err *err)
{
	const char *s = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? text + 2 : text;
	size_t n = strspn(s, "0123456789abcdefABCDEF");
	char *hex;

	if (s[n] || n % 2 || n == 0)
		return err_id(err, ERR_E_INVALIDARG, "Invalid hex string: %s", text);
	hex = str_dup(s);
	for (char *c = hex; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	*ret = hex;
	return 0;
}

int digest_check(const char *expected, const char *actual, struct err *err)
{
	if (streq(expected, actual))
		return 0;
	err_id(err, ERR_TRUST_E_BAD_DIGEST,
	       "The distribution hash doesn't match. Expected: 0x%s, actual hash: 0x%s", expected,
	       actual);
	err_context(err, "VerifyChecksum");
	return -EBADMSG;
}
