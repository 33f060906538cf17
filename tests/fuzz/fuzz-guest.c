/* tests/fuzz/fuzz-guest.c - files of a distribution that init and its relays read */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/hostname.h"
#include "common/osrelease.h"
#include "common/util.h"
#include "distro/environment.h"
#include "distro/files.h"
#include "distro/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), hostname[HOSTNAME_BYTES];
	struct user user;
	gid_t *gids;
	size_t n;

	memcpy(text, data, size);
	text[size] = '\0';
	if (passwd_find(text, "user", 0, &user) == 0)
		user_done(&user);
	if (passwd_find(text, NULL, 1000, &user) == 0)
		user_done(&user);
	if (group_members(text, "user", 1000, &gids, &n) == 0)
		free(gids);
	free(locale_lang_in(text));
	free(unescape_shell(text));
	free(osrelease_value(text, "ID"));
	hostname_clean(text, hostname);
	if (!hostname[0] || strlen(hostname) >= HOSTNAME_BYTES)
		abort();
	free(text);
	return 0;
}
