/* shared/common/osrelease.h - one value of an os-release(5) file */
#ifndef SHARED_COMMON_OSRELEASE_H
#define SHARED_COMMON_OSRELEASE_H

#define OSRELEASE_MAX_BYTES 64u

/* The value of @key in fresh memory, quotes removed; of several the last one, as a shell would read
 * it. NULL when it is absent, longer than OSRELEASE_MAX_BYTES, or holds anything but letters, digits
 * and "-_.,". */
char *osrelease_value(const char *text, const char *key);

#endif
