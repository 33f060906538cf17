/* shared/io/loop.h - the one epoll loop of a process: descriptors, timers, children, signals
 *
 * Ownership  loop_free() ends the loop; watches still registered are freed, their descriptors are
 *            not: a descriptor belongs to whoever registered it. Remove a watch before closing its fd.
 * Threads    none: everything happens on the thread that calls loop_run().
 * Re-entry   a callback may remove any watch, its own included; a removed watch is never called.
 * Units      milliseconds of CLOCK_MONOTONIC (now_ms()).
 * Errors     set-up functions return NULL or -errno only when the kernel is out of memory or fds.
 */
#ifndef SHARED_IO_LOOP_H
#define SHARED_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

struct loop;
struct watch; /* a descriptor */
struct timer;
struct child;

typedef void (*watch_fn)(struct watch *w, int fd, uint32_t events, void *arg);
typedef void (*timer_fn)(struct timer *t, void *arg);
typedef void (*child_fn)(pid_t pid, int wait_status, void *arg);
typedef void (*signal_fn)(int signo, void *arg);

struct loop *loop_new(void);
struct loop *loop_free(struct loop *loop);
/* Runs until loop_stop(); returns the code given there, or -errno if waiting failed. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop, int code);
/* One round: waits at most @timeout_ms (-1: no bound) and calls back. 0 or -errno. */
int loop_step(struct loop *loop, int timeout_ms);

/* @events: EPOLLIN, EPOLLOUT, ... A descriptor epoll cannot watch (a regular file) counts as always
 * ready for what was asked. */
struct watch *loop_watch(struct loop *loop, int fd, uint32_t events, watch_fn fn, void *arg);
void watch_set(struct watch *w, uint32_t events);
struct watch *watch_remove(struct watch *w); /* NULL is fine; returns NULL */

/* One-shot timers; timer_set() re-arms. */
struct timer *loop_timer(struct loop *loop, timer_fn fn, void *arg);
void timer_set(struct timer *t, uint64_t delay_ms);
void timer_cancel(struct timer *t);
bool timer_armed(const struct timer *t);
struct timer *timer_free(struct timer *t);

/* Waits for a child through a pidfd and reaps it; called once, then forgotten. */
struct child *loop_child(struct loop *loop, pid_t pid, child_fn fn, void *arg);
struct child *child_forget(struct child *c); /* the process goes on, unwatched */

/* Blocks the signal and delivers it through the loop. */
int loop_signal(struct loop *loop, int signo, signal_fn fn, void *arg);

#endif
