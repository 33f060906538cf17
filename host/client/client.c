/* host/client/client.c - the connection to wslservice: greeting, calls, unsolicited messages */
#include "client/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "client/client-internal.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "config/paths.h"
#include "io/channel.h"
#include "io/socket.h"

#define CONNECT_MS 10000u /* a service that starts may wait 3 s for a predecessor to be gone */
#define RETRY_MS   4u

struct client {
	int fd;
	uint32_t seq;
	struct client_config cfg;
	struct message_buffer buf;
	char *release;
};

/* Receives and decodes one message; -errno of the transport, no text. */
static int receive(struct client *c, struct message_header *h, union message_any *any,
		   uint64_t deadline_ms)
{
	const uint8_t *payload;
	int r = message_recv(c->fd, &c->buf, h, &payload, deadline_ms);

	if (r < 0)
		return r;
	r = message_decode(h->type, payload, h->length - MESSAGE_HEADER, any);
	return r < 0 ? -EBADMSG : 0;
}

/* Turns a failure of the transport into a story. */
static int lost(int code, const char *doing, struct err *err)
{
	switch (code) {
	case -ETIMEDOUT:
		return err_id(err, ERR_ERROR_TIMEOUT,
			      "wslservice did not answer in time while %s. If it does not recover, "
			      "'wsl --shutdown --force' ends it.",
			      doing);
	case -ENODATA:
	case -EPIPE:
	case -ECONNRESET:
		return err_id(
			err, ERR_WSL_E_SERVICE_UNAVAILABLE,
			"wslservice ended while %s. Run the command again to start a new one.",
			doing);
	case -EBADMSG:
	case -EPROTO:
		return err_id(
			err, ERR_WSL_E_PROTOCOL_MISMATCH,
			"wslservice sent something this wsl does not understand while %s. Run 'wsl "
			"--shutdown --force' and try again.",
			doing);
	}
	return err_code(err, code, "talking to wslservice while %s", doing);
}

static int mismatch(const char *release, struct err *err)
{
	return err_id(
		err, ERR_WSL_E_PROTOCOL_MISMATCH,
		"The running wslservice%s%s is of another version than this wsl (%s). Run 'wsl "
		"--shutdown' to end it; the next command starts the right one.",
		release[0] ? " " : "", release, LXSS_VERSION);
}

/* 0: greeted; -EAGAIN: the peer went away before a word, so it is worth another try */
static int greet(struct client *c, uint64_t deadline_ms, struct err *err)
{
	struct msg_hello hello = { .version = PROTOCOL_VERSION,
				   .role = ROLE_CLIENT,
				   .release = LXSS_VERSION };
	const struct msg_hello *peer;
	struct message_header h = { 0 };
	union message_any any;
	int r = message_send(c->fd, MSG_HELLO, 0, &hello, NULL, 0, deadline_ms);

	if (r == 0)
		r = receive(c, &h, &any, deadline_ms);
	if (r == -EPIPE || r == -ENODATA || r == -ECONNRESET)
		return -EAGAIN;
	if (r < 0)
		return lost(r, "greeting", err);
	if (h.type == MSG_RESULT) {
		const struct msg_result *m = (const void *)&any;

		if (m->error == ERR_WSL_E_PROTOCOL_MISMATCH)
			return mismatch("", err);
		r = message_result(m, err);
		return r < 0 ? r : lost(-EPROTO, "greeting", err);
	}
	if (h.type != MSG_HELLO)
		return lost(-EPROTO, "greeting", err);
	peer = (const void *)&any;
	c->release = str_dup(peer->release);
	return peer->version == PROTOCOL_VERSION ? 0 : mismatch(c->release, err);
}

static int open_fd(int fd, const struct client_config *cfg, uint64_t deadline_ms,
		   struct client **ret, struct err *err)
{
	struct client *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		close(fd);
		return err_set(err, -ENOMEM, "out of memory");
	}
	c->fd = fd;
	c->cfg = *cfg;
	r = greet(c, deadline_ms, err);
	if (r < 0) {
		client_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

static uint64_t connect_ms(const struct client_config *cfg)
{
	return cfg->connect_ms ? cfg->connect_ms : CONNECT_MS;
}

int client_open_fd(int fd, const struct client_config *cfg, struct client **ret, struct err *err)
{
	int r = open_fd(fd, cfg, now_ms() + connect_ms(cfg), ret, err);

	return r == -EAGAIN ? lost(-ENODATA, "greeting", err) : r;
}

/* Waits for the next try: a moment, or less when the service we started says that it listens. */
static void pause_for(struct service_start *s)
{
	struct pollfd p = { .fd = s->ready_fd, .events = POLLIN };
	char byte;

	if (poll(&p, 1, RETRY_MS) > 0 && read(s->ready_fd, &byte, 1) <= 0)
		drop_fd(&s->ready_fd); /* it ended, or does not use the pipe: go on by polling */
}

static bool nobody_there(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -EAGAIN || r == -ECONNRESET;
}

static int connect_loop(const struct client_config *cfg, struct service_start *s,
			struct client **ret, struct err *err)
{
	uint64_t deadline_ms = now_ms() + connect_ms(cfg);
	bool started = false;
	int r;

	for (;;) {
		int fd = unix_connect_at(cfg->dirfd, SERVICE_SOCKET);

		r = fd < 0 ? fd : open_fd(fd, cfg, deadline_ms, ret, err);
		if (r == 0)
			return 0;
		if (!nobody_there(r))
			return fd < 0 ? err_code(err, r, "cannot connect to wslservice") : r;
		if (!started && !cfg->start_service)
			return err_id(err, ERR_WSL_E_SERVICE_UNAVAILABLE,
				      "wslservice is not running.");
		if (!started && (r = service_start(s, err)) < 0)
			return r;
		started = true;
		pause_for(s);
		if (now_ms() >= deadline_ms || (service_ended(s) && s->status != 0))
			return service_failure(s, err);
		if (service_ended(s)) { /* it met a service that was leaving: once more */
			service_start_done(s);
			*s = (struct service_start) { .ready_fd = -1 };
			started = false;
		}
	}
}

int client_open(const struct client_config *cfg, struct client **ret, struct err *err)
{
	struct service_start s = { .ready_fd = -1 };
	int r = connect_loop(cfg, &s, ret, err);

	service_start_done(&s);
	return r;
}

struct client *client_free(struct client *c)
{
	if (!c)
		return NULL;
	close(c->fd);
	message_buffer_done(&c->buf);
	free(c->release);
	free(c);
	return NULL;
}

int client_fd(const struct client *c)
{
	return c->fd;
}

const char *client_service_release(const struct client *c)
{
	return c->release;
}

/* What the service reported happened in the service. */
static int service_result(const struct msg_result *m, struct err *err)
{
	int r = message_result(m, err);

	if (r < 0 && err && !str_after(err->context, "Service"))
		err_context(err, "Service");
	return r;
}

/* True if the message was one that may come at any time. */
static bool aside(struct client *c, uint16_t type, const void *any)
{
	if (type == MSG_WARNING) {
		if (c->cfg.warning)
			c->cfg.warning(((const struct msg_text *)any)->text, c->cfg.arg);
		return true;
	}
	if (type == MSG_PROGRESS) {
		if (c->cfg.progress)
			c->cfg.progress(any, c->cfg.arg);
		return true;
	}
	return false;
}

static const size_t reply_sizes[] = {
	[MSG_STATUS_REPLY - MSG_LIST] = sizeof(struct msg_status),
	[MSG_LAUNCHED - MSG_LIST] = sizeof(struct msg_launched),
	[MSG_IMPORTED - MSG_LIST] = sizeof(struct msg_imported),
};

static void store_reply(const struct client_call *call, const union message_any *any)
{
	size_t at = (size_t)(call->reply - MSG_LIST);

	if (call->ret_reply && at < ARRAY_SIZE(reply_sizes))
		memcpy(call->ret_reply, any, reply_sizes[at]);
}

/* 1: go on, 0: success, negative: failure with *err filled */
static int one_answer(struct client *c, const struct client_call *call, struct err *err)
{
	const char *doing = message_name(call->type);
	struct message_header h;
	union message_any any;
	int r = receive(c, &h, &any, now_ms() + call->silence_ms);

	if (r < 0)
		return lost(r, doing, err);
	if (aside(c, h.type, &any))
		return 1;
	if (h.seq != c->seq && !(h.type == MSG_RESULT && h.seq == 0))
		return lost(-EPROTO, doing, err);
	if (call->item && h.type == call->item) {
		call->on_item(&any, call->item_arg);
		return 1;
	}
	if (call->reply && h.type == call->reply) {
		store_reply(call, &any);
		return 0;
	}
	if (h.type != MSG_RESULT)
		return lost(-EPROTO, doing, err);
	r = service_result((const void *)&any, err);
	if (r == 0 && call->reply)
		return lost(-EPROTO, doing, err);
	return r;
}

int client_call(struct client *c, const struct client_call *call, struct err *err)
{
	int r = message_send(c->fd, call->type, ++c->seq, call->msg, call->fds, call->n_fds,
			     now_ms() + call->silence_ms);

	if (r == -EMSGSIZE)
		return err_set(err, -E2BIG, "The command line and environment are too long.");
	if (r < 0 && r != -EPIPE) /* after EPIPE the service's last word may still be readable */
		return lost(r, message_name(call->type), err);
	do
		r = one_answer(c, call, err);
	while (r > 0);
	return r;
}

int client_receive(struct client *c, uint64_t timeout_ms, struct err *err)
{
	struct message_header h;
	union message_any any;
	int r = receive(c, &h, &any, now_ms() + timeout_ms);

	if (r == -ETIMEDOUT)
		return r;
	if (r < 0)
		return lost(r, "the session ran", err);
	if (h.type != MSG_RESULT) {
		aside(c, h.type, &any);
		return 0;
	}
	service_result((const void *)&any, err);
	return 1;
}
