/* host/catalog/aptsources.c - reads sources.list(5) files, writes deb822 */
#include "catalog/aptsources.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"

#define MAX_SOURCES_BYTES (1u << 20)

/* Names that only Debian's own archives carry. */
static const char *const suites[] = { "bullseye", "bookworm", "trixie",    "forky",    "duke",
				      "sid",      "stable",   "oldstable", "unstable", "testing" };

/* What one source says; every text may be NULL. */
struct source_fields {
	char *types, *uris, *suites, *components, *signed_by, *trusted, *check_valid_until,
		*enabled;
};

static void fields_done(struct source_fields *f)
{
	char **all[] = { &f->types,
			 &f->uris,
			 &f->suites,
			 &f->components,
			 &f->signed_by,
			 &f->trusted,
			 &f->check_valid_until,
			 &f->enabled };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		free(*all[i]);
	*f = (struct source_fields) { 0 };
}

/* The next blank-separated word of *s, or NULL. Cuts *s. */
static char *next_word(char **s)
{
	char *word = *s + strspn(*s, " \t\r\n");

	if (!*word)
		return NULL;
	*s = word + strcspn(word, " \t\r\n");
	if (**s)
		*(*s)++ = '\0';
	return word;
}

static void trim_end(char *s)
{
	size_t n = strlen(s);

	while (n > 0 && strchr(" \t\r\n", s[n - 1]))
		s[--n] = '\0';
}

static bool is_word(const char *word, const char *wanted)
{
	return streq(word, wanted);
}

/* "<debian suite><suffix>"? */
static bool is_debian_suite(const char *word, const char *suffix)
{
	for (size_t i = 0; i < ARRAY_SIZE(suites); i++) {
		const char *rest = str_after(word, suites[i]);

		if (rest && streq(rest, suffix))
			return true;
	}
	return false;
}

static bool any_word(const char *list, bool (*is)(const char *word, const char *arg),
		     const char *arg)
{
	auto_free char *copy = str_dup(list ? list : "");
	char *rest = copy, *word;

	while ((word = next_word(&rest))) {
		if (is(word, arg))
			return true;
	}
	return false;
}

/* --- what a source means ---------------------------------------------------------------------- */

static void archive_set(struct apt_archive *a, const struct source_fields *f)
{
	auto_free char *copy = str_dup(f->uris);
	char *rest = copy, *uri = next_word(&rest);

	if (a->uri || !uri || str_after(uri, "cdrom:"))
		return;
	a->uri = str_dup(uri);
	while (str_endswith(a->uri, "/"))
		a->uri[strlen(a->uri) - 1] = '\0';
	a->signed_by = str_dup(f->signed_by);
	a->trusted = str_dup(f->trusted);
	a->check_valid_until = str_dup(f->check_valid_until);
}

static void consider(struct apt_mirror *m, const struct source_fields *f)
{
	if (!f->uris || !any_word(f->types, is_word, "deb") ||
	    !any_word(f->components, is_word, "main"))
		return;
	if (f->enabled && (strcaseeq(f->enabled, "no") || strcaseeq(f->enabled, "false")))
		return;
	if (any_word(f->suites, is_debian_suite, "-security") ||
	    any_word(f->suites, is_debian_suite, "/updates"))
		archive_set(&m->security, f);
	if (!any_word(f->suites, is_debian_suite, ""))
		return;
	if (!m->main.uri)
		m->components = str_dup(f->components);
	archive_set(&m->main, f);
	if (!m->main.uri) {
		free(m->components);
		m->components = NULL;
	}
}

/* --- one-line format -------------------------------------------------------------------------- */

static char **field_named(struct source_fields *f, const char *name)
{
	static const char *const names[] = { "Types",
					     "URIs",
					     "Suites",
					     "Components",
					     "Signed-By",
					     "Trusted",
					     "Check-Valid-Until",
					     "Enabled" };
	char **values[] = { &f->types,
			    &f->uris,
			    &f->suites,
			    &f->components,
			    &f->signed_by,
			    &f->trusted,
			    &f->check_valid_until,
			    &f->enabled };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcaseeq(names[i], name))
			return values[i];
	}
	return NULL;
}

static void set_field(struct source_fields *f, const char *name, const char *value)
{
	char **at = field_named(f, name);

	if (!at)
		return;
	free(*at);
	*at = str_dup(value);
}

/* "[ signed-by=/k trusted=yes ]" at *s, if there; *s then stands behind it. */
static void read_options(char **s, struct source_fields *f)
{
	char *open = *s + strspn(*s, " \t"), *close = strchr(open, ']'), *word;

	if (*open != '[' || !close)
		return;
	*close = '\0';
	*s = close + 1;
	open++;
	while ((word = next_word(&open))) {
		char *value = strchr(word, '=');

		if (!value)
			continue;
		*value++ = '\0';
		set_field(f, word, value);
	}
}

static void parse_line(struct apt_mirror *m, char *line)
{
	struct source_fields f = { 0 };
	char *type, *uri, *suite;

	line[strcspn(line, "#")] = '\0';
	trim_end(line);
	type = next_word(&line);
	if (type) {
		set_field(&f, "Types", type);
		read_options(&line, &f);
		uri = next_word(&line);
		suite = uri ? next_word(&line) : NULL;
		if (suite) {
			set_field(&f, "URIs", uri);
			set_field(&f, "Suites", suite);
			set_field(&f, "Components", line + strspn(line, " \t"));
			consider(m, &f);
		}
	}
	fields_done(&f);
}

/* --- deb822 ----------------------------------------------------------------------------------- */

/* A line of a stanza; @current is the field that continuation lines belong to. */
static void stanza_line(struct source_fields *f, char *line, char ***current)
{
	char *colon;

	if (*line == ' ' || *line == '\t') {
		if (*current && **current) {
			char *joined = str_printf("%s\n%s", **current, line);

			free(**current);
			**current = joined;
		}
		return;
	}
	*current = NULL;
	colon = strchr(line, ':');
	if (!colon)
		return;
	*colon++ = '\0';
	colon += strspn(colon, " \t");
	trim_end(line);
	set_field(f, line, colon);
	*current = field_named(f, line);
}

static void parse_stanzas(struct apt_mirror *m, char *text)
{
	struct source_fields f = { 0 };
	char **current = NULL, *line;

	while ((line = strsep(&text, "\n"))) {
		trim_end(line);
		if (*line == '#')
			continue;
		if (*line) {
			stanza_line(&f, line, &current);
			continue;
		}
		consider(m, &f);
		fields_done(&f);
		current = NULL;
	}
	consider(m, &f);
	fields_done(&f);
}

/* --- files ------------------------------------------------------------------------------------ */

static void parse_file(struct apt_mirror *m, int dirfd, const char *name)
{
	auto_free char *text = NULL;
	char *rest, *line;

	if (read_file_at(dirfd, name, MAX_SOURCES_BYTES, &text, NULL) < 0)
		return;
	if (str_endswith(name, ".sources")) {
		parse_stanzas(m, text);
		return;
	}
	rest = text;
	while ((line = strsep(&rest, "\n")))
		parse_line(m, line);
}

static int is_sources_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.' &&
	       (str_endswith(entry->d_name, ".list") || str_endswith(entry->d_name, ".sources"));
}

void apt_mirror_load(const char *etc_apt, struct apt_mirror *ret)
{
	auto_free char *list = str_printf("%s/sources.list", etc_apt);
	auto_free char *parts = str_printf("%s/sources.list.d", etc_apt);
	auto_close int dirfd = open(parts, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **names;
	int n;

	*ret = (struct apt_mirror) { 0 };
	parse_file(ret, AT_FDCWD, list);
	n = dirfd < 0 ? 0 : scandir(parts, &names, is_sources_file, alphasort);
	for (int i = 0; i < n; i++) {
		parse_file(ret, dirfd, names[i]->d_name);
		free(names[i]);
	}
	if (n > 0)
		free(names);
}

static void archive_done(struct apt_archive *a)
{
	free(a->uri);
	free(a->signed_by);
	free(a->trusted);
	free(a->check_valid_until);
}

void apt_mirror_done(struct apt_mirror *m)
{
	archive_done(&m->main);
	archive_done(&m->security);
	free(m->components);
	*m = (struct apt_mirror) { 0 };
}

static void print_archive(FILE *to, const struct apt_archive *a, const char *suite_list,
			  const char *components, const char *default_key)
{
	const char *key = a->signed_by ? a->signed_by : default_key;

	fprintf(to, "Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\n", a->uri, suite_list,
		components);
	if (key)
		fprintf(to, "Signed-By: %s\n", key);
	if (a->trusted)
		fprintf(to, "Trusted: %s\n", a->trusted);
	if (a->check_valid_until)
		fprintf(to, "Check-Valid-Until: %s\n", a->check_valid_until);
}

char *apt_mirror_sources(const struct apt_mirror *m, const char *suite, const char *default_key)
{
	bool rolling = streq(suite, "sid") || streq(suite, "unstable");
	auto_free char *both = rolling ? str_dup(suite) : str_printf("%s %s-updates", suite, suite);
	auto_free char *security = str_printf("%s-security", suite);
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		abort();
	print_archive(to, &m->main, both, m->components, default_key);
	if (m->security.uri && !rolling) {
		fputc('\n', to);
		print_archive(to, &m->security, security, m->components, default_key);
	}
	fclose(to);
	return text;
}
