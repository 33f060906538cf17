/* host/catalog/aptsources.h - the Debian mirror this host uses, from its apt configuration
 *
 * Both formats of sources.list(5) are read, one line per source and deb822 stanzas; nothing of
 * apt's state is touched.
 */
#ifndef HOST_CATALOG_APTSOURCES_H
#define HOST_CATALOG_APTSOURCES_H

#include <stdbool.h>

/* One archive; options are the values of the deb822 fields. */
struct apt_archive {
	char *uri;
	char *signed_by; /* a path, a fingerprint or a whole key with its line breaks; NULL: none */
	char *trusted, *check_valid_until; /* NULL: not given */
};

struct apt_mirror {
	struct apt_archive main, security; /* uri NULL: none configured */
	char *components;                  /* of main */
};

/* Reads sources.list, sources.list.d/ *.list and *.sources below @etc_apt (also see
 * sources.list(5)). Files that cannot be read count as absent; without a Debian archive main.uri is
 * NULL. */
void apt_mirror_load(const char *etc_apt, struct apt_mirror *ret);
void apt_mirror_done(struct apt_mirror *m);

/* The sources of another Debian suite on the same mirror, as deb822 text in fresh memory. Keys: the
 * archive's own, else @default_key. */
char *apt_mirror_sources(const struct apt_mirror *m, const char *suite, const char *default_key);

#endif
