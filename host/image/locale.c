/* host/image/locale.c - which character set libarchive believes in
 *
 * libarchive converts names between the archive's declared character set and the thread's locale,
 * and falls back to the raw bytes where a conversion of a tar header fails. In the C locale every
 * conversion of a non-ASCII tar name fails, so that names arrive exactly as they were written.
 * Formats with names in UTF-16 (zip, 7-Zip, ISO 9660) need a UTF-8 locale instead, as does writing
 * pax headers: there names that are not UTF-8 fall back to "hdrcharset=BINARY".
 */
#include "image/image-internal.h"

#include <iconv.h>
#include <locale.h>
#include <pthread.h>
#include <time.h>

static locale_t locales[2];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
	locales[CHARSET_BYTES] = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	locales[CHARSET_UTF8] = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static void touch_iconv(void)
{
	iconv_t cd = iconv_open("ANSI_X3.4-1968", "UTF-8");

	if (cd != (iconv_t)-1)
		iconv_close(cd);
}

void image_prepare(void)
{
	pthread_once(&once, load);
	initialize_ext2_error_table();
	touch_iconv();
	tzset();
}

locale_t charset_enter(enum charset set)
{
	pthread_once(&once, load);
	return locales[set] ? uselocale(locales[set]) : (locale_t)0;
}

void charset_leave(locale_t old)
{
	if (old)
		uselocale(old);
}
