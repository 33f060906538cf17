/* shared/common/osrelease.h - one value of an os-release(5) file */
#ifndef SHARED_COMMON_OSRELEASE_H
#define SHARED_COMMON_OSRELEASE_H

/* The value of @key in fresh memory, double quotes removed; NULL when it is absent or holds anything
 * but letters, digits and "-_.,". */
char *osrelease_value(const char *text, const char *key);

#endif
