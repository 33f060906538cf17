/* host/catalog/recipe.h - distributions that are built on this machine from signed packages */
#ifndef HOST_CATALOG_RECIPE_H
#define HOST_CATALOG_RECIPE_H

#include "catalog/catalog.h"

/* The image of a recipe, from the cache or built now, open for reading. @warn tells when an old
 * image had to serve because no new one could be built. */
int recipe_build(const struct catalog_entry *entry, const struct catalog_progress *progress,
		 void (*warn)(const char *text, void *arg), void *warn_arg, int *ret_fd,
		 char **ret_source, struct err *err);

#endif
