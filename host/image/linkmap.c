/* host/image/linkmap.c - first names of inodes that have several */
#include "image/export-internal.h"

#include <errno.h>
#include <stdlib.h>

struct slot {
	uint32_t ino;
	char *path;
};

struct linkmap {
	struct slot *slots;
	size_t n, room; /* room: a power of two */
};

struct linkmap *linkmap_new(void)
{
	struct linkmap *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->room = 256;
	m->slots = calloc(m->room, sizeof(*m->slots));
	return m->slots ? m : linkmap_free(m);
}

struct linkmap *linkmap_free(struct linkmap *m)
{
	if (!m)
		return NULL;
	for (size_t i = 0; m->slots && i < m->room; i++)
		free(m->slots[i].path);
	free(m->slots);
	free(m);
	return NULL;
}

static struct slot *find(struct slot *slots, size_t room, uint32_t ino)
{
	size_t i = (ino * 2654435761u) & (room - 1);

	while (slots[i].path && slots[i].ino != ino)
		i = (i + 1) & (room - 1);
	return &slots[i];
}

static bool grow(struct linkmap *m)
{
	struct slot *slots = calloc(m->room * 2, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < m->room; i++)
		if (m->slots[i].path)
			*find(slots, m->room * 2, m->slots[i].ino) = m->slots[i];
	free(m->slots);
	m->slots = slots;
	m->room *= 2;
	return true;
}

const char *linkmap_seen(struct linkmap *m, uint32_t ino, const char *path, int *ret_error)
{
	struct slot *s;

	*ret_error = 0;
	if (m->n * 3 >= m->room * 2 && !grow(m)) {
		*ret_error = -ENOMEM;
		return NULL;
	}
	s = find(m->slots, m->room, ino);
	if (s->path)
		return s->path;
	s->path = strdup(path);
	if (!s->path) {
		*ret_error = -ENOMEM;
		return NULL;
	}
	s->ino = ino;
	m->n++;
	return NULL;
}
