/* host/net/polls.h - the sockets of a poll(2)-minded library on an epoll loop
 *
 * Such a library lists before each wait all sockets and what it wants of them, and asks after it
 * what came. A socket that is listed again with the same wish costs no system call here.
 *
 * Rounds     polls_begin(), polls_want() for each socket, then the loop's waiting, then
 *            polls_got() for each socket, then polls_end().
 * Ownership  descriptors are the library's; polls_forget() before one is closed.
 */
#ifndef HOST_NET_POLLS_H
#define HOST_NET_POLLS_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct polls;

struct polls *polls_new(struct loop *loop);
struct polls *polls_free(struct polls *p);

void polls_begin(struct polls *p);
/* @events: EPOLLIN, EPOLLOUT, EPOLLPRI. 0, or -ENOMEM: then nothing will be reported. */
int polls_want(struct polls *p, int fd, uint32_t events);
uint32_t polls_got(const struct polls *p, int fd); /* EPOLLERR and EPOLLHUP included */
void polls_end(struct polls *p);
bool polls_pending(const struct polls *p); /* something came since polls_end() */

void polls_forget(struct polls *p, int fd);
/* While paused no event is taken from the sockets: they wait in the kernel. */
void polls_pause(struct polls *p, bool paused);

#endif
