/* host/registry/registry.h - the distributions of one user and their defaults, in a database
 *
 * LIFE OF A RECORD
 *   registry_begin_install()   state Installing. Makes the base directory. The image worker writes
 *                              <base>/ext4.img.partial (registry_partial_path()) and syncs it.
 *   registry_commit_install()  state Installed; then renames the partial image to ext4.img. A crash
 *                              between the two is completed by registry_recover().
 *   registry_abort_install()   the opposite: removes the partial image, the directory if we made
 * it, and the record. registry_begin_remove()    state Uninstalling: from here on only removal
 * makes sense. registry_remove()          deletes image, empty base directory and record; the first
 * remaining installed distribution becomes default if the default went. registry_recover() at
 * service start: finishes whatever a crash left half done. Running, Converting and Exporting are
 * not stored: they are the service's knowledge.
 *
 * Ownership  struct registry_record owns its strings; registry_record_done() frees them. Strings of
 *            a record are never NULL.
 * Threads    one thread per handle. Another process may hold the database: writes wait for it.
 * Errors     0 or -errno with *err filled; ret_ outputs are written on success only.
 * Durability every write is one transaction, on disk when the function returns.
 */
#ifndef HOST_REGISTRY_REGISTRY_H
#define HOST_REGISTRY_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/message.h" /* enum distro_state */

struct err;
struct registry;

#define REGISTRY_FILE     "registry.db"
#define REGISTRY_IMAGE    "ext4.img"
#define REGISTRY_PARTIAL  "ext4.img.partial"
#define REGISTRY_ID_BYTES 39u /* "{8-4-4-4-12}" with its NUL */

#define DISTRO_FLAG_INTEROP     1u
#define DISTRO_FLAG_APPEND_PATH 2u
#define DISTRO_FLAG_DRIVES      4u
#define DISTRO_FLAG_VM          8u
#define DISTRO_FLAGS_DEFAULT    0xfu

struct registry_record {
	char id[REGISTRY_ID_BYTES]; /* "{guid}", lower case */
	char *name;                 /* "" while an import without a name is under way */
	enum distro_state state;    /* Installed, Installing or Uninstalling */
	uint32_t version;           /* 2 */
	char *base_path;            /* absolute, links resolved */
	char *image;                /* file name in base_path */
	uint32_t flags;             /* DISTRO_FLAG_* */
	uint32_t default_uid;
	bool run_oobe;
	char *flavor, *os_version; /* of os-release, "" when unknown */
	int64_t created;           /* seconds since the epoch */
	bool is_default;
	bool in_place; /* image was there before us: nothing of it is removed when an install fails
			*/
};

enum registry_scope { REGISTRY_INSTALLED, REGISTRY_ANY_STATE };

/* @path: NULL for registry.db in the data directory, created when missing. A damaged file is left
 * alone: ERR_WSL_E_REGISTRY_CORRUPTED says how to recover; ERR_WSL_E_REGISTRY_TOO_NEW when a newer
 * lxss wrote it. */
int registry_open(const char *path, struct registry **ret, struct err *err);
struct registry *registry_close(struct registry *reg); /* returns NULL */

typedef void (*registry_report_fn)(const char *text, void *arg);
/* @report (may be NULL) is told what was cleaned up, a sentence each. Problems with single
 * distributions are reported and leave their record as it is. */
int registry_recover(struct registry *reg, registry_report_fn report, void *arg, struct err *err);

/* All records: the default first, the others in the order they were added. */
int registry_list(struct registry *reg, struct registry_record **ret, size_t *ret_n,
		  struct err *err);
void registry_list_free(struct registry_record *records, size_t n);
void registry_record_done(struct registry_record *rec);

/* By name, without case. ERR_WSL_E_DISTRO_NOT_FOUND when there is none (REGISTRY_INSTALLED: or it
 * is not installed). */
int registry_find(struct registry *reg, const char *name, enum registry_scope scope,
		  struct registry_record *ret, struct err *err);
/* By id, braces optional, any case; ERR_E_INVALIDARG when it is no GUID. */
int registry_find_id(struct registry *reg, const char *id, enum registry_scope scope,
		     struct registry_record *ret, struct err *err);

/* ERR_WSL_E_DEFAULT_DISTRO_NOT_FOUND when there is none. */
int registry_default(struct registry *reg, struct registry_record *ret, struct err *err);
int registry_set_default(struct registry *reg, const char *id, struct err *err);

/* The version new distributions get: 1 or 2. */
int registry_default_version(struct registry *reg, uint32_t *ret, struct err *err);
int registry_set_default_version(struct registry *reg, uint64_t version, struct err *err);

struct registry_plan {
	const char *name;     /* NULL or "": given at commit */
	const char *location; /* absolute directory for the image, made if missing (one level) */
	const char *install_path; /* used without location: <install_path>/{guid} */
	const char *in_place;     /* an existing image file to register where it is; else NULL */
	uint32_t version;         /* 0: 2 */
	bool run_oobe;
};

/* Checks name and place, writes the record and makes the directory. Errors: invalid name
 * ERR_E_INVALIDARG; name taken ERR_ERROR_ALREADY_EXISTS, or ERR_E_ILLEGAL_STATE_CHANGE while its
 * holder is being installed or removed; place taken ERR_ERROR_FILE_EXISTS. */
int registry_begin_install(struct registry *reg, const struct registry_plan *plan,
			   struct registry_record *ret, struct err *err);
/* Gives a record its name (known only after unpacking); same checks and errors. */
int registry_name_install(struct registry *reg, const char *id, const char *name, struct err *err);
/* @flavor, @os_version: of os-release, may be NULL. On error the record is still Installing:
 * abort it. */
int registry_commit_install(struct registry *reg, const char *id, const char *flavor,
			    const char *os_version, struct err *err);
/* Safe at any time before commit; the partial image must not be written any more. */
int registry_abort_install(struct registry *reg, const char *id, struct err *err);

int registry_begin_remove(struct registry *reg, const char *id, struct err *err);
/* Missing files are fine. When the image cannot be deleted the record stays Uninstalling. */
int registry_remove(struct registry *reg, const char *id, struct err *err);

int registry_set_uid(struct registry *reg, const char *id, uint32_t uid, struct err *err);
int registry_set_run_oobe(struct registry *reg, const char *id, bool run, struct err *err);
/* Refreshed at each start; NULL keeps the old value. */
int registry_set_os(struct registry *reg, const char *id, const char *flavor,
		    const char *os_version, struct err *err);

/* The rule for new names; ERR_E_INVALIDARG with 'Invalid distribution name: "X".' */
int registry_check_name(const char *name, struct err *err);
/* "{guid}" in lower case from any accepted spelling; ERR_E_INVALIDARG. */
int registry_parse_id(const char *text, char ret[REGISTRY_ID_BYTES], struct err *err);

/* Fresh strings. */
char *registry_image_path(const struct registry_record *rec);
char *registry_partial_path(const struct registry_record *rec);

#endif
