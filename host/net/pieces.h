/* host/net/pieces.h - bytes between two lists of segments */
#ifndef HOST_NET_PIECES_H
#define HOST_NET_PIECES_H

#include <stddef.h>
#include <sys/uio.h>

struct pieces {
	const struct iovec *iov;
	unsigned n;
	size_t skip; /* bytes before the first one that matters */
};

/* Copies at most @len bytes; returns how many there were room and content for. */
size_t pieces_copy(struct pieces to, struct pieces from, size_t len);

#endif
