/* host/net/polls.c - which sockets to watch, kept from round to round
 *
 * THEORY OF OPERATION
 *   table[fd] holds what the library wanted in its latest round and what epoll watches. New wishes
 *   reach epoll at once. Withdrawn ones are noticed when such an event comes: only then the watch
 *   shrinks, so that a socket that is wanted again soon costs nothing. A hang-up cannot be masked:
 *   a socket with nothing wanted leaves epoll when it reports one.
 */
#include "net/polls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "io/loop.h"

#define ALWAYS (EPOLLERR | EPOLLHUP)

struct polled {
	struct watch *watch;
	uint32_t watching, wanted, got;
	uint32_t round; /* of wanted */
};

struct polls {
	struct loop *loop;
	struct polled *table;
	unsigned size;
	int *ready; /* descriptors with got set; as many slots as the table */
	unsigned n_ready;
	uint32_t round;
	bool paused;
};

struct polls *polls_new(struct loop *loop)
{
	struct polls *p = calloc(1, sizeof(*p));

	if (p)
		p->loop = loop;
	return p;
}

struct polls *polls_free(struct polls *p)
{
	if (!p)
		return NULL;
	for (unsigned i = 0; i < p->size; i++)
		watch_remove(p->table[i].watch);
	free(p->table);
	free(p->ready);
	free(p);
	return NULL;
}

void polls_begin(struct polls *p)
{
	p->round++;
}

static uint32_t wish(const struct polls *p, const struct polled *e)
{
	return !p->paused && e->round == p->round ? e->wanted : 0;
}

static void shrink(struct polled *e, uint32_t wanted, uint32_t events)
{
	if (!wanted && (events & ALWAYS))
		e->watch = watch_remove(e->watch);
	else
		watch_set(e->watch, wanted);
	e->watching = wanted;
}

static void on_event(struct watch *w, int fd, uint32_t events, void *arg)
{
	struct polls *p = arg;
	struct polled *e = &p->table[fd];
	uint32_t wanted = wish(p, e);

	(void)w;
	if (wanted)
		wanted |= ALWAYS;
	if (!(events & wanted)) {
		shrink(e, wanted & ~(uint32_t)ALWAYS, events);
		return;
	}
	if (!e->got)
		p->ready[p->n_ready++] = fd;
	e->got |= events & wanted;
}

static int grow(struct polls *p, unsigned fd)
{
	unsigned size = MAX(64u, p->size);
	struct polled *table;
	int *ready;

	while (size <= fd)
		size *= 2;
	ready = realloc(p->ready, size * sizeof(*ready));
	if (!ready)
		return -ENOMEM;
	p->ready = ready;
	table = realloc(p->table, size * sizeof(*table));
	if (!table)
		return -ENOMEM;
	memset(table + p->size, 0, (size - p->size) * sizeof(*table));
	p->table = table;
	p->size = size;
	return 0;
}

int polls_want(struct polls *p, int fd, uint32_t events)
{
	struct polled *e;

	if ((unsigned)fd >= p->size && grow(p, (unsigned)fd) < 0)
		return -ENOMEM;
	e = &p->table[fd];
	e->wanted = events;
	e->round = p->round;
	if (p->paused)
		return 0;
	if (!e->watch) {
		e->watch = loop_watch(p->loop, fd, events, on_event, p);
		e->watching = events;
		return e->watch ? 0 : -ENOMEM;
	}
	if (events & ~e->watching) {
		watch_set(e->watch, events);
		e->watching = events;
	}
	return 0;
}

uint32_t polls_got(const struct polls *p, int fd)
{
	return (unsigned)fd < p->size ? p->table[fd].got : 0;
}

void polls_end(struct polls *p)
{
	while (p->n_ready)
		p->table[p->ready[--p->n_ready]].got = 0;
}

bool polls_pending(const struct polls *p)
{
	return p->n_ready;
}

void polls_forget(struct polls *p, int fd)
{
	struct polled *e = (unsigned)fd < p->size ? &p->table[fd] : NULL;

	if (!e)
		return;
	watch_remove(e->watch);
	for (unsigned i = 0; e->got && i < p->n_ready; i++)
		if (p->ready[i] == fd)
			p->ready[i--] = p->ready[--p->n_ready];
	*e = (struct polled) { 0 };
}

void polls_pause(struct polls *p, bool paused)
{
	p->paused = paused;
}
