/* shared/common/osrelease.c - one value of an os-release(5) file */
#include "common/osrelease.h"

#include <ctype.h>

#include "common/util.h"

char *osrelease_value(const char *text, const char *key)
{
	size_t key_len = strlen(key);

	for (const char *line = text; *line; line += *line == '\n') {
		size_t n = strcspn(line, "\n");
		const char *v = line + key_len + 1;
		size_t len = n > key_len + 1 ? n - key_len - 1 : 0;
		bool found = n > key_len && strncmp(line, key, key_len) == 0 && line[key_len] == '=';

		line += n;
		if (!found)
			continue;
		if (len && v[len - 1] == '\r')
			len--;
		if (len >= 2 && v[0] == '"' && v[len - 1] == '"') {
			v++;
			len -= 2;
		}
		for (size_t i = 0; i < len; i++)
			if (!isalnum((unsigned char)v[i]) && !strchr("-_.,", v[i]))
				return NULL;
		return len ? str_printf("%.*s", (int)len, v) : NULL;
	}
	return NULL;
}
