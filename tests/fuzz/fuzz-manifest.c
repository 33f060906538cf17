/* tests/fuzz/fuzz-manifest.c - distribution lists of any content */
#include <stdlib.h>

#include "catalog/digest.h"
#include "catalog/manifest.h"
#include "common/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest m;

	if (manifest_parse((const char *)data, size, &m, NULL) < 0)
		return 0;
	for (size_t i = 0; i < m.n; i++) {
		const struct catalog_entry *e = &m.entries[i].pub;
		char *text = NULL;

		if (!manifest_find(&m, e->name, false))
			abort();
		if (e->kind == CATALOG_ARCHIVE) {
			free(url_file_path(e->url));
			if (digest_parse(e->sha256, &text, NULL) == 0)
				free(text);
		}
	}
	manifest_done(&m);
	return 0;
}
