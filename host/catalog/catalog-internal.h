/* host/catalog/catalog-internal.h - the catalog's state, shared by look-up and obtaining */
#ifndef HOST_CATALOG_CATALOG_INTERNAL_H
#define HOST_CATALOG_CATALOG_INTERNAL_H

#include "catalog/catalog.h"
#include "catalog/manifest.h"
#include "common/util.h"

/* In the order they are looked up; at most MAX_SOURCES are ever added. */
enum source_kind { SOURCE_OVERRIDE, SOURCE_MAIN, SOURCE_BUILTIN, SOURCE_PUBLIC };
#define MAX_SOURCES 6 /* three overrides and one of each other kind */

struct source {
	enum source_kind kind;
	struct manifest manifest;
};

struct catalog {
	struct catalog_config cfg;
	struct source sources[MAX_SOURCES];
	size_t n_sources;
	bool ask_public; /* and not asked yet */
	const struct catalog_entry **rows;
};

void catalog_warn(const struct catalog *cat, const char *fmt, ...) format_printf(2, 3);

#endif
