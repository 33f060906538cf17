/* tests/guest/vsock-test.h - what the two ends of the vsock test agree on */
#ifndef TESTS_GUEST_VSOCK_TEST_H
#define TESTS_GUEST_VSOCK_TEST_H

#include <stdint.h>

#define PORT_HOST 50000u /* accepted by the relay; the host echoes 4 bytes */

enum guest_port {
	PORT_ECHO = 1000, /* many connections, small messages */
	PORT_SINK,        /* reads to the end, answers with a u64 count */
	PORT_SOURCE,      /* reads a u64, writes that many bytes, half-closes, waits for the end */
	PORT_BULK_ECHO,   /* one process per connection; half-closes at the end */
	PORT_STALL,       /* a sink that sleeps for a second first */
	PORT_CLOSE,       /* closes at once */
	PORT_HALF,        /* says bye, half-closes, then is a sink */
	PORT_COMMAND,     /* struct command, answered by a u32 */
	PORT_NOBODY = 1999
};

enum { COMMAND_OPEN = 1, COMMAND_OPEN_PARALLEL, COMMAND_REFUSED, COMMAND_POWER_OFF };

struct command {
	uint32_t op;
	uint32_t n;    /* OPEN: streams; REFUSED: the host's CID */
	uint32_t port; /* of the host */
};

#endif
