/* host/catalog/manifest.h - one distribution list (DistributionInfo.json), parsed and checked
 *
 * Content is foreign: sizes are bounded by the caller (LIMIT_MANIFEST_BYTES), control characters of
 * texts that reach a terminal are replaced, entries for other architectures are dropped.
 */
#ifndef HOST_CATALOG_MANIFEST_H
#define HOST_CATALOG_MANIFEST_H

#include "catalog/catalog.h"

struct manifest_entry {
	struct catalog_entry pub; /* its strings are owned by this entry */
	char *flavor;             /* NULL: legacy entry */
	bool is_default;          /* of its flavour */
};

struct manifest {
	char *default_name;             /* NULL: none */
	struct manifest_entry *entries; /* modern ones first, in order */
	size_t n;
};

/* ERR_WSL_E_INVALID_JSON with "Invalid JSON document. Parse error: ...". */
int manifest_parse(const char *text, size_t len, struct manifest *ret, struct err *err);
void manifest_done(struct manifest *m);

/* Flavour with a default entry, entry name, then legacy entry; NULL when none matches. */
const struct manifest_entry *manifest_find(const struct manifest *m, const char *name, bool legacy);

/* The path of a file:// URL, decoded, in fresh memory; NULL for any other URL. */
char *url_file_path(const char *url);

#endif
