/* host/service/calls.c - requests that wait for their answer */
#include "service/calls.h"

#include <errno.h>
#include <stdlib.h>

#include "common/err.h"
#include "io/channel.h"

struct call {
	struct call *next;
	uint32_t seq;
	call_fn fn;
	void *arg;
};

void calls_send(struct calls *calls, struct channel *c, uint16_t type, const void *msg, call_fn fn,
		void *arg)
{
	struct call *call = calloc(1, sizeof(*call));
	struct err err = ERR_INIT;
	int r = -EPIPE;

	if (c && call) {
		*call = (struct call) { calls->first, channel_next_seq(c), fn, arg };
		r = channel_send(c, type, call->seq, msg);
	}
	if (r == 0) {
		calls->first = call;
		return;
	}
	free(call);
	err_code(&err, r, "cannot send %s to the guest", message_name(type));
	fn(NULL, &err, arg);
}

int calls_answer(struct calls *calls, const struct channel_message *m)
{
	for (struct call **p = &calls->first; *p; p = &(*p)->next) {
		struct call *call = *p;
		struct err err = ERR_INIT;
		int r = 0;

		if (call->seq != m->header.seq)
			continue;
		*p = call->next;
		if (m->header.type == MSG_RESULT)
			r = message_result(m->msg, &err);
		call->fn(m, r < 0 ? &err : NULL, call->arg);
		free(call);
		return 1;
	}
	return 0;
}

void calls_fail(struct calls *calls, const struct err *err)
{
	while (calls->first) {
		struct call *call = calls->first;

		calls->first = call->next;
		call->fn(NULL, err, call->arg);
		free(call);
	}
}

void calls_cancel(struct calls *calls, const void *arg)
{
	for (struct call **p = &calls->first; *p;) {
		struct call *call = *p;

		if (call->arg != arg) {
			p = &call->next;
			continue;
		}
		*p = call->next;
		free(call);
	}
}
