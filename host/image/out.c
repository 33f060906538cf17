/* host/image/out.c - a thread that writes large runs of blocks
 *
 * THEORY OF OPERATION
 *   The importer allocates blocks one after the other, so nearly all of an image is one long
 *   sequential write. Consecutive blocks gather in a buffer; when it is full, or the next block is
 *   elsewhere, the buffer goes to the writer thread and the importer continues in another one. The
 *   thread starts write-back at once, so that the final fsync finds little left to do.
 * INVARIANTS
 *   A buffer is with the importer (cur), in the queue, or free. Buffers are written in order.
 *   The first error is kept and answers every later call.
 */
#include "image/image-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define OUT_BUFFERS     4u
#define OUT_BUFFER_BLKS 256u

struct buffer {
	uint8_t *bytes;
	uint64_t pblk;
	uint32_t n; /* blocks handed out */
};

struct out {
	int fd, error;
	bool stop;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work, room;
	uint8_t *memory;
	struct buffer buffers[OUT_BUFFERS];
	unsigned head, queued; /* queue: buffers[head], [head + 1] ... */
	struct buffer *cur;    /* buffers[(head + queued) % OUT_BUFFERS] or NULL */
};

static int write_buffer(int fd, const struct buffer *buf)
{
	size_t len = (size_t)buf->n * BLOCK_BYTES, done = 0;
	off_t at = (off_t)(buf->pblk * BLOCK_BYTES);

	while (done < len) {
		ssize_t n = pwrite(fd, buf->bytes + done, len - done, at + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	/* A hint only: not every file system knows it. */
	(void)!sync_file_range(fd, at, (off_t)len, SYNC_FILE_RANGE_WRITE);
	return 0;
}

static void *writer(void *arg)
{
	struct out *o = arg;

	pthread_mutex_lock(&o->lock);
	for (;;) {
		struct buffer *buf;
		int r;

		while (!o->queued && !o->stop)
			pthread_cond_wait(&o->work, &o->lock);
		if (!o->queued)
			break;
		buf = &o->buffers[o->head];
		r = o->error;
		pthread_mutex_unlock(&o->lock);
		if (r == 0)
			r = write_buffer(o->fd, buf);
		pthread_mutex_lock(&o->lock);
		if (r < 0 && o->error == 0)
			o->error = r;
		o->head = (o->head + 1) % OUT_BUFFERS;
		o->queued--;
		pthread_cond_signal(&o->room);
	}
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

int out_new(int fd, struct out **ret, struct err *err)
{
	size_t size = (size_t)OUT_BUFFERS * OUT_BUFFER_BLKS * BLOCK_BYTES;
	struct out *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return err_nomem(err);
	o->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (o->memory == MAP_FAILED) {
		free(o);
		return err_nomem(err);
	}
	o->fd = fd;
	for (unsigned i = 0; i < OUT_BUFFERS; i++)
		o->buffers[i].bytes = o->memory + (size_t)i * OUT_BUFFER_BLKS * BLOCK_BYTES;
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->work, NULL);
	pthread_cond_init(&o->room, NULL);
	r = pthread_create(&o->thread, NULL, writer, o);
	if (r != 0) {
		munmap(o->memory, size);
		free(o);
		return err_code(err, -r, "cannot start a thread");
	}
	*ret = o;
	return 0;
}

struct out *out_free(struct out *o)
{
	if (!o)
		return NULL;
	pthread_mutex_lock(&o->lock);
	o->stop = true;
	pthread_cond_signal(&o->work);
	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	pthread_mutex_destroy(&o->lock);
	pthread_cond_destroy(&o->work);
	pthread_cond_destroy(&o->room);
	munmap(o->memory, (size_t)OUT_BUFFERS * OUT_BUFFER_BLKS * BLOCK_BYTES);
	free(o);
	return NULL;
}

/* Hands the current buffer to the thread; the lock is held. */
static void submit(struct out *o)
{
	if (!o->cur)
		return;
	o->cur = NULL;
	o->queued++;
	pthread_cond_signal(&o->work);
}

static int next_buffer(struct out *o, uint64_t pblk)
{
	int r;

	pthread_mutex_lock(&o->lock);
	submit(o);
	while (o->queued == OUT_BUFFERS)
		pthread_cond_wait(&o->room, &o->lock);
	o->cur = &o->buffers[(o->head + o->queued) % OUT_BUFFERS];
	o->cur->pblk = pblk;
	o->cur->n = 0;
	r = o->error;
	pthread_mutex_unlock(&o->lock);
	return r;
}

int out_blocks(struct out *o, uint64_t pblk, uint32_t want, uint8_t **ret)
{
	uint32_t n;

	if (!o->cur || o->cur->n == OUT_BUFFER_BLKS || o->cur->pblk + o->cur->n != pblk) {
		int r = next_buffer(o, pblk);

		if (r < 0)
			return r;
	}
	n = MIN(want, OUT_BUFFER_BLKS - o->cur->n);
	*ret = o->cur->bytes + (size_t)o->cur->n * BLOCK_BYTES;
	o->cur->n += n;
	return (int)n;
}

int out_flush(struct out *o)
{
	int r;

	pthread_mutex_lock(&o->lock);
	submit(o);
	while (o->queued)
		pthread_cond_wait(&o->room, &o->lock);
	r = o->error;
	pthread_mutex_unlock(&o->lock);
	return r;
}
