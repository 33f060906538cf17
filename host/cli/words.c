/* host/cli/words.c - small questions about words: quoting, likeness, identifiers, names, paths */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/limits.h"
#include "common/util.h"

static size_t put_word(char *to, const char *word)
{
	bool quote = !*word || strpbrk(word, " \t\r\n\"");
	char *p = to;

	if (quote)
		*p++ = '"';
	for (; *word; word++) {
		if (quote && (*word == '"' || *word == '\\'))
			*p++ = '\\';
		*p++ = *word;
	}
	if (quote)
		*p++ = '"';
	return (size_t)(p - to);
}

/* One command line for the guest's shell. What the host's shell unquoted is seen by the guest's
 * shell again; only the borders of words that hold blanks or quotes are kept. */
char *remainder_join(int n, char *const *words)
{
	size_t room = 1, used = 0;
	char *line;

	for (int i = 0; i < n; i++)
		room += 2 * strlen(words[i]) + 3;
	line = malloc(room);
	if (!line)
		abort();
	for (int i = 0; i < n; i++) {
		if (i)
			line[used++] = ' ';
		used += put_word(line + used, words[i]);
	}
	line[used] = '\0';
	return line;
}

/* --- suggestions: Damerau-Levenshtein distance over short words --- */

#define SUGGEST_BYTES 64

static unsigned distance(const char *a, const char *b)
{
	unsigned d[3][SUGGEST_BYTES + 1] = { 0 };
	size_t n = strlen(a), m = strlen(b);
	unsigned *before = d[0], *last = d[1], *row = d[2];

	if (n > SUGGEST_BYTES || m > SUGGEST_BYTES)
		return UINT32_MAX;
	for (size_t j = 0; j <= m; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *spare = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);

			best = MIN(best, last[j] + 1);
			best = MIN(best, row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, before[j - 2] + 1);
			row[j] = best;
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[m];
}

void suggest_init(struct suggestion *s, const char *word)
{
	*s = (struct suggestion) { .word = word, .distance = UINT32_MAX };
}

void suggest_try(struct suggestion *s, const char *candidate)
{
	unsigned d = distance(s->word, candidate);

	if (d < s->distance) {
		s->distance = d;
		s->best = candidate;
	}
}

/* Near: at most a third of the letters differ, the dashes aside. */
const char *suggest_best(const struct suggestion *s)
{
	size_t letters = strlen(s->word + strspn(s->word, "-"));

	if (!s->best || letters < 2 || s->distance > MAX(letters / 3, (size_t)1))
		return NULL;
	return s->best;
}

/* "{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}", braces optional, into the registry's lower case form.
 */
bool guid_parse(const char *text, bool braces_needed, char ret[40])
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	bool braces = text[0] == '{';
	char out[40] = "{";
	size_t n = sizeof(form) - 1;

	if (braces_needed && !braces)
		return false;
	text += braces;
	for (size_t i = 0; i < n; i++) {
		if (form[i] == 'x' ? !isxdigit((unsigned char)text[i]) : text[i] != '-')
			return false;
		out[i + 1] = (char)tolower((unsigned char)text[i]);
	}
	if (!streq(text + n, braces ? "}" : ""))
		return false;
	out[n + 1] = '}';
	memcpy(ret, out, sizeof(out));
	return true;
}

bool distro_name_valid(const char *name)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strlen(name);

	return n > 0 && n <= LIMIT_DISTRO_NAME_BYTES && strspn(name, letters) == n &&
	       !strcaseeq(name, "Legacy") && !streq(name, ".") && !streq(name, "..");
}

int check_distro_name(const char *name, struct err *err)
{
	if (distro_name_valid(name))
		return 0;
	return err_id(err, ERR_E_INVALIDARG,
		      "Invalid distribution name: \"%s\".\nA name has 1 to %u of the characters "
		      "A-Z a-z 0-9 . "
		      "_ and -.",
		      name, LIMIT_DISTRO_NAME_BYTES);
}

char *absolute_path(const char *path, struct err *err)
{
	auto_free char *cwd = NULL;

	if (path[0] == '/')
		return str_dup(path);
	cwd = getcwd(NULL, 0);
	if (!cwd) {
		err_errno(err, "cannot find the current directory");
		return NULL;
	}
	return streq(path, ".") ? take_ptr(cwd) : str_printf("%s/%s", cwd, path);
}

void json_string(FILE *to, const char *text)
{
	static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	fputc('"', to);
	for (const char *p = text; *p; p++) {
		const char *at = NULL;

		for (const char *l = letters; *l; l += 2)
			if (*l == *p)
				at = l;
		if (at)
			fprintf(to, "\\%c", at[1]);
		else if ((unsigned char)*p < 0x20)
			fprintf(to, "\\u%04x", (unsigned char)*p);
		else
			fputc(*p, to);
	}
	fputc('"', to);
}
