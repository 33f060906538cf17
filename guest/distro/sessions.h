/* guest/distro/sessions.h - init's view of its relays: one process per session, one more in reserve
 *
 * Init checks a request, allocates the terminal, answers, and hands everything else to a relay: the
 * client connects while the relay prepares the program.
 */
#ifndef GUEST_DISTRO_SESSIONS_H
#define GUEST_DISTRO_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "distro/relay.h"

struct channel;
struct loop;
struct msg_create_session;
struct session;

struct sessions { /* filled by the owner up to the blank line */
	struct loop *loop;
	struct channel *service; /* NULL once it is gone */
	struct relay_context context;

	struct session *list, *spare;
	struct timer *spare_timer;
	unsigned n;
};

int sessions_init(struct sessions *all);
/* Answers through the service's channel, always. */
void sessions_create(struct sessions *all, uint32_t seq, const struct msg_create_session *m);
/* True when @pid was a relay. */
bool sessions_reaped(struct sessions *s, pid_t pid, int status);

#endif
