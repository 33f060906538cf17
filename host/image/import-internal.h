/* host/image/import-internal.h - between import.c and path.c */
#ifndef HOST_IMAGE_IMPORT_INTERNAL_H
#define HOST_IMAGE_IMPORT_INTERNAL_H

#include "image/image-internal.h"

struct place { /* a name in a directory; len 0: the directory itself */
	struct node *dir;
	size_t len;
	char name[EXT2_NAME_LEN + 1];
};

/* Finds the directory of @path, creating missing ones; the last part is not followed. */
int path_resolve(struct builder *b, const char *path, struct place *ret, struct err *err);
/* The directory that a symbolic link leads to inside the image, or *ret = NULL if it does not. */
int path_follow(struct builder *b, struct node *link, struct node **ret, struct err *err);

#endif
