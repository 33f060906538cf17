/* host/image/tree.c - names of the image being built
 *
 * Every name is a node of 40 bytes and its text, carved from large chunks and never freed on its
 * own. One open-addressing table finds (directory, name) pairs; its hash is keyed at random so that
 * an archive cannot be made to collide. Replacing an entry changes its node's inode and type.
 */
#include "image/image-internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define CHUNK_BYTES   (256u << 10)
#define SLOTS_INITIAL 4096u

struct chunk {
	struct chunk *next;
	size_t used;
	_Alignas(8) uint8_t bytes[];
};

struct tree {
	struct chunk *chunks;
	struct node **slots;
	size_t n_slots, n_nodes; /* n_slots: a power of two */
	uint64_t key[2];
	struct node *root;
};

/* SipHash-1-3 over the directory's address and the name: fast, and unpredictable from outside. */
#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = ROTL(v[1], 13) ^ v[0];
	v[0] = ROTL(v[0], 32);
	v[2] += v[3];
	v[3] = ROTL(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = ROTL(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = ROTL(v[1], 17) ^ v[2];
	v[2] = ROTL(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

static uint64_t hash_name(const struct tree *t, const struct node *dir, const char *name,
			  size_t len)
{
	uint64_t v[4] = { t->key[0] ^ 0x736f6d6570736575ull, t->key[1] ^ 0x646f72616e646f6dull,
			  t->key[0] ^ 0x6c7967656e657261ull, t->key[1] ^ 0x7465646279746573ull };
	uint64_t last = (uint64_t)len << 56;
	size_t i;

	sip_word(v, (uint64_t)(uintptr_t)dir);
	for (i = 0; i + 8 <= len; i += 8) {
		uint64_t word;

		memcpy(&word, name + i, 8);
		sip_word(v, word);
	}
	for (unsigned shift = 0; i < len; i++, shift += 8)
		last |= (uint64_t)(uint8_t)name[i] << shift;
	sip_word(v, last);
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct node **find_slot(const struct tree *t, const struct node *dir, const char *name,
			       size_t len)
{
	size_t i = (size_t)hash_name(t, dir, name, len) & (t->n_slots - 1);

	for (;; i = (i + 1) & (t->n_slots - 1)) {
		struct node *n = t->slots[i];

		if (!n ||
		    (n->parent == dir && n->name_len == len && memcmp(n->name, name, len) == 0))
			return &t->slots[i];
	}
}

static bool grow(struct tree *t)
{
	struct node **old = t->slots;
	size_t n_old = t->n_slots;

	t->slots = calloc(n_old * 2, sizeof(*t->slots));
	if (!t->slots) {
		t->slots = old;
		return false;
	}
	t->n_slots = n_old * 2;
	for (size_t i = 0; i < n_old; i++) {
		struct node *n = old[i];

		if (n)
			*find_slot(t, n->parent, n->name, n->name_len) = n;
	}
	free(old);
	return true;
}

static struct node *new_node(struct tree *t, size_t len)
{
	size_t size = (sizeof(struct node) + len + 7) & ~(size_t)7;
	struct node *n;

	if (!t->chunks || t->chunks->used + size > CHUNK_BYTES) {
		struct chunk *c = malloc(sizeof(*c) + CHUNK_BYTES);

		if (!c)
			return NULL;
		c->next = t->chunks;
		c->used = 0;
		t->chunks = c;
	}
	n = (struct node *)(void *)(t->chunks->bytes + t->chunks->used);
	t->chunks->used += size;
	memset(n, 0, sizeof(*n));
	return n;
}

struct tree *tree_new(uint32_t root_ino)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	if (getrandom(t->key, sizeof(t->key), 0) != (ssize_t)sizeof(t->key))
		t->key[0] = (uint64_t)(uintptr_t)t; /* no entropy source: slower at worst */
	t->n_slots = SLOTS_INITIAL;
	t->slots = calloc(t->n_slots, sizeof(*t->slots));
	t->root = t->slots ? new_node(t, 0) : NULL;
	if (!t->root)
		return tree_free(t);
	t->root->ino = root_ino;
	t->root->type = EXT2_FT_DIR;
	return t;
}

struct tree *tree_free(struct tree *t)
{
	if (!t)
		return NULL;
	while (t->chunks) {
		struct chunk *c = t->chunks;

		t->chunks = c->next;
		free(c);
	}
	free(t->slots);
	free(t);
	return NULL;
}

struct node *tree_root(struct tree *t)
{
	return t->root;
}

struct node *tree_find(struct tree *t, struct node *dir, const char *name, size_t len)
{
	return *find_slot(t, dir, name, len);
}

struct node *tree_add(struct tree *t, struct node *dir, const char *name, size_t len, uint32_t ino,
		      uint8_t type)
{
	struct node *n;

	if (t->n_nodes >= IMAGE_MAX_ENTRIES || len > EXT2_NAME_LEN)
		return NULL;
	if (t->n_nodes * 3 >= t->n_slots * 2 && !grow(t))
		return NULL;
	n = new_node(t, len);
	if (!n)
		return NULL;
	n->parent = dir;
	n->next = dir->child;
	n->ino = ino;
	n->type = type;
	n->name_len = (uint8_t)len;
	memcpy(n->name, name, len);
	dir->child = n;
	*find_slot(t, dir, name, len) = n;
	t->n_nodes++;
	return n;
}

struct node *tree_next(struct node *n)
{
	if (n->child)
		return n->child;
	while (n && !n->next)
		n = n->parent;
	return n ? n->next : NULL;
}
