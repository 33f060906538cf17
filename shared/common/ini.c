/* shared/common/ini.c - reads .wslconfig, wsl.conf and wsl-distribution.conf
 *
 * One pass with a cursor. An invalid line is reported once and dropped to its newline; after an
 * invalid section header the keys up to the next header are dropped silently, because nobody can
 * know where they belong. A key counts as given also when its value is bad: a later duplicate is
 * still a duplicate.
 */
#include "common/ini.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/limits.h"
#include "common/util.h"

#define NAME_BYTES 128

struct seen {
	unsigned line; /* 0: not yet */
	char *name;    /* as spelled */
};

struct parser {
	const struct ini_schema *schema;
	const char *file;
	const char *p, *end;
	unsigned line;
	char section[NAME_BYTES];
	bool section_invalid;
	char *value; /* room for the longest possible value */
	void *target;
	struct seen *seen; /* one per schema key */
	ini_warn_fn warn;
	void *arg;
};

static void deliver(struct parser *ps, ini_warn_fn to, const char *fmt, va_list ap)
	format_printf(3, 0);
static void deliver(struct parser *ps, ini_warn_fn to, const char *fmt, va_list ap)
{
	auto_free char *text = NULL;

	if (!to)
		return;
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	to(text, ps->arg);
}

static void problem(struct parser *ps, const char *fmt, ...) format_printf(2, 3);
static void problem(struct parser *ps, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	deliver(ps, ps->warn, fmt, ap);
	va_end(ap);
}

static void fatal_problem(struct parser *ps, const char *fmt, ...) format_printf(2, 3);
static void fatal_problem(struct parser *ps, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	deliver(ps, ps->schema->fatal ? ps->schema->fatal : ps->warn, fmt, ap);
	va_end(ap);
}

/* --- characters ------------------------------------------------------------------------------ */

static bool at_end_of_line(const struct parser *ps)
{
	if (ps->p == ps->end || *ps->p == '\n')
		return true;
	return *ps->p == '\r' && (ps->p + 1 == ps->end || ps->p[1] == '\n');
}

static void next_line(struct parser *ps)
{
	while (ps->p < ps->end && *ps->p != '\n')
		ps->p++;
	if (ps->p < ps->end)
		ps->p++;
	ps->line++;
}

static void skip_blanks(struct parser *ps)
{
	while (ps->p < ps->end && (*ps->p == ' ' || *ps->p == '\t'))
		ps->p++;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A letter, then letters and digits; false when there is none here or it is absurdly long. */
static bool read_name(struct parser *ps, char name[NAME_BYTES])
{
	size_t n = 0;

	while (ps->p < ps->end &&
	       (is_letter(*ps->p) || (n > 0 && *ps->p >= '0' && *ps->p <= '9'))) {
		if (n == NAME_BYTES - 1)
			return false;
		name[n++] = *ps->p++;
	}
	name[n] = '\0';
	return n > 0;
}

/* --- values ---------------------------------------------------------------------------------- */

/* "Invalid escaped character" names one whole UTF-8 character. */
static void report_escape(struct parser *ps)
{
	unsigned char c = (unsigned char)*ps->p;
	int bytes = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	bytes = MIN(bytes, (int)(ps->end - ps->p));
	problem(ps, "Invalid escaped character: '%.*s' in %s:%u", bytes, c < ' ' ? "?" : ps->p,
		ps->file, ps->line);
}

/* After a backslash. 1: *ret_c is the character meant; 0: the line goes on below; -1: reported. */
static int read_escape(struct parser *ps, char *ret_c)
{
	static const char from[] = "\\\"bnt", to[] = "\\\"\b\n\t";
	const char *found;

	if (at_end_of_line(ps)) {
		next_line(ps);
		return 0;
	}
	found = *ps->p ? strchr(from, *ps->p) : NULL;
	if (!found) {
		report_escape(ps);
		return -1;
	}
	ps->p++;
	*ret_c = to[found - from];
	return 1;
}

/* Reads up to the end of the line or a comment into ps->value; false when the line is invalid.
 * @keep counts what blanks at the end may be trimmed down to. */
static bool read_value(struct parser *ps)
{
	size_t n = 0, keep = 0;
	bool quoted = false;

	skip_blanks(ps);
	while (!at_end_of_line(ps)) {
		char c = *ps->p++;
		int r;

		if (c == '\0' || (c == '#' && !quoted))
			break;
		if (c == '"') {
			quoted = !quoted;
			keep = n;
			continue;
		}
		if (c == '\\') {
			r = read_escape(ps, &c);
			if (r < 0)
				return false;
			if (r == 0)
				continue;
			ps->value[n++] = c;
			keep = n;
			continue;
		}
		if ((c == ' ' || c == '\t') && !quoted && n == 0 && keep == 0)
			continue;
		ps->value[n++] = c;
		if (quoted || (c != ' ' && c != '\t'))
			keep = n;
	}
	ps->value[keep] = '\0';
	if (quoted)
		problem(ps, "Expected ' \" ' in %s:%u", ps->file, ps->line);
	return !quoted;
}

static bool parse_int(const char *s, int64_t *ret)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(s, &end, 0);
	if (end == s || *end || errno)
		return false;
	*ret = v;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool parse_mac(const char *s, uint8_t ret[6])
{
	uint8_t mac[6];
	char separator = '\0';

	for (int i = 0; i < 6; i++, s += 2) {
		if (i == 1)
			separator = *s == '-' ? '-' : ':';
		if (i > 0 && *s++ != separator)
			return false;
		if (hex_digit(s[0]) < 0 || hex_digit(s[1]) < 0)
			return false;
		mac[i] = (uint8_t)(hex_digit(s[0]) << 4 | hex_digit(s[1]));
	}
	if (*s)
		return false;
	memcpy(ret, mac, sizeof(mac));
	return true;
}

static int compare_names(const void *a, const void *b)
{
	return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

static char *sorted_names(const char *const *names)
{
	auto_free const char **sorted = NULL;
	size_t n = 0, bytes = 1;
	char *text, *at;

	for (; names[n]; n++)
		bytes += strlen(names[n]) + 2;
	sorted = calloc(n + 1, sizeof(*sorted));
	text = at = malloc(bytes);
	if (!sorted || !text)
		abort();
	memcpy(sorted, names, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare_names);
	*at = '\0';
	for (size_t i = 0; i < n; i++)
		at = stpcpy(stpcpy(at, i ? ", " : ""), sorted[i]);
	return text;
}

static bool parse_enum(const char *const *names, const char *s, int *ret)
{
	for (int i = 0; names[i]; i++) {
		if (strcaseeq(names[i], s)) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static void report_value(struct parser *ps, const struct ini_key *key, const char *name,
			 unsigned line)
{
	const char *v = ps->value, *file = ps->file;
	auto_free char *names = NULL;

	switch (key->type) {
	case INI_BOOL:
		problem(ps, "Invalid boolean value '%s' for key '%s' in %s:%u", v, name, file,
			line);
		break;
	case INI_INT:
		problem(ps, "Invalid integer value '%s' for key '%s' in %s:%u", v, name, file,
			line);
		break;
	case INI_SIZE:
		problem(ps, "Invalid memory string '%s' for %s entry '%s' in %s:%u", v,
			ps->schema->size_file ? ps->schema->size_file : ".wslconfig", name, file,
			line);
		break;
	case INI_ENUM:
		names = sorted_names(key->names);
		problem(ps, "Invalid value '%s' for config key '%s' in %s:%u (Valid values: %s)", v,
			name, file, line, names);
		break;
	case INI_IPV4:
		problem(ps, "Invalid IP value '%s' for key '%s' in %s:%u", v, name, file, line);
		break;
	case INI_MAC:
		fatal_problem(ps, "Invalid mac address '%s' for key '%s' in %s:%u", v, name, file,
			      line);
		break;
	case INI_STRING:
	case INI_IGNORED:
		break;
	}
}

static void store_string(char **at, const char *value)
{
	free(*at);
	*at = str_dup(value);
}

static bool store_value(struct parser *ps, const struct ini_key *key)
{
	void *at = (char *)ps->target + key->offset;

	switch (key->type) {
	case INI_BOOL:
		return parse_bool(ps->value, at) == 0;
	case INI_INT:
		return parse_int(ps->value, at);
	case INI_SIZE:
		return parse_size(ps->value, at) == 0;
	case INI_STRING:
		store_string(at, ps->value);
		return true;
	case INI_ENUM:
		return parse_enum(key->names, ps->value, at);
	case INI_IPV4:
		return inet_pton(AF_INET, ps->value, at) == 1;
	case INI_MAC:
		return parse_mac(ps->value, at);
	case INI_IGNORED:
		break;
	}
	return true;
}

/* --- lines ----------------------------------------------------------------------------------- */

/* The row of the table, aliases resolved; NULL when unknown. */
static const struct ini_key *find_key(const struct ini_schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct ini_key *key = &schema->keys[i];

		if (strcaseeq(key->name, name))
			return key->alias_of ? find_key(schema, key->alias_of) : key;
	}
	return NULL;
}

static void apply(struct parser *ps, const char *name, unsigned line)
{
	const struct ini_key *key = find_key(ps->schema, name);
	struct seen *seen;

	if (!key) {
		problem(ps, "Unknown key '%s' in %s:%u", name, ps->file, line);
		return;
	}
	seen = &ps->seen[key - ps->schema->keys];
	if (seen->line) {
		problem(ps, "Duplicated config key '%s' in %s:%u (Conflicting key: '%s' in %s:%u)",
			name, ps->file, line, seen->name, ps->file, seen->line);
		return;
	}
	seen->line = line;
	seen->name = str_dup(name);
	if (!store_value(ps, key))
		report_value(ps, key, name, line);
}

static bool read_section(struct parser *ps)
{
	ps->section_invalid = true;
	ps->p++;
	skip_blanks(ps);
	if (!read_name(ps, ps->section)) {
		problem(ps, "Invalid section name in %s:%u", ps->file, ps->line);
		return false;
	}
	if (ps->p < ps->end && !strchr(" \t\r\n]#", *ps->p)) {
		problem(ps, "Invalid section name in %s:%u", ps->file, ps->line);
		return false;
	}
	skip_blanks(ps);
	if (ps->p == ps->end || *ps->p != ']') {
		problem(ps, "Expected ']' in %s:%u", ps->file, ps->line);
		return false;
	}
	ps->p++;
	skip_blanks(ps);
	if (!at_end_of_line(ps) && *ps->p != '#') {
		problem(ps, "Expected ' ' or '\\n' in %s:%u", ps->file, ps->line);
		return false;
	}
	ps->section_invalid = false;
	return true;
}

static bool read_key(struct parser *ps)
{
	char key[NAME_BYTES], name[2 * NAME_BYTES];
	unsigned line = ps->line;

	if (!read_name(ps, key) || (ps->p < ps->end && !strchr(" \t\r\n=#", *ps->p))) {
		problem(ps, "Invalid key name in %s:%u", ps->file, ps->line);
		return false;
	}
	skip_blanks(ps);
	if (ps->p == ps->end || *ps->p != '=') {
		problem(ps, "Expected '=' in %s:%u", ps->file, ps->line);
		return false;
	}
	ps->p++;
	if (!read_value(ps))
		return false;
	snprintf(name, sizeof(name), "%s%s%s", ps->section, ps->section[0] ? "." : "", key);
	if (!ps->section_invalid)
		apply(ps, name, line);
	return true;
}

static bool read_line(struct parser *ps)
{
	skip_blanks(ps);
	if (at_end_of_line(ps) || *ps->p == '#')
		return true;
	if (*ps->p == '[')
		return read_section(ps);
	return read_key(ps);
}

void ini_parse(const struct ini_schema *schema, const char *file, const char *text, size_t len,
	       void *target, ini_warn_fn warn, void *arg)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct parser ps = { .schema = schema,
			     .file = file,
			     .line = 1,
			     .target = target,
			     .warn = warn,
			     .arg = arg };

	if (len == 0)
		return;
	ps.p = text;
	ps.end = text + len;
	if (len >= 3 && memcmp(text, bom, 3) == 0)
		ps.p += 3;
	ps.value = malloc(len + 1);
	ps.seen = calloc(schema->n_keys + 1, sizeof(*ps.seen));
	if (!ps.value || !ps.seen)
		abort();
	while (ps.p < ps.end) {
		bool valid = read_line(&ps);

		if (!valid && schema->stop_at_invalid_line)
			break;
		next_line(&ps);
	}
	for (size_t i = 0; i < schema->n_keys; i++)
		free(ps.seen[i].name);
	free(ps.seen);
	free(ps.value);
}

void ini_parse_file(const struct ini_schema *schema, int dirfd, const char *path,
		    const char *shown_path, void *target, ini_warn_fn warn, void *arg)
{
	struct parser ps = { .warn = warn, .arg = arg };
	auto_free char *text = NULL;
	size_t len;
	int r;

	r = read_file_at(dirfd, path, LIMIT_INI_BYTES, &text, &len);
	if (r == -ENOENT || r == -ENOTDIR)
		return;
	if (r < 0) {
		problem(&ps, "Failed to open config file %s, %s", shown_path, strerror(-r));
		return;
	}
	ini_parse(schema, shown_path, text, len, target, warn, arg);
}
