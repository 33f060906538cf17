/* host/net/tcp-in.c - segments of the guest: acknowledgements, payload, ends
 *
 * HOSTILE GUEST
 *   Headers are private copies. Payload stays in guest memory, where it may change until it is
 *   written: that is the guest's own loss. Acknowledgements of what was not sent are answered and
 *   ignored; a reset must lie in the window; nothing beyond the window is kept.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/util.h"
#include "net/names.h"
#include "net/pieces.h"
#include "net/tcp-internal.h"

#define MAX_PIECES           64 /* of payload in one call of the kernel's */
#define DUPLICATES_TO_RESEND 3

/* --- to the host's socket --- */

static void shut_host(struct tcp_conn *c)
{
	if (!c->guest_fin || c->host_shut || c->to_host.len)
		return;
	shutdown(c->fd, SHUT_WR);
	c->host_shut = true;
}

/* As much as the socket takes; -errno when it is broken. */
static ssize_t write_pieces(struct tcp_conn *c, const struct iovec *iov, unsigned n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };
	ssize_t r = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (r >= 0)
		return r;
	if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM)
		return -errno;
	c->writable = false;
	return 0;
}

/* Nothing more goes to the host. What came from it before is still delivered. */
static void break_off(struct tcp_conn *c)
{
	c->broken = c->readable = c->ending = true;
	ring_free(&c->to_host, &c->tcp->pool);
	tcp_wake(c);
}

void tcp_write(struct tcp_conn *c)
{
	while (c->to_host.len && c->writable) {
		struct iovec iov[2];
		unsigned n = ring_peek(&c->to_host, 0, c->to_host.len, iov);
		ssize_t done = write_pieces(c, iov, n);

		if (done < 0) {
			break_off(c);
			return;
		}
		ring_drop(&c->to_host, &c->tcp->pool, (uint32_t)done);
	}
	shut_host(c);
	if (tcp_window(c) >= (uint32_t)seq_diff(c->rcv_edge, c->rcv_nxt) + TCP_WINDOW / 4)
		c->ack_owed = true; /* news for a guest that waits */
}

/* --- payload --- */

static uint32_t keep(struct tcp_conn *c, const struct iovec *iov, unsigned n, uint32_t skip,
		     uint32_t bytes)
{
	uint32_t room = ring_reserve(&c->to_host, &c->tcp->pool, bytes);
	struct iovec space[2];
	unsigned pieces = ring_space(&c->to_host, space);
	size_t done = pieces_copy((struct pieces) { space, pieces, 0 },
				  (struct pieces) { iov, n, skip }, MIN(bytes, room));

	ring_commit(&c->to_host, (uint32_t)done);
	return (uint32_t)done;
}

/* Pieces of iov behind @skip bytes, at most @bytes: their number. */
static unsigned slice(const struct iovec *iov, unsigned n, uint32_t skip, uint32_t bytes,
		      struct iovec out[MAX_PIECES])
{
	unsigned n_out = 0;

	for (unsigned i = 0; i < n && bytes && n_out < MAX_PIECES; i++) {
		size_t from = MIN((size_t)skip, iov[i].iov_len);
		size_t part = MIN(iov[i].iov_len - from, (size_t)bytes);

		skip -= (uint32_t)from;
		bytes -= (uint32_t)part;
		if (part)
			out[n_out++] = (struct iovec) { (char *)iov[i].iov_base + from, part };
	}
	return n_out;
}

/* Bytes [skip, skip + bytes) of the payload are the next ones expected. */
static void take_payload(struct tcp_conn *c, const struct iovec *iov, unsigned n, uint32_t skip,
			 uint32_t bytes)
{
	struct iovec pieces[MAX_PIECES];
	ssize_t done = 0;

	if (!c->to_host.len && c->writable && !c->broken)
		done = write_pieces(c, pieces, slice(iov, n, skip, bytes, pieces));
	if (done < 0)
		break_off(c);
	if (c->broken)
		done = bytes;
	c->rcv_nxt += (uint32_t)done;
	bytes -= (uint32_t)done;
	if (bytes)
		c->rcv_nxt += keep(c, iov, n, skip + (uint32_t)done, bytes);
}

/* --- acknowledgements --- */

/* What lies before @acked leaves the ring; the SYN and the FIN count as one each. */
static void advance(struct tcp_conn *c, uint32_t acked)
{
	uint32_t bytes = acked - c->snd_una, data;

	c->duplicates = 0;
	if (c->state == TCP_GREETING) {
		c->state = TCP_OPEN;
		bytes--;
	}
	data = MIN(bytes, c->to_guest.len);
	if (data)
		ring_drop(&c->to_guest, &c->tcp->pool, data);
	if (bytes > data)
		c->fin_acked = true;
	c->snd_una = acked;
	if (seq_diff(c->snd_nxt, acked) < 0)
		c->snd_nxt = acked;
	tcp_timer_stop(c);
	if (c->snd_max != c->snd_una)
		tcp_timer_start(c);
}

static void on_ack(struct tcp_conn *c, const struct segment *s)
{
	uint32_t window = (uint32_t)s->window << c->guest_scale;
	int32_t fresh = seq_diff(s->ack, c->snd_una);

	if (seq_diff(s->ack, c->snd_max) > 0) {
		c->ack_owed = true;
		return;
	}
	if (!window) /* it lives, and does not read */
		c->retries = MIN(c->retries, TCP_RETRIES / 2);
	if (fresh < 0)
		return;
	if (fresh > 0) {
		advance(c, s->ack);
	} else if (!s->payload_bytes && window == c->snd_wnd && c->snd_max != c->snd_una &&
		   ++c->duplicates == DUPLICATES_TO_RESEND) {
		c->snd_nxt = c->snd_una;
		c->fin_sent = false;
	}
	c->snd_wnd = window;
	c->snd_wnd_max = MAX(c->snd_wnd_max, window);
}

/* --- segments --- */

static void on_end(struct tcp_conn *c)
{
	c->rcv_nxt++;
	c->guest_fin = true;
	c->ack_owed = true;
	shut_host(c);
}

/* Sequence numbers: what is old is skipped, what lies behind a gap or the window is not taken. */
static void on_data(struct tcp_conn *c, const struct segment *s, const struct iovec *iov,
		    unsigned n)
{
	int32_t old = seq_diff(c->rcv_nxt, s->seq);
	uint32_t bytes = s->payload_bytes, fin = s->flags & TCP_FIN ? 1 : 0;
	uint32_t room = (uint32_t)seq_diff(c->rcv_edge, c->rcv_nxt);

	if (!bytes && !fin) {
		c->ack_owed |= old != 0; /* a keep-alive or a probe */
		return;
	}
	c->ack_owed = true;
	if (old < 0 || (uint32_t)old > bytes || c->guest_fin)
		return;
	bytes = MIN(bytes - (uint32_t)old, room);
	if (bytes)
		take_payload(c, iov, n, (uint32_t)old, bytes);
	if (fin && c->rcv_nxt == s->seq + s->payload_bytes)
		on_end(c);
}

static void on_segment(struct tcp_conn *c, const struct segment *s, const struct iovec *iov,
		       unsigned n)
{
	if (s->flags & TCP_RST) {
		if (c->state == TCP_CONNECTING ||
		    (uint32_t)(s->seq - c->rcv_nxt) <= (uint32_t)seq_diff(c->rcv_edge, c->rcv_nxt))
			tcp_close(c, true);
		return;
	}
	if (c->state == TCP_CONNECTING)
		return; /* its SYN again */
	tcp_wake(c);    /* at least an acknowledgement may be due */
	if (s->flags & TCP_SYN) {
		c->greet_owed = c->state == TCP_GREETING;
		c->ack_owed = true;
		return;
	}
	if (!(s->flags & TCP_ACK))
		return;
	on_ack(c, s);
	if (c->state == TCP_OPEN)
		on_data(c, s, iov, n);
}

/* Addresses that mean something else than a host out there, or are the stack's business. */
static bool served(const struct tcp *t, const struct segment *s)
{
	const uint8_t *a = s->flow.host.s6_addr;
	uint32_t host;

	if (names_at(t->names, &s->flow))
		return true;
	if (s->ipv6)
		return memcmp(a, &t->plan->gateway6, 16) == 0 ||
		       ((a[0] & 0xe0) == 0x20) || /* global */
		       ((a[0] & 0xfe) == 0xfc && memcmp(a, &t->plan->network6, 8) != 0);
	memcpy(&host, a + 12, 4);
	if (host == t->plan->gateway.s_addr)
		return true;
	host = ntohl(host);
	return host >> 8 != ntohl(t->plan->network.s_addr) >> 8 && host >> 24 != 127 &&
	       host >> 24 != 0 && host >> 28 < 0xe;
}

bool tcp_input(struct tcp *t, const struct segment *s, const struct iovec *payload, unsigned n)
{
	struct tcp_conn *c = tcp_find(t, &s->flow);

	if (c) {
		on_segment(c, s, payload, n);
		return true;
	}
	if (!served(t, s))
		return false;
	if ((s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN)
		return t->connections >= t->limits.connections || tcp_open(t, s) == 0;
	if (!(s->flags & TCP_RST))
		tcp_send_reset(t, s);
	return true;
}
