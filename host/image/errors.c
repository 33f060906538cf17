/* host/image/errors.c - failures of libext2fs and of the disk in the project's terms */
#include "image/image-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <et/com_err.h>

int err_nomem(struct err *err)
{
	return err_id(err, ERR_E_OUTOFMEMORY, "not enough memory");
}

int err_io(struct err *err, int code, const char *name)
{
	switch (-code) {
	case ENOSPC:
	case EDQUOT:
		return err_id(err, ERR_ERROR_DISK_FULL,
			      "cannot write '%s': the disk is full; free some space and try again",
			      name);
	case EFBIG:
		return err_set(err, code,
			       "cannot write '%s': the file size limit of this process or of the "
			       "file system was reached",
			       name);
	default:
		return err_code(err, code, "cannot write '%s'", name);
	}
}

int err_ext2(struct err *err, errcode_t code, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);

	if (code == EXT2_ET_NO_MEMORY || code == ENOMEM)
		return err_nomem(err);
	if (code == ENOSPC || code == EDQUOT)
		return err_id(err, ERR_ERROR_DISK_FULL,
			      "%s: the disk is full; free some space and try again", what);
	if (code > 0 && code < 4096)
		return err_code(err, -(int)code, "%s", what);
	initialize_ext2_error_table();
	return err_id(err, ERR_WSL_E_DISK_CORRUPTED, "%s: %s", what, error_message(code));
}
