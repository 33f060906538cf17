/* tests/fuzz/fuzz-message.c - whole messages as a channel would read them
 *
 * What decodes must encode to the same bytes, and its trace must fit any buffer.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "protocol/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct message_header *h, const uint8_t *message)
{
	union message_any any = { 0 };
	uint8_t *back = malloc(h->length);
	char line[64];

	if (message_decode(h->type, message + MESSAGE_HEADER, h->length - MESSAGE_HEADER, &any) ==
	    0) {
		if (message_encode(h->type, h->seq, h->fds, &any, back, h->length) !=
			    (ssize_t)h->length ||
		    memcmp(back, message, h->length) != 0)
			abort();
		for (size_t room = 1; room <= sizeof(line); room += 21)
			if (strlen(message_trace(h->type, &any, line, room)) >= room)
				abort();
	}
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message_header h;
	uint8_t *exact;

	if (size < MESSAGE_HEADER || message_header_decode(data, &h) != 0 || h.length > size)
		return 0;
	exact = malloc(h.length); /* so that an over-read shows */
	memcpy(exact, data, h.length);
	check(&h, exact);
	free(exact);
	return 0;
}
