/* host/names/question.h - the one question of a DNS query (RFC 1035 section 4) */
#ifndef HOST_NAMES_QUESTION_H
#define HOST_NAMES_QUESTION_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DNS_HEADER_BYTES 12u
#define DNS_TYPE_A	 1u
#define DNS_TYPE_PTR	 12u
#define DNS_TYPE_AAAA	 28u
#define DNS_CLASS_IN	 1u

struct question {
	char name[256]; /* lower case, dotted, without the final dot; "" is the root */
	uint16_t type, qclass;
	size_t end; /* offset behind the question */
};

/* 0, or -EBADMSG when the bytes are no query with exactly one question. */
int question_parse(const uint8_t *query, size_t len, struct question *ret);

/* Starts a reply: header and question copied, QR, RA and @rcode set, all other counts zero. Its
 * length, or -EMSGSIZE. */
ssize_t reply_begin(const uint8_t *query, const struct question *q, unsigned rcode, uint8_t *reply,
		    size_t size);
/* Appends an answer whose owner is the question's name; returns the new length or -EMSGSIZE. */
ssize_t reply_add(uint8_t *reply, size_t len, size_t size, uint16_t type, uint32_t ttl,
		  const uint8_t *data, size_t data_len);
/* A name in wire form, uncompressed; its length or -EINVAL. */
ssize_t name_encode(const char *name, uint8_t *wire, size_t size);

#endif
