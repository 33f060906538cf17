/* host/net/names.h - the name server of the virtual network
 *
 * Port 53 of the plan's nameserver and nameserver6. What the guest asks there, over UDP or TCP, goes
 * to the host's resolver, and its answers come back.
 */
#ifndef HOST_NET_NAMES_H
#define HOST_NET_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/net.h"
#include "net/stack.h"

struct flow;
struct names;

/* @output: frames to the guest. NULL: no memory. */
struct names *names_new(struct loop *loop, const struct net_plan *plan, stack_output_fn output,
			void *arg);
struct names *names_free(struct names *n);
void names_on_open(struct names *n, net_names_fn fn, void *arg);

/* One Ethernet frame of the guest with its checksums complete. False: not for the name server. */
bool names_take(struct names *n, const uint8_t *frame, size_t len);

/* Does @f lead to the name server? Not if @n is NULL. */
bool names_at(const struct names *n, const struct flow *f);
/* A non-blocking socket connected to it, as over TCP; or -errno. */
int names_connect(struct names *n);

#endif
