/* host/net/pieces.c - bytes between two lists of segments */
#include "net/pieces.h"

#include <stdbool.h>
#include <string.h>

#include "common/util.h"

/* Steps over what is used up; false: nothing is left. */
static bool settle(struct pieces *p)
{
	while (p->n && p->skip >= p->iov->iov_len) {
		p->skip -= p->iov->iov_len;
		p->iov++;
		p->n--;
	}
	return p->n;
}

size_t pieces_copy(struct pieces to, struct pieces from, size_t len)
{
	size_t done = 0;

	while (done < len && settle(&to) && settle(&from)) {
		size_t part = MIN(to.iov->iov_len - to.skip, from.iov->iov_len - from.skip);

		part = MIN(part, len - done);
		memcpy((char *)to.iov->iov_base + to.skip,
		       (const char *)from.iov->iov_base + from.skip, part);
		to.skip += part;
		from.skip += part;
		done += part;
	}
	return done;
}
