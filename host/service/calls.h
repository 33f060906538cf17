/* host/service/calls.h - requests sent on a channel that wait for their answer
 *
 * An answer is a RESULT or the message that stands for success, with the request's sequence number.
 * The deadline of a call is its caller's business: a lost channel fails all calls.
 */
#ifndef HOST_SERVICE_CALLS_H
#define HOST_SERVICE_CALLS_H

#include <stdint.h>

struct call;
struct channel;
struct channel_message;
struct err;

struct calls {
	struct call *first;
};

/* @m: the answer when there is no error (a RESULT or another message), valid during the call. */
typedef void (*call_fn)(const struct channel_message *m, const struct err *err_or_null, void *arg);

/* Sends the request; @fn is called exactly once: by calls_answer(), calls_fail(), or at once when
 * the channel is gone. */
void calls_send(struct calls *calls, struct channel *c, uint16_t type, const void *msg, call_fn fn,
		void *arg);
/* Hands an incoming message to the call that waits for it; false: nobody does. */
int calls_answer(struct calls *calls, const struct channel_message *m);
void calls_fail(struct calls *calls, const struct err *err);
/* Forgets calls whose argument is gone. */
void calls_cancel(struct calls *calls, const void *arg);

#endif
