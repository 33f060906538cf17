/* host/cli/session.h - a running program in a distribution, seen from the user's terminal
 *
 * session_run() opens the streams of a LAUNCHED answer, carries bytes, sizes and signals until the
 * program has ended and everything it wrote is delivered, and tells how it ended.
 *
 * The user's descriptors 0, 1 and 2 belong to the shell, too: their flags are never changed.
 * Terminals and pipes are opened again through /proc/self/fd, which gives a description of our own.
 */
#ifndef HOST_CLI_SESSION_H
#define HOST_CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/message.h"

struct client;
struct err;

struct session_config {
	struct client *client; /* the connection that launched it; borrowed */
	const struct msg_launched *launched;
	uint32_t flags;           /* SESSION_TTY_*: as sent in LAUNCH */
	uint64_t connect_ms;      /* bound for opening the streams; 0: 30 s */
	uint64_t last_words_ms;   /* silence of an output stream after the program's end; 0: 5 s */
	bool *ret_lost;           /* the session ran, and its machine went away */
	uint64_t *ret_streams_us; /* when the streams were open; may be NULL */
};

/* 0 with the program's wait status; -errno: the streams were not to be had, or got lost. */
int session_run(const struct session_config *cfg, int *ret_wait_status, struct err *err);

/* SESSION_TTY_* of descriptors 0, 1 and 2. */
uint32_t session_tty_flags(void);
/* What the shell calls a wait status: 0..255, 128+n for signal n. */
int session_exit_code(int wait_status);

#endif
