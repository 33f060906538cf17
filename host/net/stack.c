/* host/net/stack.c - adapter between libslirp and our loop
 *
 * THEORY OF OPERATION
 *   libslirp wants to be asked before each wait which sockets it has (fill) and told after it what
 *   came (poll); both walk all sockets. fill is left out when nothing it depends on has changed and
 *   there are many. Its clock stands still between polls: a poll precedes input after a pause.
 *   Its own DNS forwarder is off: it would open files, which the sandbox forbids; names.c serves
 *   the name server's address.
 * HOST
 *   The gateway address is the host: connections to it go to the host's loopback.
 * LIBRARY'S VOICE
 *   GLib's own writer opens files and asks for the terminal; our handler only logs, at most
 *   MAX_COMPLAINTS lines: the guest can provoke them.
 */
#include "net/stack.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <glib.h>
#include <slirp/libslirp.h>

#include "common/log.h"
#include "common/util.h"
#include "io/loop.h"
#include "net/plan.h"
#include "net/polls.h"

#define MAX_COMPLAINTS   20u
#define STALE_CLOCK_MS   20u
#define MANY_SOCKETS     512u /* beyond, fill waits for a reason, at most LAZY_FILL_MS */
#define LAZY_FILL_MS     2u
#define SOCKET_HEAP_FROM (1u << 20)

struct stack {
	struct loop *loop;
	Slirp *slirp;
	struct polls *polls;
	struct timer *timer;
	stack_output_fn output;
	void *arg;
	uint64_t polled_ms, filled_ms;
	unsigned sockets, complaints;
	bool due;     /* by time */
	bool touched; /* something happened since the last fill */
	bool changed; /* and that changes which sockets are wanted */
};

struct slirp_timer {
	struct stack *stack;
	struct timer *timer;
	SlirpTimerId id;
	void *opaque;
};

/* --- what the library calls --- */

static ssize_t send_packet(const void *frame, size_t len, void *arg)
{
	struct stack *s = arg;

	s->output(s->arg, frame, len);
	return (ssize_t)len;
}

static void complain(struct stack *s, const char *text)
{
	if (s->complaints < MAX_COMPLAINTS)
		log_info("network stack: %s", text);
	else if (s->complaints == MAX_COMPLAINTS)
		log_info("network stack: more complaints are not logged");
	s->complaints++;
}

static void guest_error(const char *text, void *arg)
{
	complain(arg, text);
}

static void library_log(const char *domain, GLogLevelFlags level, const char *text, void *arg)
{
	(void)domain;
	if (level & G_LOG_FLAG_FATAL)
		log_err("network stack: %s", text);
	else
		complain(arg, text);
}

static int64_t clock_get_ns(void *arg)
{
	(void)arg;
	return (int64_t)now_us() * 1000;
}

static void slirp_timer_due(struct timer *t, void *arg)
{
	struct slirp_timer *st = arg;

	(void)t;
	slirp_handle_timer(st->stack->slirp, st->id, st->opaque);
}

static void *timer_new_opaque(SlirpTimerId id, void *opaque, void *arg)
{
	struct stack *s = arg;
	struct slirp_timer *st = g_malloc0(sizeof(*st));

	*st = (struct slirp_timer) { .stack = s, .id = id, .opaque = opaque };
	st->timer = loop_timer(s->loop, slirp_timer_due, st);
	return st;
}

static void slirp_timer_free(void *timer, void *arg)
{
	struct slirp_timer *st = timer;

	(void)arg;
	timer_free(st->timer);
	g_free(st);
}

static void slirp_timer_mod(void *timer, int64_t expire_ms, void *arg)
{
	struct slirp_timer *st = timer;
	int64_t now = (int64_t)(now_us() / 1000);

	(void)arg;
	if (st->timer)
		timer_set(st->timer, expire_ms > now ? (uint64_t)(expire_ms - now) : 0);
}

static void register_poll_fd(int fd, void *arg)
{
	struct stack *s = arg;

	polls_forget(s->polls, fd); /* a number may come back without having been unregistered */
	s->sockets++;
	s->changed = true;
}

static void unregister_poll_fd(int fd, void *arg)
{
	struct stack *s = arg;

	polls_forget(s->polls, fd);
	s->sockets -= s->sockets > 0;
}

static void notify(void *arg)
{
	struct stack *s = arg;

	s->changed = true;
}

static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = clock_get_ns,
	.timer_new_opaque = timer_new_opaque,
	.timer_free = slirp_timer_free,
	.timer_mod = slirp_timer_mod,
	.register_poll_fd = register_poll_fd,
	.unregister_poll_fd = unregister_poll_fd,
	.notify = notify,
};

/* --- rounds --- */

static int add_poll(int fd, int events, void *arg)
{
	struct stack *s = arg;
	uint32_t wanted = (events & SLIRP_POLL_IN ? EPOLLIN : 0u) |
			  (events & SLIRP_POLL_OUT ? EPOLLOUT : 0u) |
			  (events & SLIRP_POLL_PRI ? EPOLLPRI : 0u);

	return polls_want(s->polls, fd, wanted) < 0 ? -1 : fd;
}

static int get_revents(int fd, void *arg)
{
	struct stack *s = arg;
	uint32_t got = polls_got(s->polls, fd);

	return (got & EPOLLIN ? SLIRP_POLL_IN : 0) | (got & EPOLLOUT ? SLIRP_POLL_OUT : 0) |
	       (got & EPOLLPRI ? SLIRP_POLL_PRI : 0) | (got & EPOLLERR ? SLIRP_POLL_ERR : 0) |
	       (got & EPOLLHUP ? SLIRP_POLL_HUP : 0);
}

static void poll_now(struct stack *s)
{
	s->changed |= polls_pending(s->polls);
	slirp_pollfds_poll(s->slirp, 0, get_revents, s);
	polls_end(s->polls);
	s->polled_ms = now_ms();
	s->due = false;
	s->touched = true;
}

void stack_input(struct stack *s, const uint8_t *frame, size_t len)
{
	if (!s->touched && now_ms() - s->polled_ms > STALE_CLOCK_MS)
		poll_now(s);
	s->touched = true;
	slirp_input(s->slirp, frame, (int)len);
}

void stack_serve(struct stack *s)
{
	if (s->due || polls_pending(s->polls))
		poll_now(s);
}

void stack_settle(struct stack *s)
{
	uint32_t timeout = UINT32_MAX;

	if (!s->touched)
		return;
	if (s->sockets > MANY_SOCKETS && !s->changed && now_ms() - s->filled_ms < LAZY_FILL_MS) {
		timer_set(s->timer, LAZY_FILL_MS);
		return;
	}
	s->touched = s->changed = false;
	polls_begin(s->polls);
	slirp_pollfds_fill(s->slirp, &timeout, add_poll, s);
	s->filled_ms = now_ms();
	if (timeout == UINT32_MAX)
		timer_cancel(s->timer);
	else
		timer_set(s->timer, timeout);
}

void stack_pause(struct stack *s, bool paused)
{
	polls_pause(s->polls, paused);
	s->touched = s->changed = true;
}

unsigned stack_sockets(const struct stack *s)
{
	return s->sockets;
}

static void on_timer(struct timer *t, void *arg)
{
	struct stack *s = arg;

	(void)t;
	s->due = true;
}

/* --- set-up --- */

static Slirp *start_library(struct stack *s, const struct net_plan *p)
{
	SlirpConfig cfg = {
		.version = 4,
		.in_enabled = true,
		.vnetwork = p->network,
		.vnetmask.s_addr = htonl(~0u << (32 - NET_PREFIX4)),
		.vhost = p->gateway,
		.vnameserver = p->nameserver,
		.vdhcp_start = p->dhcp,
		.in6_enabled = p->ipv6,
		.vprefix_addr6 = p->network6,
		.vprefix_len = NET_PREFIX6,
		.vhost6 = p->gateway6,
		.vnameserver6 = p->nameserver6,
		.if_mtu = p->mtu,
		.if_mru = p->mtu,
		.disable_host_loopback = false,
		.disable_dns = true,
	};

	return slirp_new(&cfg, &callbacks, s);
}

struct stack *stack_new(struct loop *loop, const struct net_plan *plan, stack_output_fn output,
			void *arg)
{
	struct stack *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct stack) { .loop = loop, .output = output, .arg = arg };
	/* A connection's buffers are of the size from which malloc() maps memory of its own, and
	 * the number of mappings is limited. */
	mallopt(M_MMAP_THRESHOLD, SOCKET_HEAP_FROM);
	g_log_set_default_handler(library_log, s);
	s->polls = polls_new(loop);
	s->timer = loop_timer(loop, on_timer, s);
	if (s->polls && s->timer)
		s->slirp = start_library(s, plan);
	return s->slirp ? s : stack_free(s);
}

struct stack *stack_free(struct stack *s)
{
	if (!s)
		return NULL;
	if (s->slirp)
		slirp_cleanup(s->slirp);
	polls_free(s->polls);
	timer_free(s->timer);
	g_log_set_default_handler(g_log_default_handler, NULL);
	free(s);
	return NULL;
}
