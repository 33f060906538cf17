/* host/net/tcp-internal.h - what the files of the TCP part share; tcp.c has the theory */
#ifndef HOST_NET_TCP_INTERNAL_H
#define HOST_NET_TCP_INTERNAL_H

#include "io/loop.h"
#include "net/plan.h"
#include "net/ring.h"
#include "net/tcp.h"

#define TCP_BUCKETS       16384u
#define TCP_WINDOW        (1u << 20) /* offered to the guest, and kept for it */
#define TCP_SCALE         5          /* 1 MiB fits into 16 bits then */
#define TCP_POOL_BYTES    (512u << 20)
#define TCP_MSS_UNSAID    536u
#define TCP_MSS_LEAST     64u
#define TCP_IP_MAX        65535u
#define TCP_SEND_SEGMENTS 8u   /* of one connection before others have a turn */
#define TCP_TURNS         256u /* connections served before the loop goes round */
#define TCP_TICK_MS       250u
#define TCP_RESEND_MS     1000u
#define TCP_RESEND_MAX    30000u
#define TCP_RETRIES       10u

struct tcp_link { /* in a ring with a head; next NULL: in none */
	struct tcp_link *prev, *next;
};

enum tcp_state {
	TCP_CONNECTING, /* the host socket; the guest's SYN is not answered yet */
	TCP_GREETING,   /* our SYN and ACK are sent or owed */
	TCP_OPEN
};

struct tcp_conn {
	struct tcp *tcp;
	struct tcp_conn *hash_next;
	struct tcp_link all, ready, timed;
	struct segment shape; /* flow, Ethernet addresses, family: headers are made from it */
	enum tcp_state state;
	int fd;
	struct watch *watch;
	bool readable, writable; /* the socket, as far as we know */
	bool ending;             /* its end or an error is near: short reads do not mean empty */
	bool broken;             /* it takes nothing more; what it still holds goes to the guest */
	bool host_eof;           /* nothing more comes from the host */
	bool guest_fin;          /* nor from the guest, once to_host is written */
	bool host_shut;          /* the host was told */
	bool fin_sent, fin_acked, ack_owed, greet_owed;
	uint16_t mss;
	uint8_t guest_scale;
	bool scaled; /* both sides' windows */

	uint32_t rcv_nxt, rcv_edge;         /* expected, and the end of the window we told */
	uint32_t snd_una, snd_nxt, snd_max; /* snd_nxt goes back to send again */
	uint32_t snd_wnd, snd_wnd_max;
	unsigned duplicates, retries;
	uint64_t resend_ms;   /* while in the list of timed ones */
	struct ring to_host;  /* accepted from the guest, not yet by the socket */
	struct ring to_guest; /* its first byte is snd_una, once the SYN is acknowledged */
};

struct tcp {
	struct loop *loop;
	const struct net_plan *plan;
	struct names *names;
	tcp_output_fn output;
	stack_output_fn output_frame;
	void *arg;
	struct tcp_limits limits;
	struct ring_pool pool;
	struct timer *tick;
	struct tcp_link all, ready, timed;
	struct tcp_conn *table[TCP_BUCKETS];
	uint64_t hash_key;
	uint32_t next_isn;
	unsigned connections;
	bool starved; /* the pool is used up: the next tick looks again */
};

static inline void tcp_list_init(struct tcp_link *head)
{
	head->prev = head->next = head;
}

static inline void tcp_list_append(struct tcp_link *head, struct tcp_link *l)
{
	if (l->next)
		return;
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void tcp_list_remove(struct tcp_link *l)
{
	if (!l->next)
		return;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = NULL;
}

static inline struct tcp_link *tcp_list_first(struct tcp_link *head)
{
	return head->next == head ? NULL : head->next;
}

static inline int32_t seq_diff(uint32_t a, uint32_t b) /* of numbers that wrap */
{
	return (int32_t)(a - b);
}

/* tcp.c */
void tcp_wake(struct tcp_conn *c); /* has something to do */
struct tcp_conn *tcp_find(struct tcp *t, const struct flow *f);
/* 0, or -errno when the host refuses at once. */
int tcp_open(struct tcp *t, const struct segment *syn);
/* @reset: the host's peer learns that the connection broke. */
void tcp_close(struct tcp_conn *c, bool reset);
/* The same, and the guest learns it, too. */
void tcp_abort(struct tcp_conn *c);
void tcp_timer_start(struct tcp_conn *c);
void tcp_timer_stop(struct tcp_conn *c);
void tcp_starve(struct tcp *t);                /* no memory for what a socket holds */
uint32_t tcp_unsent(const struct tcp_conn *c); /* bytes to the guest from snd_nxt on */

/* tcp-in.c: to the host */
void tcp_write(struct tcp_conn *c); /* what waits in to_host, and the end behind it */

/* tcp-out.c: to the guest */
bool tcp_serve(struct tcp_conn *c); /* false: the guest has no room; true: @c may be gone */
void tcp_send_reset(struct tcp *t, const struct segment *of);
uint32_t tcp_window(const struct tcp_conn *c);

#endif
