/* tests/unit/net-test.c - the network's pure parts: plan, frames, segments, rings, pieces */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "net/fragment.h"
#include "net/frame.h"
#include "net/pieces.h"
#include "net/plan.h"
#include "net/ring.h"
#include "net/segment.h"
#include "net/unreachable.h"

static const uint8_t no_mac[6];

/* --- plan --- */

#define ROUTES                                                                                     \
	"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
#define DEFAULT_ROUTE "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"

static struct net_plan choose(const char *routes, const char *routes6, bool *ret_clear)
{
	struct net_plan p;
	bool clear = net_plan_choose(&p, &(struct net_host) { routes, routes6 }, no_mac);

	if (ret_clear)
		*ret_clear = clear;
	return p;
}

static void an_empty_host_gets_the_first_network(void **state)
{
	bool clear;
	struct net_plan p = choose(ROUTES DEFAULT_ROUTE, NULL, &clear);

	assert_true(clear);
	assert_string_equal(inet_ntoa(p.network), "10.213.77.0");
	assert_string_equal(inet_ntoa(p.gateway), "10.213.77.1");
	assert_string_equal(inet_ntoa(p.guest), "10.213.77.15");
	assert_true(p.ipv6);
	assert_int_equal(p.mac[0] & 3, 2);
	assert_int_equal(p.mtu, NET_MTU_MAX);
}

static void networks_of_the_host_are_avoided(void **state)
{
	bool clear;
	/* 10.0.0.0/8, as a company's tunnel has it */
	struct net_plan p =
		choose(ROUTES "tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n", NULL,
		       &clear);

	assert_true(clear);
	assert_string_equal(inet_ntoa(p.network), "172.16.213.0");
	/* 10.213.77.0/24 itself: the next one will do */
	p = choose(ROUTES "br0\t004DD50A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", NULL,
		   NULL);
	assert_string_equal(inet_ntoa(p.network), "10.214.113.0");
	/* a host route into it counts, too */
	p = choose(ROUTES "br0\t094DD50A\t00000000\t0001\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n", NULL,
		   NULL);
	assert_string_equal(inet_ntoa(p.network), "10.214.113.0");
}

static void everything_private_taken_is_told_and_survived(void **state)
{
	bool clear;
	struct net_plan p = choose(ROUTES "t\t0000000A\t0\t1\t0\t0\t0\t000000FF\t0\t0\t0\n"
					  "t\t000010AC\t0\t1\t0\t0\t0\t0000F0FF\t0\t0\t0\n"
					  "t\t0000A8C0\t0\t1\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
					  "t\t000012C6\t0\t1\t0\t0\t0\t0000FEFF\t0\t0\t0\n"
					  "e\t004DD50A\t0\t1\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
				   NULL, &clear);

	assert_false(clear);
	assert_string_equal(inet_ntoa(p.network), "10.214.113.0"); /* under a short route only */
}

#define ZERO6 "00000000000000000000000000000000"
#define REST6 " " ZERO6 " 00 " ZERO6 " 00000100 00000001 00000000 00000001     "

static void ipv6_is_there_unless_everything_is_taken(void **state)
{
	struct net_plan p = choose("", NULL, NULL);

	assert_true(p.ipv6);
	assert_int_equal(p.network6.s6_addr[1], 0x6c);
	p = choose("", "fd6c7873730000000000000000000000 28" REST6 "lo\n", NULL);
	assert_int_equal(p.network6.s6_addr[1], 0x6c);
	p = choose("", "fd6c7873730000000000000000000000 28" REST6 "eth0\n", NULL);
	assert_true(p.ipv6);
	assert_int_equal(p.network6.s6_addr[1], 0x9a);
	p = choose("", "fc000000000000000000000000000000 07" REST6 "eth0\n", NULL);
	assert_false(p.ipv6);
}

static void a_plan_survives_its_text(void **state)
{
	struct net_plan p = choose("", ZERO6 " 00" REST6 "eth0\n", NULL), q;
	char text[NET_PLAN_TEXT];

	net_plan_format(&p, text);
	assert_int_equal(net_plan_parse(text, &q), 0);
	assert_memory_equal(&p.gateway6, &q.gateway6, 16);
	assert_int_equal(p.gateway.s_addr, q.gateway.s_addr);
	assert_memory_equal(p.mac, q.mac, 6);
	assert_int_equal(q.mtu, p.mtu);
	p.ipv6 = false;
	net_plan_format(&p, text);
	assert_int_equal(net_plan_parse(text, &q), 0);
	assert_false(q.ipv6);
}

static void bad_plans_are_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"10.0.0.0",
		"10.0.0.0,-,65520",
		"10.0.0.1,-,65520,02:00:00:00:00:01",
		"10.0.0.0,-,65521,02:00:00:00:00:01",
		"10.0.0.0,-,1279,02:00:00:00:00:01",
		"10.0.0.0,-,1500,03:00:00:00:00:01",
		"10.0.0.0,-,1500,02:00:00:00:00:01x",
		"10.0.0.0,fd00::1,1500,02:00:00:00:00:01",
		"10.0.0.0,x,1500,02:00:00:00:00:01",
	};
	struct net_plan p;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(net_plan_parse(texts[i], &p), -EINVAL);
}

/* --- frames --- */

static uint16_t plain_sum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += (uint32_t)p[i] << (i & 1 ? 8 : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void sums_of_all_lengths_are_right(void **state)
{
	uint8_t bytes[200];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 250);
	for (size_t len = 0; len <= sizeof(bytes); len++)
		assert_int_equal(frame_sum(bytes, len), plain_sum(bytes, len));
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(frame_sum(bytes, sizeof(bytes)), 0xffff);
}

static struct virtio_net_hdr_mrg_rxbuf partial(uint16_t start, uint16_t offset)
{
	return (struct virtio_net_hdr_mrg_rxbuf) {
		.hdr = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			 .csum_start = start,
			 .csum_offset = offset },
	};
}

static void open_checksums_are_completed(void **state)
{
	uint64_t features = 1ull << VIRTIO_NET_F_CSUM;
	struct virtio_net_hdr_mrg_rxbuf h = partial(34, 6);
	uint8_t frame[60];

	memset(frame, 0x5a, sizeof(frame));
	memcpy(frame + 40, "\x12\x34", 2); /* the pseudo header's sum */
	assert_int_equal(frame_finish(&h, features, frame, sizeof(frame)), 0);
	/* what a receiver adds up: the pseudo header and everything behind the start */
	memcpy(frame + 32, "\x12\x34", 2);
	assert_int_equal(plain_sum(frame + 32, 28), 0xffff);
	assert_int_equal(frame_finish(&h, 0, frame, sizeof(frame)), -EBADMSG);
}

static void headers_that_do_not_fit_are_refused(void **state)
{
	static const uint16_t bad[][2] = {
		{ 59, 0 },  { 60, 0 },      { 61, 0 },          { 13, 6 },
		{ 34, 25 }, { 34, 0xffff }, { 0xffff, 0xffff },
	};
	uint64_t features = 1ull << VIRTIO_NET_F_CSUM;
	uint8_t frame[60] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct virtio_net_hdr_mrg_rxbuf h = partial(bad[i][0], bad[i][1]);

		assert_int_equal(frame_finish(&h, features, frame, sizeof(frame)), -EBADMSG);
	}
}

static void segmentation_needs_to_be_negotiated(void **state)
{
	uint64_t features = 1ull << VIRTIO_NET_F_CSUM;
	struct virtio_net_hdr_mrg_rxbuf h = partial(34, 16);

	h.hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	assert_int_equal(frame_check(&h, features), -EBADMSG);
	features |= 1ull << VIRTIO_NET_F_HOST_TSO4;
	assert_int_equal(frame_check(&h, features), 0);
	h.hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	assert_int_equal(frame_check(&h, features), -EBADMSG);
	h.hdr.gso_type = VIRTIO_NET_HDR_GSO_UDP;
	assert_int_equal(frame_check(&h, ~0ull), -EBADMSG);
	h.hdr.gso_type = VIRTIO_NET_HDR_GSO_ECN;
	assert_int_equal(frame_check(&h, ~0ull), -EBADMSG);
	h.hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	h.hdr.flags = 0; /* segments want their checksum made */
	assert_int_equal(frame_check(&h, ~0ull), -EBADMSG);
}

/* --- segments --- */

static struct segment sample(bool ipv6)
{
	struct segment s = {
		.flow = { .guest_port = htons(1234), .host_port = htons(80) },
		.to = { 2, 0, 0, 0, 0, 1 },
		.from = { 2, 0, 0, 0, 0, 2 },
		.ipv6 = ipv6,
		.flags = TCP_SYN | TCP_ACK,
		.window = 4321,
		.mss = 1460,
		.scale = 7,
		.seq = 0xfffffff0,
		.ack = 5,
	};

	inet_pton(AF_INET6, ipv6 ? "fd00::2" : "::ffff:10.0.0.2", &s.flow.guest);
	inet_pton(AF_INET6, ipv6 ? "2001:db8::1" : "::ffff:192.0.2.1", &s.flow.host);
	return s;
}

static int parse_exact(const uint8_t *bytes, size_t have, size_t len, struct segment *ret)
{
	uint8_t *copy = test_malloc(have + !have);
	int r;

	memcpy(copy, bytes, have);
	r = segment_parse(copy, have, len, ret);
	test_free(copy);
	return r;
}

static void what_is_built_can_be_parsed(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct segment s = sample(v6), p;
		uint8_t out[SEGMENT_HEADERS_MAX];
		size_t n = segment_build(&s, out);

		assert_int_equal(parse_exact(out, n, n, &p), 1);
		assert_memory_equal(&p.flow.guest, &s.flow.host, 16); /* it goes the other way */
		assert_memory_equal(&p.flow.host, &s.flow.guest, 16);
		assert_int_equal(p.flow.host_port, s.flow.guest_port);
		assert_int_equal(p.seq, s.seq);
		assert_int_equal(p.ack, s.ack);
		assert_int_equal(p.flags, s.flags);
		assert_int_equal(p.window, 4321);
		assert_int_equal(p.mss, 1460);
		assert_int_equal(p.scale, 7);
		assert_int_equal(p.payload_bytes, 0);
		assert_int_equal(p.header_bytes, n);
		assert_memory_equal(p.to, s.from, 6);
		/* its checksum field is the pseudo header's sum */
		assert_memory_equal(out + p.tcp_at + 16, &(uint16_t) { segment_pseudo_sum(&p) }, 2);
	}
}

static void every_truncation_is_refused(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct segment s = sample(v6), p;
		uint8_t out[SEGMENT_HEADERS_MAX];
		size_t n = segment_build(&s, out);

		for (size_t len = 0; len < n; len++)
			assert_int_equal(parse_exact(out, len, len, &p), -EBADMSG);
	}
}

static void foreign_packets_are_left_alone(void **state)
{
	struct segment s = sample(false), p;
	uint8_t out[SEGMENT_HEADERS_MAX];
	size_t n = segment_build(&s, out);
	uint16_t sum;

	out[14 + 9] = IPPROTO_UDP;
	assert_int_equal(parse_exact(out, n, n, &p), 0);
	out[14 + 9] = IPPROTO_TCP;
	out[14 + 6] = 0x20; /* the first of some fragments */
	assert_int_equal(parse_exact(out, n, n, &p), 0);
	out[14 + 6] = 0;
	assert_int_equal(parse_exact(out, n, n, &p), -EBADMSG); /* header checksum */
	memset(out + 24, 0, 2);
	sum = (uint16_t)~frame_sum(out + 14, 20);
	memcpy(out + 24, &sum, 2);
	assert_int_equal(parse_exact(out, n, n, &p), 1);
	out[13] = 0x06; /* ARP */
	assert_int_equal(parse_exact(out, n, n, &p), 0);
}

static void unreachable_hosts_are_told_as_routers_tell_it(void **state)
{
	for (int ipv6 = 0; ipv6 <= 1; ipv6++) {
		struct segment syn = sample(ipv6);
		size_t ip = ipv6 ? 40 : 20, icmp = 14 + ip, quoted = icmp + 8, len;
		size_t from = ipv6 ? 8 : 12, to = ipv6 ? 24 : 16, skip = ipv6 ? 0 : 12;
		uint8_t out[UNREACHABLE_MAX], pseudo[40] = { 0 };
		struct in6_addr router = syn.flow.host;

		router.s6_addr[15] = 99;
		len = unreachable_build(&syn, &router, EHOSTUNREACH, out);
		assert_int_equal(len, quoted + ip + 8);
		assert_memory_equal(out, syn.from, 6);
		assert_int_equal(out[14 + (ipv6 ? 6 : 9)], ipv6 ? 58 : 1);
		assert_int_equal(out[14 + (ipv6 ? 5 : 3)], ipv6 ? len - icmp : len - 14);
		assert_memory_equal(out + 14 + from, router.s6_addr + skip, 16 - skip);
		assert_memory_equal(out + 14 + to, syn.flow.guest.s6_addr + skip, 16 - skip);
		assert_memory_equal(out + icmp, ipv6 ? "\1\3" : "\3\1", 2);
		if (ipv6) {
			memcpy(pseudo, out + 14 + from, 32);
			pseudo[35] = (uint8_t)(len - icmp);
			pseudo[39] = 58;
		} else {
			assert_int_equal(plain_sum(out + 14, ip), 0xffff);
		}
		assert_int_equal(
			(plain_sum(pseudo, 40) + plain_sum(out + icmp, len - icmp)) % 0xffff, 0);
		/* the quoted packet is the guest's own */
		assert_memory_equal(out + quoted + from, syn.flow.guest.s6_addr + skip, 16 - skip);
		assert_memory_equal(out + quoted + to, syn.flow.host.s6_addr + skip, 16 - skip);
		assert_memory_equal(out + quoted + ip, "\x04\xd2\0\x50\xff\xff\xff\xf0", 8);
		unreachable_build(&syn, &router, ENETUNREACH, out);
		assert_int_equal(out[icmp + 1], 0);
	}
}

static void odd_options_do_no_harm(void **state)
{
	static const uint8_t options[][8] = {
		{ 2, 0, 0, 0, 0, 0, 0, 0 },   { 2, 1, 0, 0, 0, 0, 0, 0 },
		{ 2, 255, 9, 9, 9, 9, 9, 9 }, { 1, 1, 1, 1, 1, 1, 1, 3 },
		{ 3, 3, 200, 0, 0, 0, 0, 0 }, { 0, 2, 4, 5, 6, 7, 8, 9 },
	};
	struct segment s = sample(true), p;
	uint8_t out[SEGMENT_HEADERS_MAX];
	size_t n = segment_build(&s, out);

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		memcpy(out + n - 8, options[i], 8);
		assert_int_equal(parse_exact(out, n, n, &p), 1);
		assert_int_equal(p.mss, 0);
		assert_in_range(p.scale + 1, 0, 15);
	}
}

/* --- fragments --- */

static size_t fragment(uint8_t frame[NET_FRAME_MAX], unsigned id, unsigned offset, bool more,
		       size_t bytes)
{
	uint8_t *ip = frame + 14;
	uint16_t sum;

	memset(frame, 0, 34);
	frame[12] = 8;
	ip[0] = 0x45;
	ip[2] = (uint8_t)((20 + bytes) >> 8);
	ip[3] = (uint8_t)(20 + bytes);
	ip[5] = (uint8_t)id;
	ip[6] = (uint8_t)((more ? 0x20 : 0) | offset >> 11);
	ip[7] = (uint8_t)(offset >> 3);
	ip[9] = IPPROTO_UDP;
	for (size_t i = 0; i < bytes; i++)
		ip[20 + i] = (uint8_t)((offset + i) * 13);
	sum = (uint16_t)~frame_sum(ip, 20);
	memcpy(ip + 10, &sum, sizeof(sum));
	return 34 + bytes;
}

static uint8_t frame_buffer[NET_FRAME_MAX];

static size_t take_fragment(struct fragments *f, unsigned id, unsigned offset, bool more,
			    size_t bytes)
{
	return fragments_take(f, frame_buffer, fragment(frame_buffer, id, offset, more, bytes));
}

static void fragments_become_one_datagram(void **state)
{
	struct fragments *f = fragments_new();

	assert_int_equal(take_fragment(f, 1, 0, true, 1480), 0);
	assert_int_equal(take_fragment(f, 2, 0, true, 800), 0); /* another one between */
	assert_int_equal(take_fragment(f, 1, 1480, true, 1480), 0);
	assert_int_equal(take_fragment(f, 1, 2960, false, 33), 34 + 2993);
	assert_int_equal(frame_sum(frame_buffer + 14, 20), 0xffff);
	assert_int_equal(frame_buffer[16] << 8 | frame_buffer[17], 20 + 2993);
	assert_int_equal(frame_buffer[20] | frame_buffer[21], 0);
	for (size_t i = 0; i < 2993; i++)
		assert_int_equal(frame_buffer[34 + i], (uint8_t)(i * 13));
	assert_int_equal(take_fragment(f, 2, 800, false, 1), 34 + 801);
	fragments_free(f);
}

static void odd_fragments_are_dropped(void **state)
{
	struct fragments *f = fragments_new();

	assert_int_equal(take_fragment(f, 1, 8, false, 8), 0); /* no beginning */
	assert_int_equal(take_fragment(f, 2, 0, true, 16), 0);
	assert_int_equal(take_fragment(f, 2, 8, false, 16), 0); /* an overlap */
	assert_int_equal(take_fragment(f, 2, 16, false, 8), 0); /* of what is gone */
	assert_int_equal(take_fragment(f, 3, 0, true, 16), 0);
	assert_int_equal(take_fragment(f, 3, 24, false, 8), 0); /* a gap */
	assert_int_equal(take_fragment(f, 4, 0, true, 15), 0);  /* not a multiple of 8 */
	assert_int_equal(take_fragment(f, 4, 8, false, 8), 0);
	assert_int_equal(take_fragment(f, 5, 0, true, 0), 0);
	assert_int_equal(take_fragment(f, 6, 0, true, 40000), 0);
	assert_int_equal(take_fragment(f, 6, 40000, false, 30000),
			 0); /* more than a packet holds */
	for (unsigned id = 10; id < 10 + FRAGMENT_SLOTS + 1; id++)
		assert_int_equal(take_fragment(f, id, 0, true, 8), 0);
	assert_int_equal(take_fragment(f, 10, 8, false, 8), 0); /* the oldest gave way */
	assert_int_equal(take_fragment(f, 11, 8, false, 8), 34 + 16);
	fragments_free(f);
}

static void whole_frames_pass_unchanged(void **state)
{
	struct fragments *f = fragments_new();

	assert_int_equal(take_fragment(f, 1, 0, false, 100), 134);
	assert_int_equal(fragments_take(f, frame_buffer, 20), 20);
	frame_buffer[12] = 0x86;
	assert_int_equal(fragments_take(f, frame_buffer, 134), 134);
	fragments_free(f);
}

static void only_common_frames_are_taken(void **state)
{
	uint8_t frame[60] = { [12] = 8, [13] = 6 };

	assert_true(frame_common(frame, sizeof(frame))); /* ARP */
	frame[12] = 0x88;
	frame[13] = 0xf8;
	assert_false(frame_common(frame, sizeof(frame)));
	frame[12] = 8;
	frame[13] = 0;
	frame[14] = 0x45;
	frame[23] = IPPROTO_UDP;
	assert_true(frame_common(frame, sizeof(frame)));
	assert_true(frame_opens(frame, sizeof(frame)));
	assert_false(frame_common(frame, 33));
	frame[23] = IPPROTO_IGMP;
	assert_false(frame_common(frame, sizeof(frame)));
	frame[23] = IPPROTO_TCP;
	frame[47] = 0x10;
	assert_false(frame_opens(frame, sizeof(frame)));
	frame[47] = 0x02;
	assert_true(frame_opens(frame, sizeof(frame)));
	frame[14] = 0x46; /* options */
	assert_false(frame_common(frame, sizeof(frame)));
}

/* --- rings and pieces --- */

static void a_ring_keeps_its_order_and_its_limits(void **state)
{
	struct ring_pool pool = { .limit = 2 * RING_MAX_BYTES };
	struct ring r = { 0 };
	uint32_t in = 0, out = 0;

	for (unsigned round = 0; round < 3000; round++) {
		uint32_t want = round * 977 % 5000 + 1;
		uint32_t room = ring_reserve(&r, &pool, want);
		struct iovec iov[2];
		unsigned n = ring_space(&r, iov);
		uint32_t put = MIN(room, want);

		for (unsigned i = 0, left = put; i < n; i++)
			for (size_t j = 0; j < iov[i].iov_len && left; j++, left--)
				((uint8_t *)iov[i].iov_base)[j] = (uint8_t)(in++ * 7);
		ring_commit(&r, put);
		put = MIN(r.len, round * 1543 % 5000);
		n = ring_peek(&r, 0, put, iov);
		for (unsigned i = 0; i < n; i++)
			for (size_t j = 0; j < iov[i].iov_len; j++)
				assert_int_equal(((uint8_t *)iov[i].iov_base)[j],
						 (uint8_t)(out++ * 7));
		if (put)
			ring_drop(&r, &pool, put);
		assert_int_equal(pool.used, r.size);
		assert_in_range(r.size, 0, RING_MAX_BYTES);
	}
	ring_free(&r, &pool);
	assert_int_equal(pool.used, 0);
}

static void a_ring_does_not_exceed_the_pool(void **state)
{
	struct ring_pool pool = { .limit = RING_MIN_BYTES };
	struct ring a = { 0 }, b = { 0 };

	assert_int_equal(ring_reserve(&a, &pool, 1), RING_MIN_BYTES);
	assert_int_equal(ring_reserve(&a, &pool, RING_MIN_BYTES + 1), RING_MIN_BYTES);
	assert_int_equal(ring_reserve(&b, &pool, 1), 0);
	ring_free(&a, &pool);
	assert_int_equal(ring_reserve(&b, &pool, 1), RING_MIN_BYTES);
	ring_free(&b, &pool);
}

static void pieces_of_any_cut_arrive_in_order(void **state)
{
	static const char text[] = "the quick brown fox jumps over the lazy dog";

	for (size_t cut = 0; cut < sizeof(text); cut++)
		for (size_t skip = 0; skip < sizeof(text); skip += 5) {
			char to[sizeof(text) + 8] = "";
			struct iovec src[] = { { (void *)(uintptr_t)text, cut },
					       { NULL, 0 },
					       { (void *)(uintptr_t)(text + cut),
						 sizeof(text) - cut } };
			struct iovec dst[] = { { to, 3 },
					       { to + 3, 9 },
					       { to + 12, sizeof(to) - 12 } };
			size_t n = pieces_copy((struct pieces) { dst, 3, 2 },
					       (struct pieces) { src, 3, skip }, 1000);

			assert_int_equal(n, sizeof(text) - skip);
			assert_memory_equal(to + 2, text + skip, n);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_host_gets_the_first_network),
		cmocka_unit_test(networks_of_the_host_are_avoided),
		cmocka_unit_test(everything_private_taken_is_told_and_survived),
		cmocka_unit_test(ipv6_is_there_unless_everything_is_taken),
		cmocka_unit_test(a_plan_survives_its_text),
		cmocka_unit_test(bad_plans_are_refused),
		cmocka_unit_test(sums_of_all_lengths_are_right),
		cmocka_unit_test(open_checksums_are_completed),
		cmocka_unit_test(headers_that_do_not_fit_are_refused),
		cmocka_unit_test(segmentation_needs_to_be_negotiated),
		cmocka_unit_test(what_is_built_can_be_parsed),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(foreign_packets_are_left_alone),
		cmocka_unit_test(unreachable_hosts_are_told_as_routers_tell_it),
		cmocka_unit_test(odd_options_do_no_harm),
		cmocka_unit_test(fragments_become_one_datagram),
		cmocka_unit_test(odd_fragments_are_dropped),
		cmocka_unit_test(whole_frames_pass_unchanged),
		cmocka_unit_test(only_common_frames_are_taken),
		cmocka_unit_test(a_ring_keeps_its_order_and_its_limits),
		cmocka_unit_test(a_ring_does_not_exceed_the_pool),
		cmocka_unit_test(pieces_of_any_cut_arrive_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
