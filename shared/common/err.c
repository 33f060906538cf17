/* shared/common/err.c - error objects and the error catalogue */
#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int errnum;
} catalogue[] = {
	[ERR_NONE] = { NULL, EIO },
#define X(name, errnum) [ERR_##name] = { #name, errnum },
	ERROR_CATALOGUE(X)
#undef X
};

static void set_text(struct err *err, int errnum, enum err_id id, const char *fmt, va_list ap)
	format_printf(4, 0);
static void set_text(struct err *err, int errnum, enum err_id id, const char *fmt, va_list ap)
{
	err->errnum = errnum;
	err->id = id;
	err->context[0] = '\0';
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
}

static void append_reason(struct err *err, int errnum)
{
	size_t n = strlen(err->text);

	snprintf(err->text + n, sizeof(err->text) - n, ": %s", strerror(errnum));
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	set_text(err, -code, ERR_NONE, fmt, ap);
	va_end(ap);
	return code;
}

int err_errno(struct err *err, const char *fmt, ...)
{
	int errnum = errno ? errno : EIO;
	va_list ap;

	if (!err)
		return -errnum;
	va_start(ap, fmt);
	set_text(err, errnum, ERR_NONE, fmt, ap);
	va_end(ap);
	append_reason(err, errnum);
	return -errnum;
}

int err_code(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	set_text(err, -code, ERR_NONE, fmt, ap);
	va_end(ap);
	append_reason(err, -code);
	return code;
}

int err_id(struct err *err, enum err_id id, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -catalogue[id].errnum;
	va_start(ap, fmt);
	set_text(err, catalogue[id].errnum, id, fmt, ap);
	va_end(ap);
	return -catalogue[id].errnum;
}

/* Outer text that does not fit is cut; the cause stays whole. */
static void prepend(char *text, size_t size, const char *outer, const char *joint)
{
	size_t have = strlen(text), gap = strlen(joint), want = strlen(outer);
	size_t room = size - 1 - have;

	if (room <= gap)
		return;
	if (want > room - gap)
		want = room - gap;
	memmove(text + want + gap, text, have + 1);
	memcpy(text, outer, want);
	memcpy(text + want, joint, gap);
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char outer[ERR_TEXT_BYTES];
	va_list ap;

	if (!err)
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(outer, sizeof(outer), fmt, ap);
	va_end(ap);
	prepend(err->text, sizeof(err->text), outer, ": ");
	return -err->errnum;
}

int err_context(struct err *err, const char *phase)
{
	if (!err)
		return -EIO;
	prepend(err->context, sizeof(err->context), phase, err->context[0] ? "/" : "");
	return -err->errnum;
}

int err_name(struct err *err, enum err_id id)
{
	if (!err)
		return -EIO;
	if (err->id == ERR_NONE)
		err->id = id;
	return -err->errnum;
}

const char *err_id_name(enum err_id id)
{
	return (unsigned)id < ARRAY_SIZE(catalogue) ? catalogue[id].name : NULL;
}

const char *err_label(const struct err *err)
{
	const char *name = err_id_name(err->id);

	if (!name)
		name = strerrorname_np(err->errnum);
	return name ? name : "E_FAIL";
}
