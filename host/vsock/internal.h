/* host/vsock/internal.h - what the files of the vsock device share; private to host/vsock
 *
 * device.c has the theory. conn.c: connections, their table and their buffers. rx.c: towards the
 * guest. tx.c: from the guest.
 */
#ifndef HOST_VSOCK_INTERNAL_H
#define HOST_VSOCK_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_vsock.h>

#include "common/limits.h"
#include "protocol/message.h"
#include "virtio/queue.h"
#include "vsock/device.h"
#include "vsock/packet.h"

#define CONN_BUCKETS  (2u * LIMIT_VSOCK_CONNECTIONS)
#define WINDOW_NARROW (64u << 10) /* bytes a guest may send unasked on a new stream */
#define WINDOW_WIDE   (1u << 20)  /* and on one of the WIDE_SLOTS streams that carried data */
#define WIDE_SLOTS    256u
#define REPLY_SLOTS   4096u /* RST packets waiting for a guest buffer */
#define RX_CHAINS     32u   /* guest buffers filled in one turn of one stream */
#define TX_BUDGET     512u  /* packets taken from the guest before others have a turn */
#define IDLE_BUFFERS  8u    /* kept for reuse */

enum { QUEUE_RX, QUEUE_TX, QUEUE_EVENT, QUEUE_COUNT };

#define SHUTDOWN_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

struct link { /* in a ring with a head; NULL: in none */
	struct link *prev, *next;
};

static inline void list_init(struct link *head)
{
	head->prev = head->next = head;
}

static inline void list_append(struct link *head, struct link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void list_remove(struct link *l)
{
	if (!l->next)
		return;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = NULL;
}

static inline struct link *list_first(struct link *head)
{
	return head->next == head ? NULL : head->next;
}

enum conn_state {
	CONN_CONNECTING, /* host to guest, no RESPONSE yet */
	CONN_OPEN,
	CONN_CLOSING,  /* SHUTDOWN of both directions is sent, the socket closed; waiting for RST */
	CONN_DRAINING, /* over for the guest and not in the table; output goes on to the host */
};

/* Packets to the guest that a stream owes, beside data. */
#define OWE_REQUEST  1u
#define OWE_RESPONSE 2u
#define OWE_CREDIT   4u

struct buffer { /* a byte ring for what a host socket did not take */
	uint8_t *data;
	uint32_t size, head, len;
};

struct conn {
	struct vsock *dev;
	struct conn *hash_next;
	struct link all;      /* in dev->conns or dev->draining */
	struct link ready;    /* in dev->ready while it has something for the guest */
	struct link deadline; /* in dev->connecting or dev->closing */
	uint64_t deadline_ms;
	uint32_t guest_port, host_port;
	enum conn_state state;

	int fd;
	struct watch *watch;
	bool readable;   /* the socket may have bytes or its end for us */
	bool ending;     /* the peer closed a direction: read on until that is seen */
	bool want_write; /* registered for EPOLLOUT */
	struct buffer buf;

	uint32_t owe;
	uint8_t shut_wanted, shut_sent; /* SHUTDOWN flags towards the guest */
	uint8_t peer_shutdown;          /* SHUTDOWN flags from the guest */

	uint32_t tx_cnt, peer_fwd, peer_alloc; /* credit towards the guest */
	uint32_t rx_cnt, fwd_cnt, fwd_sent;    /* credit we gave */
	uint32_t window;
	unsigned appetite; /* guest buffers the next turn tries to fill */

	vsock_connected_fn connected;
	void *connected_arg;
};

struct reply { /* an RST without a connection */
	uint64_t src_cid;
	uint32_t src_port, dst_port;
	uint16_t type;
};

struct deadline_list {
	struct link list;
	struct timer *timer;
	uint64_t delay_ms;
};

struct vsock {
	struct loop *loop;
	uint32_t guest_cid;
	struct virtqueue *vq[QUEUE_COUNT]; /* NULL while stopped */
	bool failed, detached;
	bool tx_kicked, rx_starved;

	struct conn **table;
	uint64_t hash_key;
	uint32_t next_port;
	unsigned limit; /* streams in all states */
	unsigned n_conns, n_draining, n_wide;
	struct link conns, draining, ready;
	struct deadline_list connecting, closing;

	struct reply replies[REPLY_SLOTS];
	unsigned reply_head, n_replies;

	uint8_t *idle[IDLE_BUFFERS];
	unsigned n_idle;

	struct {
		uint32_t port;
		vsock_accept_fn fn;
		void *arg;
	} accepts[VSOCK_MAX_ACCEPT_PORTS];
	unsigned n_accepts;

	vsock_detached_fn on_detached;
	void *detached_arg;
	struct vsock_stats stats;

	struct iovec iov[2 * VQ_MAX_SIZE]; /* segments of the chains at hand */
	struct iovec data[2 * VQ_MAX_SIZE];
};

/* --- conn.c --- */

struct conn *conn_find(struct vsock *dev, uint32_t guest_port, uint32_t host_port);
/* Adds a stream to the table and watches @fd; NULL at the limit or out of memory. */
struct conn *conn_new(struct vsock *dev, uint32_t guest_port, uint32_t host_port, int fd,
		      enum conn_state state);
/* Ends it: closes the socket, or answers a pending connect with @error. */
void conn_free(struct conn *c, int error);
/* Over for the guest: what is buffered still goes to the host, then the stream is freed. */
void conn_drain(struct conn *c);
/* Closes the socket and waits for the guest's RST. */
void conn_linger(struct conn *c);
void conn_answer(struct conn *c, int error);                     /* of a pending connect */
uint32_t conn_free_port(struct vsock *dev, uint32_t guest_port); /* a host port not in use */
/* Puts the stream in line if it has something for the guest. */
void conn_schedule(struct conn *c);
bool conn_has_work(const struct conn *c);
uint32_t conn_room(const struct conn *c); /* bytes the guest is ready to take */

void deadline_set(struct conn *c, struct deadline_list *d);

/* The guest's bytes for the host socket. */
int conn_write(struct conn *c, struct iovec *iov, unsigned n, uint32_t len);
void conn_credit_moved(struct conn *c, uint32_t bytes); /* bytes have left us for the host */
void conn_host_gone(struct conn *c);                    /* the host end takes no more */
void conn_peer_shutdown(struct conn *c, uint32_t flags);

/* --- rx.c, tx.c, device.c --- */

void reply_rst(struct vsock *dev, const struct vsock_packet *to);
void conn_reset(struct conn *c); /* RST to the guest, end of the stream */
bool rx_pump(struct vsock *dev);
bool tx_pump(struct vsock *dev);
void device_fail(struct vsock *dev, const char *queue);

#endif
