/* host/net/tcp.c - the guest's TCP connections: their table, their sockets, their timers
 *
 * THEORY OF OPERATION
 *   The guest is always the one who connects. Its SYN makes a host socket; when that is connected
 *   the guest gets its SYN and ACK, and from then on bytes are carried between the two: payload
 * from the guest is written to the socket straight out of guest memory, payload to the guest is
 * kept in a ring until it is acknowledged. tcp-in.c treats what the guest sends, tcp-out.c what it
 * is sent. Loop callbacks only note what became possible and put the connection on the ready list.
 * WHY NOT THE GENERAL STACK
 *   libslirp has no window scaling: 64 KiB per round trip, and a round trip costs four changes of
 *   process. It also copies and sums each byte several times. Everything that is not TCP, and TCP
 *   to addresses with a special meaning, is still its business.
 * WHAT IS LEFT OUT, AND WHY
 *   The link is a ring in memory: it keeps the order and loses nothing but what the guest itself
 *   drops for want of memory. So there is no congestion control, no SACK, no reassembly: a segment
 *   behind a gap is dropped, and sending again starts at the first byte that is missing. Checksums
 *   the guest leaves open stay open in both directions.
 * INVARIANTS
 *   A connection is in the table exactly while it has a socket. It is on the timed list exactly
 *   while something is sent and not acknowledged, or waits before a closed window.
 *   snd_una <= snd_nxt <= snd_max <= snd_una + to_guest.len + SYN and FIN.
 * LIMITS
 *   tcp_limits.connections; TCP_WINDOW each way and connection, TCP_POOL_BYTES in all.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"
#include "net/names.h"
#include "net/tcp-internal.h"
#include "net/unreachable.h"

/* --- table --- */

static unsigned bucket_of(const struct tcp *t, const struct flow *f)
{
	uint64_t words[4], h = t->hash_key;

	memcpy(words, &f->guest, 16);
	memcpy(words + 2, &f->host, 16);
	for (unsigned i = 0; i < 4; i++)
		h = (h ^ words[i]) * 0x9e3779b97f4a7c15ull;
	h ^= (uint64_t)f->guest_port << 16 | f->host_port;
	h *= 0x9e3779b97f4a7c15ull;
	return (unsigned)(h >> 40) % TCP_BUCKETS;
}

static bool same_flow(const struct flow *a, const struct flow *b)
{
	return a->guest_port == b->guest_port && a->host_port == b->host_port &&
	       memcmp(&a->guest, &b->guest, 16) == 0 && memcmp(&a->host, &b->host, 16) == 0;
}

struct tcp_conn *tcp_find(struct tcp *t, const struct flow *f)
{
	struct tcp_conn *c = t->table[bucket_of(t, f)];

	while (c && !same_flow(&c->shape.flow, f))
		c = c->hash_next;
	return c;
}

static void table_remove(struct tcp_conn *c)
{
	struct tcp_conn **p = &c->tcp->table[bucket_of(c->tcp, &c->shape.flow)];

	while (*p != c)
		p = &(*p)->hash_next;
	*p = c->hash_next;
}

void tcp_wake(struct tcp_conn *c)
{
	tcp_list_append(&c->tcp->ready, &c->ready);
}

void tcp_close(struct tcp_conn *c, bool reset)
{
	struct tcp *t = c->tcp;
	struct linger now = { .l_onoff = 1 };

	table_remove(c);
	tcp_list_remove(&c->all);
	tcp_list_remove(&c->ready);
	tcp_list_remove(&c->timed);
	watch_remove(c->watch);
	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c->fd);
	ring_free(&c->to_host, &t->pool);
	ring_free(&c->to_guest, &t->pool);
	t->connections--;
	free(c);
}

void tcp_abort(struct tcp_conn *c)
{
	struct segment s = c->shape;

	s.flags = TCP_ACK;
	s.seq = c->rcv_nxt;
	s.ack = c->snd_max;
	s.payload_bytes = 0;
	tcp_send_reset(c->tcp, &s);
	tcp_close(c, true);
}

/* --- time --- */

static uint64_t resend_after(const struct tcp_conn *c)
{
	return MIN((uint64_t)TCP_RESEND_MS << c->retries, (uint64_t)TCP_RESEND_MAX);
}

void tcp_timer_start(struct tcp_conn *c)
{
	c->resend_ms = now_ms() + resend_after(c);
	tcp_list_append(&c->tcp->timed, &c->timed);
	if (!timer_armed(c->tcp->tick))
		timer_set(c->tcp->tick, TCP_TICK_MS);
}

void tcp_timer_stop(struct tcp_conn *c)
{
	c->retries = 0;
	tcp_list_remove(&c->timed);
}

/* No acknowledgement came: from the first missing byte again. */
static void resend(struct tcp_conn *c)
{
	if (++c->retries > TCP_RETRIES) {
		tcp_abort(c);
		return;
	}
	c->resend_ms = now_ms() + resend_after(c);
	c->snd_nxt = c->snd_una;
	c->fin_sent = false;
	c->greet_owed = c->state == TCP_GREETING;
	if (c->snd_wnd == 0)
		c->snd_wnd = 1; /* a probe; its answer tells the window */
	tcp_wake(c);
}

void tcp_starve(struct tcp *t)
{
	t->starved = true;
	if (!timer_armed(t->tick))
		timer_set(t->tick, TCP_TICK_MS);
}

static void feed(struct tcp *t)
{
	t->starved = false;
	for (struct tcp_link *l = t->all.next; l != &t->all; l = l->next) {
		struct tcp_conn *c = container_of(l, struct tcp_conn, all);

		if (c->readable)
			tcp_wake(c);
	}
}

static void on_tick(struct timer *timer, void *arg)
{
	struct tcp *t = arg;
	uint64_t now = now_ms();
	struct tcp_link *next;

	for (struct tcp_link *l = t->timed.next; l != &t->timed; l = next) {
		struct tcp_conn *c = container_of(l, struct tcp_conn, timed);

		next = l->next;
		if (c->resend_ms <= now)
			resend(c);
	}
	if (t->starved)
		feed(t);
	if (tcp_list_first(&t->timed))
		timer_set(timer, TCP_TICK_MS);
}

/* --- the host socket --- */

static void connected(struct tcp_conn *c)
{
	c->state = TCP_GREETING;
	c->greet_owed = true;
	c->writable = true;
	tcp_wake(c);
}

/* What the host learned, but for the sender: that is the gateway. */
static void tell_unreachable(struct tcp_conn *c, int error)
{
	const struct net_plan *plan = c->tcp->plan;
	struct in6_addr router = plan->gateway6;
	uint8_t frame[UNREACHABLE_MAX];
	size_t len;

	if (!c->shape.ipv6)
		segment_map4(&router, &plan->gateway);
	len = unreachable_build(&c->shape, &router, error, frame);
	c->tcp->output_frame(c->tcp->arg, frame, len);
	tcp_close(c, false);
}

static void connect_result(struct tcp_conn *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (!error)
		connected(c);
	else if (error == ETIMEDOUT) /* the guest has its own patience */
		tcp_close(c, false);
	else if (error == EHOSTUNREACH || error == ENETUNREACH)
		tell_unreachable(c, error);
	else
		tcp_abort(c);
}

static void on_event(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct tcp_conn *c = arg;

	(void)w, (void)fd;
	if (c->state == TCP_CONNECTING) {
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			connect_result(c);
		return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		c->readable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		c->ending = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		c->writable = true;
	tcp_wake(c);
}

/* The gateway is the host itself: its loopback. */
static socklen_t host_address(const struct tcp *t, const struct segment *s,
			      struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (s->ipv6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = s->flow.host_port;
		in6->sin6_addr = memcmp(&s->flow.host, &t->plan->gateway6, 16) ? s->flow.host
									       : in6addr_loopback;
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = s->flow.host_port;
	memcpy(&in->sin_addr, s->flow.host.s6_addr + 12, 4);
	if (in->sin_addr.s_addr == t->plan->gateway.s_addr)
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof(*in);
}

/* A connected or connecting socket; *ret_done says which. */
static int dial(const struct tcp *t, const struct segment *syn, bool *ret_done)
{
	struct sockaddr_storage sa;
	socklen_t len = host_address(t, syn, &sa);
	auto_close int fd = -1;
	int one = 1;

	*ret_done = names_at(t->names, &syn->flow);
	if (*ret_done)
		return names_connect(t->names);
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
	*ret_done = connect(fd, (struct sockaddr *)&sa, len) == 0;
	if (!*ret_done && errno != EINPROGRESS)
		return -errno;
	return take_fd(&fd);
}

static void agree(struct tcp_conn *c, const struct segment *syn)
{
	unsigned headers = syn->ipv6 ? 60 : 40, mss = syn->mss ? syn->mss : TCP_MSS_UNSAID;

	mss = MAX(mss, TCP_MSS_LEAST);
	c->mss = (uint16_t)MIN(mss, c->tcp->plan->mtu - headers);
	c->scaled = syn->scale >= 0;
	c->guest_scale = c->scaled ? (uint8_t)syn->scale : 0;
	c->snd_wnd = c->snd_wnd_max = syn->window; /* never scaled in a SYN */
	c->rcv_nxt = c->rcv_edge = syn->seq + 1;
	c->snd_una = c->snd_nxt = c->snd_max = c->tcp->next_isn += 64009;
}

int tcp_open(struct tcp *t, const struct segment *syn)
{
	bool done = false;
	int fd = dial(t, syn, &done);
	struct tcp_conn *c, **bucket;

	if (fd < 0)
		return fd;
	c = calloc(1, sizeof(*c));
	if (c)
		c->watch = loop_watch(t->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				      on_event, c);
	if (!c || !c->watch) {
		free(c);
		close(fd);
		return -ENOMEM;
	}
	c->tcp = t;
	c->fd = fd;
	c->shape = *syn;
	agree(c, syn);
	bucket = &t->table[bucket_of(t, &syn->flow)];
	c->hash_next = *bucket;
	*bucket = c;
	tcp_list_append(&t->all, &c->all);
	t->connections++;
	if (done)
		connected(c);
	return 0;
}

/* --- the whole --- */

bool tcp_run(struct tcp *t)
{
	for (unsigned turns = 0; turns < TCP_TURNS; turns++) {
		struct tcp_link *l = tcp_list_first(&t->ready);

		if (!l)
			return false;
		tcp_list_remove(l);
		if (!tcp_serve(container_of(l, struct tcp_conn, ready))) {
			tcp_list_append(t->ready.next, l); /* its turn comes first */
			return false;
		}
	}
	return tcp_list_first(&t->ready);
}

unsigned tcp_connections(const struct tcp *t)
{
	return t->connections;
}

void tcp_reset_all(struct tcp *t)
{
	struct tcp_link *l;

	while ((l = tcp_list_first(&t->all)))
		tcp_close(container_of(l, struct tcp_conn, all), true);
}

void tcp_limit(struct tcp *t, const struct tcp_limits *limits)
{
	t->limits = *limits;
}

struct tcp *tcp_new(struct loop *loop, const struct net_plan *plan, struct names *names,
		    tcp_output_fn output, stack_output_fn output_frame, void *arg)
{
	struct tcp *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->loop = loop;
	t->plan = plan;
	t->names = names;
	t->output = output;
	t->output_frame = output_frame;
	t->arg = arg;
	t->pool.limit = TCP_POOL_BYTES;
	tcp_list_init(&t->all);
	tcp_list_init(&t->ready);
	tcp_list_init(&t->timed);
	t->tick = loop_timer(loop, on_tick, t);
	if (!t->tick || getrandom(&t->hash_key, sizeof(t->hash_key), 0) < 0)
		return tcp_free(t);
	t->next_isn = (uint32_t)(t->hash_key >> 32);
	return t;
}

struct tcp *tcp_free(struct tcp *t)
{
	if (!t)
		return NULL;
	tcp_reset_all(t);
	timer_free(t->tick);
	free(t);
	return NULL;
}
