/* host/names/main.c - wslresolver: answers the guest's DNS queries with the host's own resolver
 *
 * THEORY OF OPERATION
 *   wslservice passes streams on descriptor 3 (RELAY_ACCEPT messages). A stream carries DNS messages,
 *   each with a 2-byte length before it, both ways; answers may come in any order, the query's id tells
 *   which. One thread reads each stream; a pool, grown on demand, asks. The C library's resolver
 *   blocks: hence threads, and hence a process of its own.
 * HOSTILE GUEST
 *   A query is at most 64 KiB and is read into a buffer of its length. Queries wait in a bounded
 *   queue and are dropped beyond it; a guest that does not read its answers loses its stream.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "io/socket.h"
#include "names/hosts.h"
#include "names/resolve.h"
#include "names/sandbox.h"

#define CONTROL_FD     3
#define MAX_WAITING    512u
#define MAX_THREADS    32u
#define MAX_STREAMS    16u
#define WRITE_LIMIT_MS 5000u

struct stream {
	pthread_mutex_t lock; /* of writing */
	int fd;
	atomic_uint references;
};

struct job {
	struct job *next;
	struct stream *stream;
	size_t len;
	uint8_t query[];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *first, **last;
	unsigned waiting, threads, idle;
	struct hosts *hosts;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER, .last = &pool.first };

static atomic_uint n_streams;

static void stream_release(struct stream *s)
{
	if (atomic_fetch_sub(&s->references, 1) != 1)
		return;
	close(s->fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
	atomic_fetch_sub(&n_streams, 1);
}

static void stream_write(struct stream *s, uint8_t *framed, size_t len)
{
	uint64_t deadline = now_ms() + WRITE_LIMIT_MS;
	size_t sent = 0;

	pthread_mutex_lock(&s->lock);
	while (sent < len) {
		ssize_t n = send(s->fd, framed + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			sent += (size_t)n;
		else if (errno != EAGAIN || fd_wait(s->fd, POLLOUT, deadline) < 0)
			break;
	}
	if (sent < len)
		shutdown(s->fd, SHUT_RDWR); /* half a message went out: the stream is of no more use */
	pthread_mutex_unlock(&s->lock);
}

static struct job *take_job(void)
{
	struct job *j;

	pthread_mutex_lock(&pool.lock);
	pool.idle++;
	while (!pool.first)
		pthread_cond_wait(&pool.more, &pool.lock);
	pool.idle--;
	j = pool.first;
	pool.first = j->next;
	if (!pool.first)
		pool.last = &pool.first;
	pool.waiting--;
	pthread_mutex_unlock(&pool.lock);
	return j;
}

static void *worker(void *arg)
{
	struct resolver *r = resolver_new(pool.hosts);
	uint8_t *framed = malloc(2 + DNS_MAX_BYTES);

	(void)arg;
	while (r && framed) {
		struct job *j = take_job();
		ssize_t n = resolver_answer(r, j->query, j->len, framed + 2);

		if (n > 0) {
			framed[0] = (uint8_t)(n >> 8);
			framed[1] = (uint8_t)n;
			stream_write(j->stream, framed, 2 + (size_t)n);
		}
		stream_release(j->stream);
		free(j);
	}
	log_err("out of memory");
	exit(1);
}

static int start_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	int e = pthread_create(&thread, NULL, fn, arg);

	if (e == 0)
		pthread_detach(thread);
	return -e;
}

static void submit(struct job *j)
{
	bool grow;

	pthread_mutex_lock(&pool.lock);
	if (pool.waiting >= MAX_WAITING) {
		pthread_mutex_unlock(&pool.lock);
		stream_release(j->stream);
		free(j);
		return;
	}
	*pool.last = j;
	pool.last = &j->next;
	pool.waiting++;
	grow = pool.idle < pool.waiting && pool.threads < MAX_THREADS;
	pool.threads += grow;
	pthread_cond_signal(&pool.more);
	pthread_mutex_unlock(&pool.lock);
	if (grow && start_thread(worker, NULL) < 0) {
		pthread_mutex_lock(&pool.lock);
		pool.threads--;
		pthread_mutex_unlock(&pool.lock);
	}
}

static void *reader(void *arg)
{
	struct stream *s = arg;
	uint8_t head[2];

	while (read_all(s->fd, head, 2) == 0) {
		size_t len = (size_t)head[0] << 8 | head[1];
		struct job *j = calloc(1, sizeof(*j) + len);

		if (!j || read_all(s->fd, j->query, len) < 0) {
			free(j);
			break;
		}
		j->len = len;
		j->stream = s;
		atomic_fetch_add(&s->references, 1);
		submit(j);
	}
	shutdown(s->fd, SHUT_RDWR);
	stream_release(s);
	return NULL;
}

static void serve(int fd)
{
	struct stream *s = atomic_load(&n_streams) < MAX_STREAMS ? calloc(1, sizeof(*s)) : NULL;

	if (!s) {
		close(fd);
		return;
	}
	s->fd = fd;
	atomic_init(&s->references, 1);
	pthread_mutex_init(&s->lock, NULL);
	atomic_fetch_add(&n_streams, 1);
	fd_set_nonblock(fd, 0);
	if (start_thread(reader, s) < 0)
		stream_release(s);
}

int main(void)
{
	struct message_buffer buf = { 0 };
	struct message_header header;
	const uint8_t *payload;
	int r;

	log_init("wslresolver", STDERR_FILENO, LOG_INFO, false);
	signal(SIGPIPE, SIG_IGN);
	pool.hosts = hosts_new("/etc/hosts");
	r = pool.hosts ? names_sandbox() : -ENOMEM;
	if (r < 0) {
		log_err("cannot start: %s", strerror(-r));
		return 1;
	}
	while ((r = message_recv(CONTROL_FD, &buf, &header, &payload, DEADLINE_NONE)) == 0)
		if (header.type == MSG_RELAY_ACCEPT && buf.n_fds == 1)
			serve(take_fd(&buf.fds[0]));
	message_buffer_done(&buf);
	if (r != -ENODATA)
		log_err("the service's channel failed: %s", strerror(-r));
	return r == -ENODATA ? 0 : 1;
}
