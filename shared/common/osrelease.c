/* shared/common/osrelease.c - one value of an os-release(5) file */
#include "common/osrelease.h"

#include <ctype.h>
#include <stdbool.h>

#include "common/util.h"

static bool is_quoted(const char *v, size_t len)
{
	return len >= 2 && (v[0] == '"' || v[0] == '\'') && v[len - 1] == v[0];
}

static bool is_plain(const char *v, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)v[i]) && !strchr("-_.,", v[i]))
			return false;
	return len > 0 && len <= OSRELEASE_MAX_BYTES;
}

char *osrelease_value(const char *text, const char *key)
{
	const char *value = NULL;
	size_t key_len = strlen(key), len;

	for (const char *line = text; *line; line += *line == '\n') {
		if (strncmp(line, key, key_len) == 0 && line[key_len] == '=')
			value = line + key_len + 1;
		line = strchrnul(line, '\n');
	}
	if (!value)
		return NULL;
	len = strcspn(value, "\r\n");
	if (is_quoted(value, len)) {
		value++;
		len -= 2;
	}
	return is_plain(value, len) ? str_printf("%.*s", (int)len, value) : NULL;
}
