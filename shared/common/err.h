/* shared/common/err.h - the error object every fallible operation with a story reports through
 *
 * A struct err lives on the caller's stack (zero-initialised: struct err err = ERR_INIT) and is set
 * exactly when a function returns a negative value. The functions below return that value, so that
 * failing is one statement: return err_set(err, -EINVAL, "...").
 *
 * An error has: errnum, a positive errno value; id, its name in the catalogue (ERR_NONE: named by
 * errno); text, one or more complete sentences saying what failed, on what, why and what to do next;
 * context, the nested phases in printing order ("Service/CreateInstance"). When text is full the
 * outer context is cut, never the cause. err may be NULL everywhere: then only the value counts.
 */
#ifndef SHARED_COMMON_ERR_H
#define SHARED_COMMON_ERR_H

#include <stddef.h>

#include "common/util.h"

/* The catalogue. Values travel in RESULT messages: append only. The WSL_E_ block follows the public
 * documentation's numbering (0x80040300 + n) where WSL_E_ codes have one. */
#define ERROR_CATALOGUE(X)                                                                         \
	X(WSL_E_DEFAULT_DISTRO_NOT_FOUND, ENOENT)                                                  \
	X(WSL_E_DISTRO_NOT_FOUND, ENOENT)                                                          \
	X(WSL_E_WSL1_NOT_SUPPORTED, EOPNOTSUPP)                                                    \
	X(WSL_E_VM_MODE_NOT_SUPPORTED, EOPNOTSUPP)                                                 \
	X(WSL_E_TOO_MANY_DISKS_ATTACHED, ENOSPC)                                                   \
	X(WSL_E_CUSTOM_KERNEL_NOT_FOUND, ENOENT)                                                   \
	X(WSL_E_USER_NOT_FOUND, ENOENT)                                                            \
	X(WSL_E_INVALID_USAGE, EINVAL)                                                             \
	X(WSL_E_EXPORT_FAILED, EIO)                                                                \
	X(WSL_E_IMPORT_FAILED, EIO)                                                                \
	X(WSL_E_DISTRO_NOT_STOPPED, EBUSY)                                                         \
	X(WSL_E_TTY_LIMIT, ENOSPC)                                                                 \
	X(WSL_E_VM_MODE_INVALID_STATE, EINVAL)                                                     \
	X(WSL_E_GUI_APPLICATIONS_DISABLED, EOPNOTSUPP)                                             \
	X(WSL_E_DISTRO_ONLY_AVAILABLE_FROM_STORE, EOPNOTSUPP)                                      \
	X(WSL_E_NOT_A_LINUX_DISTRO, EINVAL)                                                        \
	X(WSL_E_INSTALL_PROCESS_FAILED, EIO)                                                       \
	X(WSL_E_DISK_CORRUPTED, EUCLEAN)                                                           \
	X(WSL_E_DISTRIBUTION_NAME_NEEDED, EINVAL)                                                  \
	X(WSL_E_INVALID_JSON, EINVAL)                                                              \
	X(WSL_E_VM_CRASHED, EIO)                                                                   \
	X(WSL_E_KERNEL_NOT_FOUND, ENOENT)                                                          \
	X(WSL_E_PROTOCOL_MISMATCH, EPROTO)                                                         \
	X(WSL_E_REGISTRY_CORRUPTED, EUCLEAN)                                                       \
	X(WSL_E_REGISTRY_TOO_NEW, EPROTO)                                                          \
	X(WSL_E_SERVICE_UNAVAILABLE, ECONNREFUSED)                                                 \
	X(E_INVALIDARG, EINVAL)                                                                    \
	X(E_FAIL, EIO)                                                                             \
	X(E_UNEXPECTED, EIO)                                                                       \
	X(E_ACCESSDENIED, EACCES)                                                                  \
	X(E_ABORT, EINTR)                                                                          \
	X(E_OUTOFMEMORY, ENOMEM)                                                                   \
	X(E_ILLEGAL_STATE_CHANGE, EBUSY)                                                           \
	X(ERROR_ALREADY_EXISTS, EEXIST)                                                            \
	X(ERROR_FILE_EXISTS, EEXIST)                                                               \
	X(ERROR_FILE_NOT_FOUND, ENOENT)                                                            \
	X(ERROR_PATH_NOT_FOUND, ENOENT)                                                            \
	X(ERROR_DISK_FULL, ENOSPC)                                                                 \
	X(ERROR_TIMEOUT, ETIMEDOUT)                                                                \
	X(ERROR_SHARING_VIOLATION, EBUSY)                                                          \
	X(ERROR_VERSION_PARSE_ERROR, EINVAL)                                                       \
	X(TRUST_E_BAD_DIGEST, EBADMSG)

enum err_id {
	ERR_NONE,
#define X(name, errnum) ERR_##name,
	ERROR_CATALOGUE(X)
#undef X
	ERR_ID_COUNT
};

#define ERR_TEXT_BYTES	  2048
#define ERR_CONTEXT_BYTES 160

struct err {
	int errnum;
	enum err_id id;
	char text[ERR_TEXT_BYTES];
	char context[ERR_CONTEXT_BYTES];
};

#define ERR_INIT ((struct err) { 0 })

/* @code: a negative errno value, returned. The text stands alone; err_errno() appends ": reason"
 * from errno and returns -errno. */
int err_set(struct err *err, int code, const char *fmt, ...) format_printf(3, 4);
int err_errno(struct err *err, const char *fmt, ...) format_printf(2, 3);
/* As err_errno() with the reason given as a negative errno value. */
int err_code(struct err *err, int code, const char *fmt, ...) format_printf(3, 4);
/* Sets an error named in the catalogue; returns its negative errno value. */
int err_id(struct err *err, enum err_id id, const char *fmt, ...) format_printf(3, 4);

/* Puts "prefix: " before the text; returns -errnum. */
int err_prefix(struct err *err, const char *fmt, ...) format_printf(2, 3);
/* Puts a phase before the context; returns -errnum. */
int err_context(struct err *err, const char *phase);
/* Names the error unless it already has a name; returns -errnum. */
int err_name(struct err *err, enum err_id id);

/* The printed name: of the catalogue, else of errno ("ENOSPC"), never NULL. */
const char *err_label(const struct err *err);
const char *err_id_name(enum err_id id); /* NULL for ERR_NONE and unknown values */

#endif
