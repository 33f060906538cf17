/* host/net/tcp-out.c - segments to the guest: greetings, payload, acknowledgements, ends */
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/util.h"
#include "net/tcp-internal.h"

#define READ_AHEAD (256u << 10) /* bytes beyond what was sent, to be read from the socket */

uint32_t tcp_window(const struct tcp_conn *c)
{
	uint32_t most = c->scaled ? TCP_WINDOW : 0xffffu;

	return c->to_host.len < most ? most - c->to_host.len : 0;
}

uint32_t tcp_unsent(const struct tcp_conn *c)
{
	uint32_t sent = c->snd_nxt - c->snd_una;

	return c->state == TCP_OPEN && sent < c->to_guest.len ? c->to_guest.len - sent : 0;
}

/* The window as it goes into a header; its end never moves back. */
static uint16_t tell_window(struct tcp_conn *c, bool syn)
{
	unsigned scale = c->scaled && !syn ? TCP_SCALE : 0;
	uint32_t window = MAX(tcp_window(c), (uint32_t)seq_diff(c->rcv_edge, c->rcv_nxt));

	window = MIN(window >> scale, 0xffffu);
	c->rcv_edge = c->rcv_nxt + (window << scale);
	return (uint16_t)window;
}

static bool emit(struct tcp_conn *c, struct segment *s, const struct iovec *iov, unsigned n,
		 uint16_t mss)
{
	uint8_t headers[SEGMENT_HEADERS_MAX];
	uint32_t edge = c->rcv_edge;
	size_t bytes;

	s->seq = c->snd_nxt;
	s->ack = c->rcv_nxt;
	s->window = tell_window(c, s->flags & TCP_SYN);
	bytes = segment_build(s, headers);
	if (!c->tcp->output(c->tcp->arg, s, headers, bytes, iov, n, mss)) {
		c->rcv_edge = edge;
		return false;
	}
	c->ack_owed = false;
	return true;
}

static struct segment blank(const struct tcp_conn *c, uint8_t flags)
{
	struct segment s = c->shape;

	s.flags = flags;
	s.mss = 0;
	s.scale = -1;
	s.payload_bytes = 0;
	return s;
}

static void sent(struct tcp_conn *c, uint32_t bytes)
{
	c->snd_nxt += bytes;
	if (seq_diff(c->snd_nxt, c->snd_max) > 0)
		c->snd_max = c->snd_nxt;
	if (!c->timed.next)
		tcp_timer_start(c);
}

static bool greet(struct tcp_conn *c)
{
	struct segment s = blank(c, TCP_SYN | TCP_ACK);

	s.mss = (uint16_t)(c->tcp->plan->mtu - (s.ipv6 ? 60 : 40));
	s.scale = c->scaled ? TCP_SCALE : -1;
	c->snd_nxt = c->snd_una;
	if (!emit(c, &s, NULL, 0, 0))
		return false;
	c->greet_owed = false;
	sent(c, 1);
	return true;
}

/* --- payload --- */

/* What a read told. A short one has emptied the socket, unless its end is near. */
static void after_read(struct tcp_conn *c, ssize_t got, uint32_t room)
{
	if (got > 0) {
		ring_commit(&c->to_guest, (uint32_t)got);
		c->readable = (uint32_t)got == room || c->ending;
		return;
	}
	c->readable = got < 0 && errno == EINTR;
	if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
		c->host_eof = true;
		c->broken |= got < 0;
	}
	if (!c->to_guest.len)
		ring_free(&c->to_guest, &c->tcp->pool);
}

static bool wants_more(const struct tcp_conn *c)
{
	return c->readable && !c->host_eof && tcp_unsent(c) < READ_AHEAD &&
	       c->to_guest.len < TCP_WINDOW;
}

static void read_ahead(struct tcp_conn *c)
{
	uint32_t want = 1;

	while (wants_more(c)) {
		uint32_t room = ring_reserve(&c->to_guest, &c->tcp->pool, want);
		struct iovec iov[2];
		unsigned n = ring_space(&c->to_guest, iov);

		if (!room) {
			tcp_starve(c->tcp);
			return;
		}
		after_read(c, readv(c->fd, iov, (int)n), room);
		want = READ_AHEAD;
	}
}

/* Bytes of the next segment; 0: not now. Small ones wait while others are on their way. */
static uint32_t next_bytes(const struct tcp_conn *c, uint16_t *ret_mss)
{
	const struct tcp_limits *l = &c->tcp->limits;
	uint32_t flight = c->snd_nxt - c->snd_una, unsent = tcp_unsent(c);
	uint32_t window = flight < c->snd_wnd ? c->snd_wnd - flight : 0;
	uint32_t most = c->mss, bytes;

	if (c->shape.ipv6 ? l->segmentation6 : l->segmentation4)
		most = MAX(most, (TCP_IP_MAX - 60u) / c->mss * c->mss);
	bytes = MIN(unsent, window);
	bytes = MIN(bytes, most);
	*ret_mss = bytes > c->mss ? c->mss : 0;
	if (bytes >= c->mss || bytes == unsent || !flight || bytes >= c->snd_wnd_max / 2)
		return bytes;
	return 0;
}

/* False: no room in the guest. */
static bool send_payload(struct tcp_conn *c)
{
	for (unsigned i = 0; i < TCP_SEND_SEGMENTS; i++) {
		struct segment s = blank(c, TCP_ACK);
		struct iovec iov[2];
		uint16_t mss;
		unsigned n;

		s.payload_bytes = next_bytes(c, &mss);
		if (!s.payload_bytes)
			return true;
		if (s.payload_bytes == tcp_unsent(c))
			s.flags |= TCP_PSH;
		n = ring_peek(&c->to_guest, c->snd_nxt - c->snd_una, s.payload_bytes, iov);
		if (!emit(c, &s, iov, n, mss))
			return false;
		sent(c, s.payload_bytes);
	}
	tcp_wake(c);
	return true;
}

static bool send_end(struct tcp_conn *c)
{
	struct segment s = blank(c, TCP_FIN | TCP_ACK);

	if (!c->host_eof || c->broken || c->fin_sent || c->fin_acked || c->state != TCP_OPEN ||
	    c->snd_nxt - c->snd_una != c->to_guest.len)
		return true;
	if (!emit(c, &s, NULL, 0, 0))
		return false;
	c->fin_sent = true;
	sent(c, 1);
	return true;
}

/* Something to send and a closed window, nothing on its way: the timer asks again. */
static void watch_window(struct tcp_conn *c)
{
	if (tcp_unsent(c) && !c->timed.next)
		tcp_timer_start(c);
}

static bool acknowledge(struct tcp_conn *c)
{
	struct segment s = blank(c, TCP_ACK);

	return !c->ack_owed || emit(c, &s, NULL, 0, 0);
}

/* Both directions are over, or the socket broke and everything it held was sent. */
static void finish(struct tcp_conn *c)
{
	if (c->broken && c->host_eof && !tcp_unsent(c))
		tcp_abort(c);
	else if (c->host_shut && c->fin_acked)
		tcp_close(c, false);
}

bool tcp_serve(struct tcp_conn *c)
{
	if (c->state == TCP_CONNECTING)
		return true;
	if (c->greet_owed && !greet(c))
		return false;
	if (c->state != TCP_OPEN)
		return true;
	tcp_write(c);
	read_ahead(c);
	if (!send_payload(c) || !send_end(c) || !acknowledge(c))
		return false;
	watch_window(c);
	if (wants_more(c) && !c->tcp->starved)
		tcp_wake(c);
	finish(c);
	return true;
}

void tcp_send_reset(struct tcp *t, const struct segment *of)
{
	struct segment s = *of;
	uint8_t headers[SEGMENT_HEADERS_MAX];
	size_t bytes;

	s.mss = 0;
	s.scale = -1;
	s.window = 0;
	s.payload_bytes = 0;
	if (of->flags & TCP_ACK) {
		s.flags = TCP_RST | TCP_ACK;
		s.seq = of->ack;
		s.ack = of->seq + of->payload_bytes;
	} else {
		s.flags = TCP_RST | TCP_ACK;
		s.seq = 0;
		s.ack = of->seq + of->payload_bytes + (of->flags & TCP_SYN ? 1 : 0) +
			(of->flags & TCP_FIN ? 1 : 0);
	}
	bytes = segment_build(&s, headers);
	t->output(t->arg, &s, headers, bytes, NULL, 0,
		  0); /* lost without room: it will ask again */
}
