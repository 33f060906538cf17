/* host/image/acl.c - POSIX access control lists: libarchive's, getxattr(2)'s and ext4's forms
 *
 * ext4 keeps a list as le32 version 1, then entries (le16 tag, le16 permissions), with le32 id for
 * named users and groups, in the order of the tags, then ids. getxattr(2) shows version 2, where
 * every entry has an id.
 */
#include "image/image-internal.h"

#include <archive.h>
#include <archive_entry.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#define DISK_VERSION   1u
#define KERNEL_VERSION 2u
#define MAX_ENTRIES    512u /* more than a block holds */

enum {
	TAG_USER_OBJ = 1,
	TAG_USER = 2,
	TAG_GROUP_OBJ = 4,
	TAG_GROUP = 8,
	TAG_MASK = 16,
	TAG_OTHER = 32
};

static const struct {
	int archive;
	uint16_t disk;
} tags[] = {
	{ ARCHIVE_ENTRY_ACL_USER_OBJ, TAG_USER_OBJ },   { ARCHIVE_ENTRY_ACL_USER, TAG_USER },
	{ ARCHIVE_ENTRY_ACL_GROUP_OBJ, TAG_GROUP_OBJ }, { ARCHIVE_ENTRY_ACL_GROUP, TAG_GROUP },
	{ ARCHIVE_ENTRY_ACL_MASK, TAG_MASK },           { ARCHIVE_ENTRY_ACL_OTHER, TAG_OTHER },
};

struct ace {
	uint16_t tag, perm;
	uint32_t id;
};

struct acl {
	size_t n;
	uint16_t seen; /* tags */
	struct ace entries[MAX_ENTRIES];
};

static bool has_id(uint16_t tag)
{
	return tag == TAG_USER || tag == TAG_GROUP;
}

static int acl_add(struct acl *acl, uint16_t tag, uint16_t perm, uint32_t id)
{
	bool known = tag && !(tag & (tag - 1)) && tag <= TAG_OTHER;

	if (!known || perm > 7 || (!has_id(tag) && acl->seen & tag))
		return -EBADMSG;
	if (acl->n == MAX_ENTRIES)
		return -E2BIG;
	acl->seen |= tag;
	acl->entries[acl->n++] = (struct ace) { tag, perm, has_id(tag) ? id : 0 };
	return 0;
}

static int by_tag(const void *a, const void *b)
{
	const struct ace *x = a, *y = b;

	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* Puts the entries in order and adds the mask that named entries need. */
static int acl_complete(struct acl *acl)
{
	const uint16_t base = TAG_USER_OBJ | TAG_GROUP_OBJ | TAG_OTHER;
	uint16_t mask = 0;

	if ((acl->seen & base) != base)
		return -EBADMSG;
	if (acl->seen & (TAG_USER | TAG_GROUP) && !(acl->seen & TAG_MASK)) {
		for (size_t i = 0; i < acl->n; i++)
			if (acl->entries[i].tag & (TAG_USER | TAG_GROUP | TAG_GROUP_OBJ))
				mask |= acl->entries[i].perm;
		if (acl_add(acl, TAG_MASK, mask, 0) < 0)
			return -E2BIG;
	}
	qsort(acl->entries, acl->n, sizeof(acl->entries[0]), by_tag);
	return 0;
}

static int acl_to_disk(const struct acl *acl, uint8_t **ret, size_t *ret_size)
{
	uint32_t version = htole32(DISK_VERSION);
	uint8_t *at = malloc(sizeof(version) + acl->n * sizeof(struct ace));

	if (!at)
		return -ENOMEM;
	*ret = at;
	memcpy(at, &version, sizeof(version));
	at += sizeof(version);
	for (size_t i = 0; i < acl->n; i++) {
		uint16_t pair[2] = { htole16(acl->entries[i].tag), htole16(acl->entries[i].perm) };
		uint32_t id = htole32(acl->entries[i].id);

		memcpy(at, pair, sizeof(pair));
		at += sizeof(pair);
		if (has_id(acl->entries[i].tag)) {
			memcpy(at, &id, sizeof(id));
			at += sizeof(id);
		}
	}
	*ret_size = (size_t)(at - *ret);
	return 0;
}

static int parse(const uint8_t *at, size_t size, uint32_t version, struct acl *acl)
{
	uint32_t found;

	*acl = (struct acl) { 0 };
	if (size < sizeof(found))
		return -EBADMSG;
	memcpy(&found, at, sizeof(found));
	if (le32toh(found) != version)
		return -EBADMSG;
	at += sizeof(found);
	size -= sizeof(found);
	while (size) {
		uint16_t pair[2];
		uint32_t id = 0;
		size_t need = sizeof(pair);
		int r;

		if (size < need)
			return -EBADMSG;
		memcpy(pair, at, sizeof(pair));
		if (version == KERNEL_VERSION || has_id(le16toh(pair[0])))
			need += sizeof(id);
		if (size < need)
			return -EBADMSG;
		if (need > sizeof(pair))
			memcpy(&id, at + sizeof(pair), sizeof(id));
		r = acl_add(acl, le16toh(pair[0]), le16toh(pair[1]), le32toh(id));
		if (r < 0)
			return r;
		at += need;
		size -= need;
	}
	return 0;
}

int acl_from_kernel(const void *value, size_t size, uint8_t **ret, size_t *ret_size)
{
	struct acl acl;
	int r = parse(value, size, KERNEL_VERSION, &acl);

	if (r == 0)
		r = acl_complete(&acl);
	return r < 0 ? r : acl_to_disk(&acl, ret, ret_size);
}

int acl_to_entry(struct archive_entry *entry, int type, const void *value, size_t size)
{
	struct acl acl;
	int r = parse(value, size, DISK_VERSION, &acl);

	for (size_t i = 0; r == 0 && i < acl.n; i++) {
		size_t t = 0;

		while (tags[t].disk != acl.entries[i].tag)
			t++;
		if (archive_entry_acl_add_entry(entry, type, acl.entries[i].perm, tags[t].archive,
						has_id(tags[t].disk) ? (int)acl.entries[i].id : -1,
						"") != ARCHIVE_OK)
			r = -EBADMSG;
	}
	return r;
}

/* Collects one of the entry's lists; -ENOENT for a name that has no number. */
static int collect(struct archive_entry *entry, int type, struct acl *acl)
{
	int got_type, perm, tag, id, r = 0;
	const char *name;

	*acl = (struct acl) { 0 };
	archive_entry_acl_reset(entry, type);
	while (archive_entry_acl_next(entry, type, &got_type, &perm, &tag, &id, &name) ==
	       ARCHIVE_OK) {
		uint32_t number = (uint32_t)id;
		size_t t = 0;

		while (t < ARRAY_SIZE(tags) && tags[t].archive != tag)
			t++;
		if (t == ARRAY_SIZE(tags))
			return -EBADMSG;
		/* "user:1000:rwx" arrives as a name */
		if (has_id(tags[t].disk) && id == -1 && (!name || parse_u32(name, &number) < 0))
			r = -ENOENT;
		else if (acl_add(acl, tags[t].disk, (uint16_t)(perm & 7), number) < 0)
			return -EBADMSG;
	}
	return r;
}

static void apply_mode(const struct acl *acl, uint16_t *mode)
{
	for (size_t i = 0; i < acl->n; i++) {
		const struct ace *e = &acl->entries[i];

		switch (e->tag) {
		case TAG_USER_OBJ:
			*mode = (uint16_t)((*mode & ~0700) | e->perm << 6);
			break;
		case TAG_GROUP_OBJ:
			if (!(acl->seen & TAG_MASK))
				*mode = (uint16_t)((*mode & ~0070) | e->perm << 3);
			break;
		case TAG_MASK:
			*mode = (uint16_t)((*mode & ~0070) | e->perm << 3);
			break;
		case TAG_OTHER:
			*mode = (uint16_t)((*mode & ~0007) | e->perm);
			break;
		}
	}
}

static int convert(struct archive_entry *entry, int type, const char *name, struct xattrs *x,
		   uint16_t *mode, const struct image_events *events, struct err *err)
{
	struct acl acl;
	uint8_t *value;
	size_t size;
	int r = collect(entry, type, &acl), complete = acl_complete(&acl);

	if (r == 0)
		r = complete;
	if (r < 0 && !(r == -ENOENT && complete == 0)) {
		warn(events, "the access control list of '%s' is not a POSIX list; left out",
		     archive_entry_pathname(entry));
		return 0;
	}
	if (r == -ENOENT)
		warn(events,
		     "the access control list of '%s' has names without numbers; they are left out",
		     archive_entry_pathname(entry));
	if (mode)
		apply_mode(&acl, mode);
	if (mode && acl.n == 3)
		return 0; /* says what the mode says */
	r = acl_to_disk(&acl, &value, &size);
	if (r == 0)
		r = xattrs_own(x, name, value, size);
	return r < 0 ? err_code(err, r, "cannot store its access control list") : 0;
}

int acls_from_entry(struct archive_entry *entry, struct xattrs *x, uint16_t *mode,
		    const struct image_events *events, struct err *err)
{
	int types = archive_entry_acl_types(entry), r = 0;

	if (types & ARCHIVE_ENTRY_ACL_TYPE_ACCESS)
		r = convert(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "system.posix_acl_access", x,
			    mode, events, err);
	if (r == 0 && types & ARCHIVE_ENTRY_ACL_TYPE_DEFAULT && LINUX_S_ISDIR(*mode))
		r = convert(entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default", x,
			    NULL, events, err);
	return r;
}
