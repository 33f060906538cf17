/* shared/io/loop.c - epoll, a sorted timer list, pidfds and one signalfd
 *
 * THEORY OF OPERATION
 *   Watches live in a list; one that is removed during a round is marked dead and freed when the
 *   round ends, so that events already fetched for it find valid memory. Timers live in a list
 *   sorted by deadline: a process here has a handful. Descriptors that epoll refuses (regular files)
 *   sit in the same list with always set and are called once a round.
 */
#include "io/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"

struct watch {
	struct loop *loop;
	struct watch *next, **link;
	int fd;
	uint32_t events;
	bool always, dead;
	watch_fn fn;
	void *arg;
};

struct timer {
	struct loop *loop;
	struct timer *next;
	uint64_t at_ms;
	bool armed;
	timer_fn fn;
	void *arg;
};

struct child {
	struct watch *watch;
	int pidfd;
	pid_t pid;
	child_fn fn;
	void *arg;
};

struct loop {
	int epfd, sigfd;
	struct watch *watches, *dead, *sigwatch;
	struct timer *timers;
	unsigned n_always;
	bool stopped;
	int code;
	sigset_t signals;
	struct {
		signal_fn fn;
		void *arg;
	} handlers[65];
};

struct loop *loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->sigfd = -1;
	sigemptyset(&loop->signals);
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epfd < 0) {
		free(loop);
		return NULL;
	}
	return loop;
}

static void free_dead(struct loop *loop)
{
	while (loop->dead) {
		struct watch *w = loop->dead;

		loop->dead = w->next;
		free(w);
	}
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	while (loop->watches)
		watch_remove(loop->watches);
	free_dead(loop);
	while (loop->timers)
		timer_cancel(loop->timers);
	drop_fd(&loop->sigfd);
	close(loop->epfd);
	free(loop);
	return NULL;
}

void loop_stop(struct loop *loop, int code)
{
	loop->stopped = true;
	loop->code = code;
}

/* --- timers --- */

struct timer *loop_timer(struct loop *loop, timer_fn fn, void *arg)
{
	struct timer *t = calloc(1, sizeof(*t));

	if (t)
		*t = (struct timer) { .loop = loop, .fn = fn, .arg = arg };
	return t;
}

void timer_cancel(struct timer *t)
{
	if (!t || !t->armed)
		return;
	for (struct timer **p = &t->loop->timers; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			break;
		}
	}
	t->armed = false;
}

void timer_set(struct timer *t, uint64_t delay_ms)
{
	struct timer **p = &t->loop->timers;

	timer_cancel(t);
	t->at_ms = now_ms() + delay_ms;
	while (*p && (*p)->at_ms <= t->at_ms)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
	t->armed = true;
}

bool timer_armed(const struct timer *t)
{
	return t->armed;
}

struct timer *timer_free(struct timer *t) /* NULL is fine */
{
	timer_cancel(t);
	free(t);
	return NULL;
}

static void run_timers(struct loop *loop)
{
	uint64_t now = now_ms();

	while (loop->timers && loop->timers->at_ms <= now && !loop->stopped) {
		struct timer *t = loop->timers;

		timer_cancel(t);
		t->fn(t, t->arg);
	}
}

static int wait_ms(const struct loop *loop, int timeout_ms)
{
	uint64_t now, left;

	if (loop->n_always)
		return 0;
	if (!loop->timers)
		return timeout_ms;
	now = now_ms();
	left = loop->timers->at_ms > now ? loop->timers->at_ms - now : 0;
	if (timeout_ms >= 0 && (uint64_t)timeout_ms < left)
		return timeout_ms;
	return (int)MIN(left, (uint64_t)60000);
}

/* --- descriptors --- */

struct watch *loop_watch(struct loop *loop, int fd, uint32_t events, watch_fn fn, void *arg)
{
	struct watch *w = calloc(1, sizeof(*w));
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (!w)
		return NULL;
	*w = (struct watch) { .loop = loop, .fd = fd, .events = events, .fn = fn, .arg = arg };
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		if (errno != EPERM) {
			free(w);
			return NULL;
		}
		w->always = true;
		loop->n_always += events != 0;
	}
	w->next = loop->watches;
	w->link = &loop->watches;
	if (w->next)
		w->next->link = &w->next;
	loop->watches = w;
	return w;
}

void watch_set(struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (w->events == events)
		return;
	if (w->always)
		w->loop->n_always += (unsigned)(events != 0) - (unsigned)(w->events != 0);
	else
		epoll_ctl(w->loop->epfd, EPOLL_CTL_MOD, w->fd, &ev);
	w->events = events;
}

struct watch *watch_remove(struct watch *w)
{
	if (!w || w->dead)
		return NULL;
	if (w->always)
		w->loop->n_always -= w->events != 0;
	else
		epoll_ctl(w->loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	w->dead = true;
	w->next = w->loop->dead;
	w->loop->dead = w;
	return NULL;
}

static void run_always(struct loop *loop)
{
	for (struct watch *w = loop->watches, *next; w; w = next) {
		next = w->next;
		if (!w->always || !w->events)
			continue;
		w->fn(w, w->fd, w->events, w->arg);
		if (next && next->dead) /* the list changed under us: the next round goes on */
			break;
	}
}

int loop_step(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[64];
	int n = epoll_wait(loop->epfd, events, ARRAY_SIZE(events), wait_ms(loop, timeout_ms));

	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < n; i++) {
		struct watch *w = events[i].data.ptr;

		if (!w->dead)
			w->fn(w, w->fd, events[i].events, w->arg);
	}
	if (loop->n_always)
		run_always(loop);
	run_timers(loop);
	free_dead(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int r = 0;

	loop->stopped = false;
	while (!loop->stopped && r == 0)
		r = loop_step(loop, -1);
	return r < 0 ? r : loop->code;
}

/* --- children --- */

struct child *child_forget(struct child *c)
{
	if (!c)
		return NULL;
	watch_remove(c->watch);
	close(c->pidfd);
	free(c);
	return NULL;
}

static void child_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct child *c = arg;
	child_fn fn = c->fn;
	void *fn_arg = c->arg;
	pid_t pid = c->pid;
	int status = 0;

	(void)w, (void)fd, (void)events;
	if (waitpid(pid, &status, WNOHANG) == 0)
		return;
	child_forget(c);
	fn(pid, status, fn_arg);
}

struct child *loop_child(struct loop *loop, pid_t pid, child_fn fn, void *arg)
{
	struct child *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct child) { .pid = pid, .fn = fn, .arg = arg };
	c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (c->pidfd >= 0)
		c->watch = loop_watch(loop, c->pidfd, EPOLLIN, child_ready, c);
	if (!c->watch) {
		drop_fd(&c->pidfd);
		free(c);
		return NULL;
	}
	return c;
}

/* --- signals --- */

static void signal_ready(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct loop *loop = arg;
	struct signalfd_siginfo si;

	(void)w, (void)events;
	while (read(fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		if (si.ssi_signo < ARRAY_SIZE(loop->handlers) && loop->handlers[si.ssi_signo].fn)
			loop->handlers[si.ssi_signo].fn((int)si.ssi_signo,
							loop->handlers[si.ssi_signo].arg);
}

int loop_signal(struct loop *loop, int signo, signal_fn fn, void *arg)
{
	int fd;

	sigaddset(&loop->signals, signo);
	if (sigprocmask(SIG_BLOCK, &loop->signals, NULL) < 0)
		return -errno;
	fd = signalfd(loop->sigfd, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	loop->sigfd = fd;
	loop->handlers[signo].fn = fn;
	loop->handlers[signo].arg = arg;
	if (!loop->sigwatch)
		loop->sigwatch = loop_watch(loop, fd, EPOLLIN, signal_ready, loop);
	return loop->sigwatch ? 0 : -ENOMEM;
}
