/* host/net/stack.h - libslirp behind an interface of frames in, frames out
 *
 * Frames to the guest come out of stack_input() and stack_serve(), by the function given at the
 * start, which copies what it wants to keep. stack_settle() ends a round of the loop: it tells
 * epoll and the timer what to wait for.
 */
#ifndef HOST_NET_STACK_H
#define HOST_NET_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct net_plan;
struct stack;

typedef void (*stack_output_fn)(void *arg, const uint8_t *frame, size_t len);

struct stack *stack_new(struct loop *loop, const struct net_plan *plan, stack_output_fn output,
			void *arg);
struct stack *stack_free(struct stack *s);

/* One Ethernet frame of the guest, in memory that nobody changes meanwhile. */
void stack_input(struct stack *s, const uint8_t *frame, size_t len);
/* Host sockets that became ready, and what is due by time. */
void stack_serve(struct stack *s);
void stack_settle(struct stack *s);
/* While paused no host socket is read. */
void stack_pause(struct stack *s, bool paused);
unsigned stack_sockets(const struct stack *s);

#endif
