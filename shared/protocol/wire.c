/* shared/protocol/wire.c - bounds-checked cursors over little-endian bytes */
#include "protocol/wire.h"

#include <errno.h>
#include <string.h>

#include "common/limits.h"

const char *strv_first(const struct strv *v)
{
	return v->n ? v->packed : NULL;
}

const char *strv_next(const struct strv *v, const char *s)
{
	s += strlen(s) + 1;
	return s < v->packed + v->bytes ? s : NULL;
}

struct rd rd_init(const void *data, size_t len)
{
	const uint8_t *p = data;

	return (struct rd) { .at = p, .end = p + len };
}

static const uint8_t *rd_take(struct rd *rd, size_t n)
{
	const uint8_t *p = rd->at;

	if (rd->bad || (size_t)(rd->end - rd->at) < n) {
		rd->bad = true;
		return NULL;
	}
	rd->at += n;
	return p;
}

static uint64_t rd_number(struct rd *rd, size_t n)
{
	const uint8_t *p = rd_take(rd, n);
	uint64_t v = 0;

	for (size_t i = 0; p && i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint32_t rd_u32(struct rd *rd)
{
	return (uint32_t)rd_number(rd, 4);
}

uint64_t rd_u64(struct rd *rd)
{
	return rd_number(rd, 8);
}

const char *rd_str(struct rd *rd)
{
	uint32_t len = rd_u32(rd);
	const uint8_t *p = rd_take(rd, (size_t)len + 1);

	if (!p || p[len] != '\0' || memchr(p, '\0', len)) {
		rd->bad = true;
		return "";
	}
	return (const char *)p;
}

struct strv rd_strv(struct rd *rd)
{
	struct strv v = { .n = rd_u32(rd), .bytes = rd_u32(rd) };
	const uint8_t *p = rd_take(rd, v.bytes);
	uint32_t zeros = 0;

	for (uint32_t i = 0; p && i < v.bytes; i++)
		zeros += p[i] == '\0';
	if (!p || zeros != v.n || v.n > LIMIT_ARGV_WORDS || (v.bytes && p[v.bytes - 1] != '\0')) {
		rd->bad = true;
		return (struct strv) { 0 };
	}
	v.packed = (const char *)p;
	return v;
}

int rd_done(struct rd *rd)
{
	return rd->bad || rd->at != rd->end ? -EBADMSG : 0;
}

struct wr wr_init(void *data, size_t room)
{
	return (struct wr) { .at = data, .room = room };
}

static void wr_bytes(struct wr *wr, const void *data, size_t n)
{
	if (n && wr->used <= wr->room && wr->room - wr->used >= n)
		memcpy(wr->at + wr->used, data, n);
	wr->used += n;
}

static void wr_number(struct wr *wr, uint64_t v, size_t n)
{
	uint8_t le[8];

	for (size_t i = 0; i < n; i++)
		le[i] = (uint8_t)(v >> (8 * i));
	wr_bytes(wr, le, n);
}

void wr_u32(struct wr *wr, uint32_t v)
{
	wr_number(wr, v, 4);
}

void wr_u64(struct wr *wr, uint64_t v)
{
	wr_number(wr, v, 8);
}

void wr_str(struct wr *wr, const char *s)
{
	size_t n;

	if (!s)
		s = "";
	n = strlen(s);
	wr_u32(wr, (uint32_t)n);
	wr_bytes(wr, s, n + 1);
}

void wr_strv(struct wr *wr, const struct strv *v)
{
	size_t bytes = 0;
	uint32_t n = 0;

	if (!v->list) {
		wr_u32(wr, v->n);
		wr_u32(wr, v->bytes);
		wr_bytes(wr, v->packed, v->bytes);
		return;
	}
	for (; v->list[n]; n++)
		bytes += strlen(v->list[n]) + 1;
	wr_u32(wr, n);
	wr_u32(wr, (uint32_t)bytes);
	for (uint32_t i = 0; i < n; i++)
		wr_bytes(wr, v->list[i], strlen(v->list[i]) + 1);
}

ssize_t wr_done(const struct wr *wr)
{
	return wr->used <= wr->room ? (ssize_t)wr->used : -EMSGSIZE;
}
