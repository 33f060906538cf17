/* guest/distro/users.h - /etc/passwd and /etc/group of the distribution, without NSS
 *
 * The guest binary is static: it cannot load the name service modules of a distribution, and it
 * must not wait for a network directory to start a shell. Lines that do not parse are skipped.
 */
#ifndef GUEST_DISTRO_USERS_H
#define GUEST_DISTRO_USERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

struct user {
	uid_t uid;
	gid_t gid;
	char *name, *home, *shell; /* never NULL nor empty; owned */
};

struct user_choice {
	const char *name;         /* asked for by name; "" for the default */
	const char *default_name; /* of wsl.conf; "" for none */
	uint32_t default_uid;     /* of the registration */
};

/* By name; else wsl.conf's default, root if it is unknown; else the registration's uid, root if
 * nobody has it. Only an unknown @choice.name fails: WSL_E_USER_NOT_FOUND. */
int user_choose(const struct user_choice *choice, struct user *ret_user, struct err *err);
void user_done(struct user *user);

/* All groups of a user, the primary one first; allocated. */
int user_groups(const struct user *user, gid_t **ret_gids, size_t *ret_n);

/* The parsers, on text: -ENOENT when there is no such line. @name NULL: by @uid. */
int passwd_find(const char *text, const char *name, uid_t uid, struct user *ret_user);
int group_members(const char *text, const char *name, gid_t primary, gid_t **ret_gids,
		  size_t *ret_n);

#endif
