/* guest/distro/flow.h - one direction between a program's handle and a client's stream
 *
 * Ownership  a flow owns its two descriptors; flow_close() closes them. Where a descriptor serves
 *            both directions each flow gets a duplicate: epoll knows a descriptor only once.
 */
#ifndef GUEST_DISTRO_FLOW_H
#define GUEST_DISTRO_FLOW_H

#include <stdbool.h>

struct flow;
struct loop;
struct pump;

/* The source ended (error 0), or the sink failed (negative errno). */
typedef void (*flow_end_fn)(struct flow *f, int error, void *arg);

struct flow {
	struct loop *loop;
	struct pump *pump;
	int from, to; /* -1: closed */
	bool ended;
	flow_end_fn on_end;
	void *arg;
};

#define FLOW_INIT ((struct flow) { .from = -1, .to = -1, .ended = true })

/* Takes both descriptors, whatever comes. */
int flow_start(struct flow *f, struct loop *loop, int from, int to, flow_end_fn on_end, void *arg);
/* Moves what the source holds now, then ends. */
void flow_finish(struct flow *f);
/* From now on what comes is thrown away, so that its writers neither block nor die of SIGPIPE. */
void flow_discard(struct flow *f);
void flow_close(struct flow *f);

#endif
