/* guest/boot/hostname.c - cleaning of host names (spec boot.md, 'Files written') */
#include "boot/hostname.h"

#include <stdbool.h>
#include <string.h>

static bool alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

void hostname_clean(const char *name, char ret_name[HOSTNAME_BYTES])
{
	bool dotted = false;
	size_t n = 0;

	for (; *name && n < HOSTNAME_BYTES - 1; name++) {
		char last = n ? ret_name[n - 1] : '-';
		bool keep = alphanumeric(*name);

		if (*name == '.' && !dotted && last != '-')
			keep = dotted = true;
		else if (*name == '-' && last != '-' && last != '.')
			keep = true;
		if (keep)
			ret_name[n++] = *name;
	}
	while (n && !alphanumeric(ret_name[n - 1]))
		n--;
	ret_name[n] = '\0';
	if (n == 0)
		strcpy(ret_name, "localhost");
}
