/* shared/protocol/wire.h - bounds-checked cursors over little-endian bytes
 *
 * A reader latches its first fault: after it every value reads as zero, and rd_done() returns
 * -EBADMSG. A writer that runs out of room goes on counting: wr_done() returns the bytes needed or
 * -EMSGSIZE. Neither allocates; strings that were read point into the buffer.
 */
#ifndef SHARED_PROTOCOL_WIRE_H
#define SHARED_PROTOCOL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct rd {
	const uint8_t *at, *end;
	bool bad;
};

struct wr {
	uint8_t *at;
	size_t room, used;
};

/* A vector of strings. Decoded: @packed holds @n NUL-terminated strings back to back, @bytes in all.
 * To encode one, set either these three or @list, a NULL-terminated array. */
struct strv {
	uint32_t n, bytes;
	const char *packed;
	const char *const *list;
};

/* for (const char *s = strv_first(v); s; s = strv_next(v, s)) over a decoded vector */
const char *strv_first(const struct strv *v);
const char *strv_next(const struct strv *v, const char *s);
#define strv_foreach(s, v) for (const char *s = strv_first(v); s; s = strv_next(v, s))

struct rd rd_init(const void *data, size_t len);
uint32_t rd_u32(struct rd *rd);
uint64_t rd_u64(struct rd *rd);
const char *rd_str(struct rd *rd); /* never NULL: "" after a fault */
struct strv rd_strv(struct rd *rd);
int rd_done(struct rd *rd); /* 0, or -EBADMSG after a fault or with bytes left over */

struct wr wr_init(void *data, size_t room);
void wr_u32(struct wr *wr, uint32_t v);
void wr_u64(struct wr *wr, uint64_t v);
void wr_str(struct wr *wr, const char *s); /* NULL is written as "" */
void wr_strv(struct wr *wr, const struct strv *v);
ssize_t wr_done(const struct wr *wr);

#endif
