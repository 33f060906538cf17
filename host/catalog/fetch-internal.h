/* host/catalog/fetch-internal.h - what fetch.c and download.c share */
#ifndef HOST_CATALOG_FETCH_INTERNAL_H
#define HOST_CATALOG_FETCH_INTERNAL_H

#include <curl/curl.h>
#include <stdbool.h>

#include "catalog/fetch.h"

/* A handle with the rules of fetch.h; @reason gets curl's explanation of a failure. */
CURL *fetch_handle(const char *url, char reason[CURL_ERROR_SIZE]);
/* The HTTP status of the answer that is being received or was received last. */
long fetch_status(CURL *curl);
/* "Connection refused" or "HTTP status 404". */
const char *fetch_reason(CURLcode code, long status, const char *reason, char *buf, size_t size);
/* Worth another try? */
bool fetch_transient(CURLcode code, long status);

#endif
