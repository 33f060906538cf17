/* host/client/client.h - talking to wslservice: connect, greet, call, be told why
 *
 * Theory     One connection, blocking, one call at a time. A call sends its request and then
 * receives until the reply (or RESULT) arrives; WARNING, PROGRESS and item messages on the way go
 *            to callbacks. After LAUNCHED the connection stands for the session: keep it open,
 * watch client_fd() and feed it with client_receive(). Deadlines  Every wait has one. A deadline is
 * re-armed by each message that arrives, so that long work is bounded by its silence and not by its
 * length. Ownership  client_open() returns the only reference. Strings of replies and items point
 * into the client and live until its next call. Errors     0 or -errno with *err filled. What the
 * service reported carries the context "Service/...".
 */
#ifndef HOST_CLIENT_CLIENT_H
#define HOST_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol/message.h"

struct client;
struct err;

struct client_config {
	int dirfd;                                    /* the runtime directory; borrowed */
	bool start_service;                           /* start wslservice when nobody answers */
	uint64_t connect_ms;                          /* until the service has greeted; 0: 10 s */
	void (*warning)(const char *text, void *arg); /* NULL: ignored */
	void (*progress)(const struct msg_progress *p, void *arg);
	void *arg;
};

/* Bounds of silence for calls, in milliseconds. */
#define CLIENT_QUICK_MS  60000u  /* answered from memory, or by stopping something */
#define CLIENT_LAUNCH_MS 120000u /* kernelBootTimeout + distributionStartTimeout, and some air */
#define CLIENT_STALL_MS  120000u /* import and export: no PROGRESS for this long */

struct client_call {
	uint16_t type; /* the request */
	const void *msg;
	const int *fds;
	unsigned n_fds;
	uint16_t reply;  /* the message that stands for success; 0: RESULT */
	void *ret_reply; /* its struct */
	uint16_t item;   /* delivered to @on_item before the reply; 0: none */
	void (*on_item)(const void *msg, void *arg);
	void *item_arg;
	uint64_t silence_ms;
};

int client_open(const struct client_config *cfg, struct client **ret, struct err *err);
/* As client_open() over a connected socket, which it takes. */
int client_open_fd(int fd, const struct client_config *cfg, struct client **ret, struct err *err);
struct client *client_free(struct client *c);

int client_call(struct client *c, const struct client_call *call, struct err *err);

int client_fd(const struct client *c);
const char *client_service_release(const struct client *c);

/* Waits up to @timeout_ms for one message outside a call. 1: a RESULT came, *err is what it said;
 * 0: something else, dealt with; negative: -ETIMEDOUT, or the connection is of no more use. */
int client_receive(struct client *c, uint64_t timeout_ms, struct err *err);

/* Ends a wslservice that does not understand or does not answer us: SIGTERM, and SIGKILL when
 * @force or when it is still there after @grace_ms. 0 also when none runs. */
int client_kill_service(int dirfd, bool force, uint64_t grace_ms, struct err *err);

#endif
