/* host/net/names.c - DNS over UDP in Ethernet frames, and connections to the resolver
 *
 * HOSTILE GUEST
 *   Frames are private copies. Lengths and checksums are checked here; of the message itself
 *   io/dns-forward.c looks at the id, the bit that marks a reply, and the size that the sender takes.
 *   Its limits bound what a guest can have under way. A reply goes where the query says that it
 *   came from: that is the guest's own affair.
 */
#include "net/names.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/dns-forward.h"
#include "net/frame.h"
#include "net/segment.h"
#include "protocol/dns-message.h"

#define DNS_PORT  53
#define UDP_BYTES 8u

struct names {
	struct dns_forward *forward;
	const struct net_plan *plan;
	stack_output_fn output;
	net_names_fn open;
	void *output_arg, *open_arg;
	uint16_t packet_id;
};

/* The pair's first end, its second one is passed to @take; or -errno. */
static int make_pair(int (*take)(int fd, void *arg), void *arg)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	r = take(pair[1], arg);
	if (r == 0)
		return pair[0];
	close(pair[0]);
	close(pair[1]);
	return r;
}

static int open_stream(void *arg)
{
	struct names *n = arg;

	return n->open ? make_pair(n->open, n->open_arg) : -ENOTCONN;
}

static int serve(int fd, void *arg)
{
	struct names *n = arg;

	dns_forward_serve(n->forward, fd);
	return 0;
}

int names_connect(struct names *n)
{
	return make_pair(serve, n);
}

bool names_at(const struct names *n, const struct flow *f)
{
	const uint8_t *a = f->host.s6_addr;

	if (!n || f->host_port != htons(DNS_PORT))
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&f->host))
		return memcmp(a + 12, &n->plan->nameserver, 4) == 0;
	return n->plan->ipv6 && memcmp(a, &n->plan->nameserver6, 16) == 0;
}

/* --- from the guest --- */

/* Over IPv4 a sender may leave it out. */
static bool checksum_good(const struct segment *s, const uint8_t *udp, size_t bytes)
{
	if (!s->ipv6 && udp[6] == 0 && udp[7] == 0)
		return true;
	return frame_add(segment_ip_sum(s, IPPROTO_UDP, bytes), frame_sum(udp, bytes)) == 0xffff;
}

bool names_take(struct names *n, const uint8_t *frame, size_t len)
{
	struct segment s = { 0 };
	const uint8_t *udp;
	size_t end, bytes;

	if (segment_parse_ip(frame, len, len, IPPROTO_UDP, &s, &end) != 1 ||
	    end - s.tcp_at < UDP_BYTES)
		return false;
	udp = frame + s.tcp_at;
	memcpy(&s.flow.guest_port, udp, 2);
	memcpy(&s.flow.host_port, udp + 2, 2);
	if (!names_at(n, &s.flow))
		return false;
	bytes = (size_t)udp[4] << 8 | udp[5];
	if (bytes >= UDP_BYTES && bytes <= end - s.tcp_at && checksum_good(&s, udp, bytes))
		dns_forward_query(n->forward, udp + UDP_BYTES, bytes - UDP_BYTES, &s);
	return true;
}

/* --- to the guest --- */

static void reply(const void *client, const uint8_t *m, size_t len, void *arg)
{
	struct names *n = arg;
	const struct segment *s = client;
	uint8_t frame[SEGMENT_HEADERS_MAX + UDP_BYTES + DNS_UDP_MAX], *udp;
	size_t bytes = UDP_BYTES + len, at;
	uint16_t sum;

	n->packet_id += n->packet_id == UINT16_MAX ? 2 : 1; /* never 0 */
	at = segment_build_ip(s, IPPROTO_UDP, bytes, n->packet_id, frame);
	udp = frame + at;
	memcpy(udp, &s->flow.host_port, 2);
	memcpy(udp + 2, &s->flow.guest_port, 2);
	udp[4] = (uint8_t)(bytes >> 8);
	udp[5] = (uint8_t)bytes;
	memset(udp + 6, 0, 2);
	memcpy(udp + UDP_BYTES, m, len);
	sum = (uint16_t)~frame_add(segment_ip_sum(s, IPPROTO_UDP, bytes), frame_sum(udp, bytes));
	if (sum == 0) /* means "none" */
		sum = 0xffff;
	memcpy(udp + 6, &sum, sizeof(sum));
	n->output(n->output_arg, frame, at + bytes);
}

/* --- life --- */

static const struct dns_forward_ops forward_ops = { open_stream, reply };

struct names *names_new(struct loop *loop, const struct net_plan *plan, stack_output_fn output,
			void *arg)
{
	struct names *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->plan = plan;
	n->output = output;
	n->output_arg = arg;
	n->forward = dns_forward_new(loop, sizeof(struct segment), &forward_ops, n);
	return n->forward ? n : names_free(n);
}

struct names *names_free(struct names *n)
{
	if (!n)
		return NULL;
	dns_forward_free(n->forward);
	free(n);
	return NULL;
}

void names_on_open(struct names *n, net_names_fn fn, void *arg)
{
	n->open = fn;
	n->open_arg = arg;
}
