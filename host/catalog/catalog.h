/* host/catalog/catalog.h - which distributions can be installed, and how to get one
 *
 * MANIFESTS   (spec distros.md section 1) in the order names are looked up:
 *   override  $LXSS_DISTRIBUTION_LIST_URL_APPEND or general.distributionListUrlAppend, then
 *             $XDG_CONFIG_HOME/lxss/DistributionInfo.json, then /etc/lxss/DistributionInfo.json.
 *             Using an entry of these is announced by a warning.
 *   main      $LXSS_DISTRIBUTION_LIST_URL or general.distributionListUrl, if set
 *   built in  our own, compiled in; its distributions are built on this machine
 *   public    the list of the WSL project, unless a main manifest is set. Only asked when a name is
 *             in none of the others, or for the list.
 *   A list that cannot be fetched is a warning; the others serve.
 *
 * Beside an archive's URL an entry may have a recipe: "Amd64Build": {"Recipe": "debian",
 * "Suite": "bookworm"}. Entries without anything for this architecture do not exist.
 *
 * Ownership  entries and rows belong to the catalog and live until catalog_free().
 * Threads    none; calls block. catalog_obtain() runs a child process for recipes.
 * Errors     0 or -errno with *err filled. Contexts are left to the caller, but for VerifyChecksum.
 */
#ifndef HOST_CATALOG_CATALOG_H
#define HOST_CATALOG_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalog;
struct err;
struct msg_progress;

struct catalog_config {
	const char *list_url,
		*append_url; /* of struct settings; NULL: not set. The environment wins */
	void (*warn)(const char *text, void *arg); /* NULL: nobody listens */
	void *arg;
};

enum catalog_kind {
	CATALOG_ARCHIVE, /* url: http, https or file */
	CATALOG_RECIPE,  /* built here */
	CATALOG_STORE    /* legacy: known, cannot be had */
};

struct catalog_entry {
	const char *name, *friendly_name;
	enum catalog_kind kind;
	const char *url, *sha256;   /* CATALOG_ARCHIVE; sha256 as written, "" if none */
	const char *recipe, *suite; /* CATALOG_RECIPE */
	bool overriding;            /* from an override manifest */
	bool local; /* file:// URL: neither downloaded nor deleted, no "Downloading" line */
};

/* Reads the files and, when they are set, the lists of @cfg. */
int catalog_load(const struct catalog_config *cfg, struct catalog **ret, struct err *err);
struct catalog *catalog_free(struct catalog *cat); /* returns NULL */

/* By name or flavour, without case. @legacy: only the legacy lists. NULL @name: the default
 * distribution, or with @legacy the first legacy entry. May ask the network.
 * Errors: ERR_WSL_E_DISTRO_NOT_FOUND with the hint to --list --online; ERR_E_UNEXPECTED without a
 * default; ERR_WSL_E_INVALID_JSON for a list somebody configured. */
int catalog_find(struct catalog *cat, const char *name, bool legacy,
		 const struct catalog_entry **ret, struct err *err);

/* The rows of --list --online, duplicates dropped. Asks the network. */
int catalog_list_online(struct catalog *cat, const struct catalog_entry *const **ret, size_t *ret_n,
			struct err *err);

struct catalog_progress {
	/* @p: bytes done of total; total 0: a step without measure, told by its phase. */
	void (*show)(const struct msg_progress *p, void *arg);
	bool (*cancelled)(void *arg); /* asked a few times a second; NULL: never */
	void *arg;
};

/* The archive of an entry, open for reading at its start, verified against sha256 if that is given;
 * whoever closes it frees what was temporary. @progress may be NULL. *ret_source is a fresh string
 * that names the archive in messages.
 *
 * ERR_TRUST_E_BAD_DIGEST with context VerifyChecksum for a wrong hash (the file is removed),
 * ERR_WSL_E_DISTRO_ONLY_AVAILABLE_FROM_STORE for legacy entries, ERR_E_ABORT when cancelled.
 * An interrupted download is resumed by the next call; when the process is killed, a build under
 * way ends and is cleaned away by itself. */
int catalog_obtain(struct catalog *cat, const struct catalog_entry *entry,
		   const struct catalog_progress *progress, int *ret_fd, char **ret_source,
		   struct err *err);

#endif
