/* host/catalog/manifest.c - reads DistributionInfo.json */
#include "catalog/manifest.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"

#if defined(__x86_64__)
#define ARCH_PREFIX "Amd64"
#elif defined(__aarch64__)
#define ARCH_PREFIX "Arm64"
#else
#define ARCH_PREFIX "Native" /* only our own lists can have entries for other machines */
#endif

static int invalid(struct err *err, const char *what, const char *name)
{
	return err_id(err, ERR_WSL_E_INVALID_JSON, "Invalid JSON document. Parse error: %s%s%s",
		      what, name ? " in " : "", name ? name : "");
}

/* Names and titles are printed: no control character may reach the terminal (C1 is \xc2\x80-\x9f).
 */
static char *printable(const char *text)
{
	char *copy = str_dup(text);

	for (unsigned char *c = (unsigned char *)copy; *c; c++) {
		if (*c < ' ' || *c == 0x7f)
			*c = '?';
		else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			c[0] = c[1] = '?';
	}
	return copy;
}

/* A text member. 1: *ret is fresh; 0: absent; negative: something else stands there. */
static int text_member(const json_t *object, const char *key, char **ret, struct err *err)
{
	const json_t *value = json_object_get(object, key);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return invalid(err, "a text is expected for", key);
	*ret = printable(json_string_value(value));
	return 1;
}

static int needed_text(const json_t *object, const char *key, char **ret, struct err *err)
{
	int r = text_member(object, key, ret, err);

	if (r == 0)
		return invalid(err, "key not found:", key);
	return r < 0 ? r : 0;
}

static void entry_done(struct manifest_entry *e)
{
	const char *strings[] = { e->pub.name,   e->pub.friendly_name, e->pub.url,
				  e->pub.sha256, e->pub.recipe,        e->pub.suite };

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free((char *)strings[i]);
	free(e->flavor);
	*e = (struct manifest_entry) { 0 };
}

void manifest_done(struct manifest *m)
{
	for (size_t i = 0; i < m->n; i++)
		entry_done(&m->entries[i]);
	free(m->entries);
	free(m->default_name);
	*m = (struct manifest) { 0 };
}

/* Takes the strings of *e in any case. */
static int append(struct manifest *m, struct manifest_entry *e, struct err *err)
{
	struct manifest_entry *grown;

	if ((m->n & (m->n - 1)) == 0) { /* full at every power of two */
		grown = realloc(m->entries, (m->n ? m->n * 2 : 1) * sizeof(*grown));
		if (!grown) {
			entry_done(e);
			return err_id(err, ERR_E_OUTOFMEMORY, "Out of memory.");
		}
		m->entries = grown;
	}
	m->entries[m->n++] = *e;
	*e = (struct manifest_entry) { 0 };
	return 0;
}

static int names_of(const json_t *object, struct manifest_entry *e, struct err *err)
{
	char *name = NULL, *friendly = NULL;
	int r = needed_text(object, "Name", &name, err);

	if (r == 0)
		r = needed_text(object, "FriendlyName", &friendly, err);
	e->pub.name = name;
	e->pub.friendly_name = friendly;
	return r;
}

static int archive_of(const json_t *object, struct manifest_entry *e, struct err *err)
{
	char *url = NULL, *sha256 = NULL;
	auto_free char *path = NULL;
	int r;

	if (!json_is_object(object))
		return invalid(err, "an object is expected for", ARCH_PREFIX "Url");
	r = needed_text(object, "Url", &url, err);
	if (r == 0)
		r = text_member(object, "Sha256", &sha256, err);
	e->pub.kind = CATALOG_ARCHIVE;
	e->pub.url = url;
	e->pub.sha256 = sha256 ? sha256 : str_dup("");
	path = url ? url_file_path(url) : NULL;
	e->pub.local = path != NULL;
	return r < 0 ? r : 0;
}

static int recipe_of(const json_t *object, struct manifest_entry *e, struct err *err)
{
	char *recipe = NULL, *suite = NULL;
	int r;

	if (!json_is_object(object))
		return invalid(err, "an object is expected for", ARCH_PREFIX "Build");
	r = needed_text(object, "Recipe", &recipe, err);
	if (r == 0)
		r = needed_text(object, "Suite", &suite, err);
	e->pub.kind = CATALOG_RECIPE;
	e->pub.recipe = recipe;
	e->pub.suite = suite;
	return r;
}

/* 1: for this architecture, 0: not. An archive is preferred to a recipe. */
static int read_modern(const json_t *object, struct manifest_entry *e, struct err *err)
{
	const json_t *url, *build;
	int r;

	if (!json_is_object(object))
		return invalid(err, "a distribution is not an object", NULL);
	url = json_object_get(object, ARCH_PREFIX "Url");
	build = json_object_get(object, ARCH_PREFIX "Build");
	e->is_default = json_is_true(json_object_get(object, "Default"));
	r = names_of(object, e, err);
	if (r < 0)
		return r;
	if (url && !json_is_null(url))
		r = archive_of(url, e, err);
	else if (build && !json_is_null(build))
		r = recipe_of(build, e, err);
	else
		return 0;
	return r < 0 ? r : 1;
}

static int read_legacy(const json_t *object, struct manifest_entry *e, struct err *err)
{
	int r;

	if (!json_is_object(object))
		return invalid(err, "a distribution is not an object", NULL);
	e->pub.kind = CATALOG_STORE;
	r = names_of(object, e, err);
	if (r < 0)
		return r;
	return json_is_true(json_object_get(object, ARCH_PREFIX)) ? 1 : 0;
}

static int read_entries(const json_t *list, const char *flavor, struct manifest *m, struct err *err)
{
	size_t i;
	json_t *object;

	if (!json_is_array(list))
		return invalid(err, "a list is expected for", flavor ? flavor : "Distributions");
	json_array_foreach(list, i, object)
	{
		struct manifest_entry e = { .flavor = str_dup(flavor) };
		int r = flavor ? read_modern(object, &e, err) : read_legacy(object, &e, err);

		if (r > 0)
			r = append(m, &e, err);
		entry_done(&e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_document(json_t *root, struct manifest *m, struct err *err)
{
	json_t *modern, *legacy, *list;
	const char *flavor;
	int r;

	if (!json_is_object(root))
		return invalid(err, "the document is not an object", NULL);
	r = text_member(root, "Default", &m->default_name, err);
	if (r < 0)
		return r;
	modern = json_object_get(root, "ModernDistributions");
	if (modern && !json_is_null(modern) && !json_is_object(modern))
		return invalid(err, "an object is expected for", "ModernDistributions");
	json_object_foreach(modern, flavor, list)
	{
		r = read_entries(list, flavor, m, err);
		if (r < 0)
			return r;
	}
	legacy = json_object_get(root, "Distributions");
	return legacy && !json_is_null(legacy) ? read_entries(legacy, NULL, m, err) : 0;
}

int manifest_parse(const char *text, size_t len, struct manifest *ret, struct err *err)
{
	static const char bom[] = "\xef\xbb\xbf";
	size_t skip = len >= 3 && memcmp(text, bom, 3) == 0 ? 3 : 0;
	struct manifest m = { 0 };
	json_error_t problem;
	json_t *root;
	int r;

	root = json_loadb(text + skip, len - skip, 0, &problem);
	if (!root)
		return err_id(err, ERR_WSL_E_INVALID_JSON,
			      "Invalid JSON document. Parse error: %s (line %d, column %d)",
			      problem.text, problem.line, problem.column);
	r = read_document(root, &m, err);
	json_decref(root);
	if (r < 0) {
		manifest_done(&m);
		return r;
	}
	*ret = m;
	return 0;
}

const struct manifest_entry *manifest_find(const struct manifest *m, const char *name, bool legacy)
{
	const struct manifest_entry *end = m->entries + m->n;

	for (const struct manifest_entry *e = m->entries; !legacy && e < end; e++) {
		if (e->flavor && e->is_default && strcaseeq(e->flavor, name))
			return e;
	}
	for (const struct manifest_entry *e = m->entries; e < end; e++) {
		if ((!e->flavor || !legacy) && strcaseeq(e->pub.name, name))
			return e;
	}
	return NULL;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Of two digits; -1 if they are not. */
static int hex_byte(const char *digits)
{
	int high = hex_value(digits[0]), low = high < 0 ? -1 : hex_value(digits[1]);

	return low < 0 ? -1 : high * 16 + low;
}

char *url_file_path(const char *url)
{
	const char *s = strncasecmp(url, "file://", 7) == 0 ? url + 7 : NULL;
	char *path, *to;

	if (s && strncasecmp(s, "localhost/", 10) == 0)
		s += 9;
	if (!s || *s != '/')
		return NULL;
	path = to = str_dup(s);
	while (*s) {
		int byte = *s == '%' ? hex_byte(s + 1) : -1;

		if (byte > 0) {
			*to++ = (char)byte;
			s += 3;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
	return path;
}
