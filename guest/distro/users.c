/* guest/distro/users.c - who a session runs as */
#include "distro/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"

#define ACCOUNT_FILE_BYTES (16 * MIB)
#define GROUPS_MAX         65536 /* as the kernel's NGROUPS_MAX */
#define FIELDS_MAX         7

struct slice {
	const char *at;
	size_t len;
};

static bool slice_is(struct slice s, const char *text)
{
	return strlen(text) == s.len && memcmp(s.at, text, s.len) == 0;
}

static char *slice_dup(struct slice s, const char *if_empty)
{
	return s.len ? str_printf("%.*s", (int)s.len, s.at) : str_dup(if_empty);
}

static int slice_number(struct slice s, uint32_t *ret)
{
	char digits[16];

	if (s.len == 0 || s.len >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, s.at, s.len);
	digits[s.len] = '\0';
	return parse_u32(digits, ret);
}

/* Takes the next line and splits it at colons; returns the number of fields, -1 at the end. */
static int next_line(const char **text, struct slice fields[FIELDS_MAX])
{
	const char *p = *text, *end;
	int n = 0;

	if (!*p)
		return -1;
	end = strchrnul(p, '\n');
	*text = *end ? end + 1 : end;
	while (n < FIELDS_MAX) {
		const char *stop = memchr(p, ':', (size_t)(end - p));

		fields[n].at = p;
		fields[n++].len = (size_t)((stop ? stop : end) - p);
		if (!stop)
			break;
		p = stop + 1;
	}
	return n;
}

int passwd_find(const char *text, const char *name, uid_t uid, struct user *ret_user)
{
	struct slice f[FIELDS_MAX];
	uint32_t id, gid;
	int n;

	while ((n = next_line(&text, f)) >= 0) {
		if (n < FIELDS_MAX || f[0].len == 0 || slice_number(f[2], &id) < 0 ||
		    slice_number(f[3], &gid) < 0)
			continue;
		if (name ? !slice_is(f[0], name) : id != uid)
			continue;
		*ret_user = (struct user) {
			.uid = id,
			.gid = gid,
			.name = slice_dup(f[0], ""),
			.home = slice_dup(f[5], "/"),
			.shell = slice_dup(f[6], "/bin/sh"),
		};
		return 0;
	}
	return -ENOENT;
}

static bool lists_member(struct slice members, const char *name)
{
	size_t len = strlen(name);
	const char *p = members.at, *end = p + members.len;

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *stop = comma ? comma : end;

		if ((size_t)(stop - p) == len && memcmp(p, name, len) == 0)
			return true;
		p = stop + 1;
	}
	return false;
}

int group_members(const char *text, const char *name, gid_t primary, gid_t **ret_gids,
		  size_t *ret_n)
{
	size_t n = 1, room = 32;
	auto_free gid_t *gids = malloc(room * sizeof(*gids));
	struct slice f[FIELDS_MAX];
	uint32_t gid;
	int fields;

	if (!gids)
		return -ENOMEM;
	gids[0] = primary;
	while ((fields = next_line(&text, f)) >= 0 && n < GROUPS_MAX) {
		if (fields < 4 || slice_number(f[2], &gid) < 0 || gid == primary ||
		    !lists_member(f[3], name))
			continue;
		if (n == room) {
			gid_t *grown = realloc(gids, 2 * room * sizeof(*gids));

			if (!grown)
				return -ENOMEM;
			gids = grown;
			room *= 2;
		}
		gids[n++] = gid;
	}
	*ret_gids = take_ptr(gids);
	*ret_n = n;
	return 0;
}

static char *read_accounts(const char *path)
{
	char *text;

	return read_file_at(AT_FDCWD, path, ACCOUNT_FILE_BYTES, &text, NULL) < 0 ? str_dup("")
										 : text;
}

int user_groups(const struct user *user, gid_t **ret_gids, size_t *ret_n)
{
	auto_free char *text = read_accounts("/etc/group");

	return group_members(text, user->name, user->gid, ret_gids, ret_n);
}

/* Even an image without any accounts can be entered. */
static int find_root(const char *text, struct user *ret_user)
{
	if (passwd_find(text, NULL, 0, ret_user) == 0)
		return 0;
	*ret_user = (struct user) {
		.name = str_dup("root"),
		.home = str_dup("/root"),
		.shell = str_dup("/bin/sh"),
	};
	return 0;
}

int user_choose(const struct user_choice *choice, struct user *ret_user, struct err *err)
{
	auto_free char *text = read_accounts("/etc/passwd");

	if (choice->name[0]) {
		if (passwd_find(text, choice->name, 0, ret_user) == 0)
			return 0;
		if (streq(choice->name, "root"))
			return find_root(text, ret_user);
		return err_id(err, ERR_WSL_E_USER_NOT_FOUND, "User not found.");
	}
	if (choice->default_name[0]) {
		if (passwd_find(text, choice->default_name, 0, ret_user) == 0)
			return 0;
		return find_root(text, ret_user);
	}
	if (passwd_find(text, NULL, choice->default_uid, ret_user) == 0)
		return 0;
	return find_root(text, ret_user);
}

void user_done(struct user *user)
{
	free(user->name);
	free(user->home);
	free(user->shell);
	*user = (struct user) { 0 };
}
