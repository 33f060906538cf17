/* host/catalog/catalog.c - the manifests in their order, look-up and listing */
#include "catalog/catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "builtin.h"
#include "catalog/catalog-internal.h"
#include "catalog/fetch.h"
#include "catalog/manifest.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/util.h"
#include "config/paths.h"

#define PUBLIC_URL                                                                                 \
	"https://raw.githubusercontent.com/microsoft/WSL/master/distributions/"                    \
	"DistributionInfo.json"
#define MANIFEST_FILE   "DistributionInfo.json"
#define SYSTEM_MANIFEST "/etc/lxss/" MANIFEST_FILE
#define ENV_LIST        "LXSS_DISTRIBUTION_LIST_URL"
#define ENV_APPEND      "LXSS_DISTRIBUTION_LIST_URL_APPEND"
#define ROWS_PER_FLAVOR 4u

void catalog_warn(const struct catalog *cat, const char *fmt, ...)
{
	auto_free char *text = NULL;
	va_list ap;

	if (!cat->cfg.warn)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	cat->cfg.warn(text, cat->cfg.arg);
}

/* --- loading --------------------------------------------------------------------------------- */

/* Takes over a parsed document. */
static int add_text(struct catalog *cat, enum source_kind kind, const char *origin,
		    const char *text, size_t len, struct err *err)
{
	struct manifest m;
	int r = manifest_parse(text, len, &m, err);

	if (r < 0)
		return err_prefix(err, "The distribution list '%s' is of no use", origin);
	for (size_t i = 0; i < m.n; i++)
		m.entries[i].pub.overriding = kind == SOURCE_OVERRIDE;
	cat->sources[cat->n_sources++] = (struct source) { .kind = kind, .manifest = m };
	return 0;
}

/* 0 also when the file does not exist. */
static int add_file(struct catalog *cat, const char *path, struct err *err)
{
	auto_free char *text = NULL;
	size_t len;
	int r = read_file_at(AT_FDCWD, path, LIMIT_MANIFEST_BYTES, &text, &len);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0) {
		catalog_warn(cat, "Failed to read the distribution list '%s'. %s", path,
			     strerror(-r));
		return 0;
	}
	return add_text(cat, SOURCE_OVERRIDE, path, text, len, err);
}

static int read_url(const char *url, char **ret, size_t *ret_len, struct err *err)
{
	auto_free char *path = url_file_path(url);
	int r;

	if (!path)
		return fetch_text(url, LIMIT_MANIFEST_BYTES, ret, ret_len, err);
	r = read_file_at(AT_FDCWD, path, LIMIT_MANIFEST_BYTES, ret, ret_len);
	return r < 0 ? err_set(err, r, "%s", strerror(-r)) : 0;
}

/* A list that cannot be had is a warning. So is nonsense from the public one: it may come from the
 * log-in page of some network. */
static int add_url(struct catalog *cat, enum source_kind kind, const char *url, struct err *err)
{
	auto_free char *text = NULL;
	struct err why = ERR_INIT;
	size_t len;
	int r = read_url(url, &text, &len, &why);

	if (r < 0) {
		catalog_warn(cat, "Failed to fetch the distribution list from '%s'. %s", url,
			     why.text);
		return 0;
	}
	if (kind != SOURCE_PUBLIC)
		return add_text(cat, kind, url, text, len, err);
	if (add_text(cat, kind, url, text, len, &why) < 0)
		catalog_warn(cat, "%s", why.text);
	return 0;
}

static char *user_manifest_path(void)
{
	const char *base = getenv("XDG_CONFIG_HOME");
	auto_free char *home = NULL;

	if (base && base[0] == '/')
		return str_printf("%s/lxss/" MANIFEST_FILE, base);
	home = path_home();
	return home ? str_printf("%s/.config/lxss/" MANIFEST_FILE, home) : NULL;
}

static const char *env_or(const char *name, const char *setting)
{
	const char *value = getenv(name);

	if (value)
		return value[0] ? value : NULL;
	return setting && setting[0] ? setting : NULL;
}

static int load(struct catalog *cat, struct err *err)
{
	const char *append = env_or(ENV_APPEND, cat->cfg.append_url);
	const char *list = env_or(ENV_LIST, cat->cfg.list_url);
	auto_free char *user = user_manifest_path();
	int r = 0;

	if (append)
		r = add_url(cat, SOURCE_OVERRIDE, append, err);
	if (r == 0 && user)
		r = add_file(cat, user, err);
	if (r == 0)
		r = add_file(cat, SYSTEM_MANIFEST, err);
	if (r == 0 && list)
		r = add_url(cat, SOURCE_MAIN, list, err);
	if (r == 0)
		r = add_text(cat, SOURCE_BUILTIN, "built in", builtin_manifest,
			     strlen(builtin_manifest), err);
	cat->ask_public = !list;
	return r;
}

int catalog_load(const struct catalog_config *cfg, struct catalog **ret, struct err *err)
{
	struct catalog *cat = calloc(1, sizeof(*cat));
	int r;

	if (!cat)
		return err_id(err, ERR_E_OUTOFMEMORY, "Out of memory.");
	cat->cfg = *cfg;
	r = load(cat, err);
	cat->cfg.list_url = cat->cfg.append_url = NULL; /* borrowed for this call only */
	if (r < 0) {
		catalog_free(cat);
		return r;
	}
	*ret = cat;
	return 0;
}

struct catalog *catalog_free(struct catalog *cat)
{
	if (cat) {
		for (size_t i = 0; i < cat->n_sources; i++)
			manifest_done(&cat->sources[i].manifest);
		free(cat->rows);
		free(cat);
	}
	return NULL;
}

static int need_public(struct catalog *cat, struct err *err)
{
	if (!cat->ask_public)
		return 0;
	cat->ask_public = false;
	return add_url(cat, SOURCE_PUBLIC, PUBLIC_URL, err);
}

/* --- look-up --------------------------------------------------------------------------------- */

static const struct catalog_entry *find_in_all(const struct catalog *cat, const char *name,
					       bool legacy)
{
	for (size_t i = 0; i < cat->n_sources; i++) {
		const struct manifest_entry *e =
			manifest_find(&cat->sources[i].manifest, name, legacy);

		if (e)
			return &e->pub;
	}
	return NULL;
}

static const struct catalog_entry *first_legacy(const struct catalog *cat)
{
	for (size_t i = 0; i < cat->n_sources; i++) {
		const struct manifest *m = &cat->sources[i].manifest;

		for (size_t k = 0; k < m->n; k++) {
			if (!m->entries[k].flavor)
				return &m->entries[k].pub;
		}
	}
	return NULL;
}

static const char *default_name(const struct catalog *cat)
{
	for (size_t i = 0; i < cat->n_sources; i++) {
		if (cat->sources[i].manifest.default_name)
			return cat->sources[i].manifest.default_name;
	}
	return NULL;
}

static int find_named(struct catalog *cat, const char *name, bool legacy,
		      const struct catalog_entry **ret, struct err *err)
{
	int r;

	*ret = find_in_all(cat, name, legacy);
	if (*ret)
		return 0;
	r = need_public(cat, err);
	if (r < 0)
		return r;
	*ret = find_in_all(cat, name, legacy);
	if (*ret)
		return 0;
	return err_id(err, ERR_WSL_E_DISTRO_NOT_FOUND,
		      "Invalid distribution name: '%s'.\nTo get a list of valid distributions, use "
		      "'wsl --list --online'.",
		      name);
}

static int find_default(struct catalog *cat, bool legacy, const struct catalog_entry **ret,
			struct err *err)
{
	const char *name = legacy ? NULL : default_name(cat);
	int r;

	if (name)
		return find_named(cat, name, false, ret, err);
	*ret = first_legacy(cat);
	if (*ret)
		return 0;
	r = need_public(cat, err);
	if (r < 0)
		return r;
	*ret = first_legacy(cat);
	if (*ret)
		return 0;
	return err_id(
		err, ERR_E_UNEXPECTED,
		"No default distribution has been configured. Please provide a distribution to "
		"install.");
}

int catalog_find(struct catalog *cat, const char *name, bool legacy,
		 const struct catalog_entry **ret, struct err *err)
{
	const struct catalog_entry *found;
	int r = name ? find_named(cat, name, legacy, &found, err)
		     : find_default(cat, legacy, &found, err);

	if (r < 0)
		return r;
	if (found->overriding)
		catalog_warn(cat, "The distribution \"%s\" is provided by an override manifest.",
			     found->name);
	*ret = found;
	return 0;
}

/* --- the list -------------------------------------------------------------------------------- */

static void add_row(struct catalog *cat, size_t *n, const struct catalog_entry *entry)
{
	for (size_t i = 0; i < *n; i++) {
		if (strcaseeq(cat->rows[i]->name, entry->name))
			return;
	}
	cat->rows[(*n)++] = entry;
}

/* Modern entries, at most @per_flavor of each flavour; flavours are contiguous. */
static void add_modern(struct catalog *cat, size_t *n, const struct manifest *m, size_t per_flavor)
{
	size_t of_flavor = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct manifest_entry *e = &m->entries[i];

		if (!e->flavor)
			continue;
		if (i == 0 || !m->entries[i - 1].flavor ||
		    !streq(m->entries[i - 1].flavor, e->flavor))
			of_flavor = 0;
		if (of_flavor++ < per_flavor)
			add_row(cat, n, &e->pub);
	}
}

static void add_legacy(struct catalog *cat, size_t *n, const struct manifest *m)
{
	for (size_t i = 0; i < m->n; i++) {
		if (!m->entries[i].flavor)
			add_row(cat, n, &m->entries[i].pub);
	}
}

int catalog_list_online(struct catalog *cat, const struct catalog_entry *const **ret, size_t *ret_n,
			struct err *err)
{
	size_t n = 0, room = 1;
	int r = need_public(cat, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < cat->n_sources; i++)
		room += cat->sources[i].manifest.n;
	free(cat->rows);
	cat->rows = calloc(room, sizeof(*cat->rows));
	if (!cat->rows)
		return err_id(err, ERR_E_OUTOFMEMORY, "Out of memory.");
	for (size_t i = 0; i < cat->n_sources; i++) {
		const struct source *s = &cat->sources[i];
		bool all = s->kind == SOURCE_OVERRIDE;

		add_modern(cat, &n, &s->manifest, all ? SIZE_MAX : ROWS_PER_FLAVOR);
		if (all)
			add_legacy(cat, &n, &s->manifest);
	}
	for (size_t i = 0; i < cat->n_sources; i++)
		add_legacy(cat, &n, &cat->sources[i].manifest);
	*ret = cat->rows;
	*ret_n = n;
	return 0;
}
