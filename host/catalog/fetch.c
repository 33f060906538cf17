/* host/catalog/fetch.c - small texts by HTTP, and the rules every transfer keeps */
#include "catalog/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog/fetch-internal.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"

#define TEXT_CONNECT_MS 3000L
#define TEXT_TOTAL_MS   8000L
#define MAX_REDIRECTS   10L

static void set_protocols(CURL *curl, const char *url)
{
	bool secure = strncasecmp(url, "https:", 6) == 0;

#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
#else
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
	curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS,
			 (long)(secure ? CURLPROTO_HTTPS : CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

CURL *fetch_handle(const char *url, char reason[CURL_ERROR_SIZE])
{
	static bool ready;
	CURL *curl;

	if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return NULL;
	ready = true;
	curl = curl_easy_init();
	if (!curl)
		return NULL;
	reason[0] = '\0';
	set_protocols(curl, url);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(curl, CURLOPT_MAXREDIRS, MAX_REDIRECTS);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "lxss/" LXSS_VERSION);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
	return curl;
}

long fetch_status(CURL *curl)
{
	long status = 0;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

const char *fetch_reason(CURLcode code, long status, const char *reason, char *buf, size_t size)
{
	if (code != CURLE_OK)
		snprintf(buf, size, "%s", reason[0] ? reason : curl_easy_strerror(code));
	else
		snprintf(buf, size, "HTTP status %ld", status);
	return buf;
}

bool fetch_transient(CURLcode code, long status)
{
	switch (code) {
	case CURLE_OK:
		return status >= 500 || status == 408 || status == 429;
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return true;
	default:
		return false;
	}
}

struct text {
	char *data;
	size_t len, max;
	bool too_large;
};

static size_t on_text(char *data, size_t size, size_t n, void *arg)
{
	struct text *t = arg;
	char *grown;

	n *= size;
	if (n > t->max - t->len) {
		t->too_large = true;
		return 0;
	}
	grown = realloc(t->data, t->len + n + 1);
	if (!grown)
		return 0;
	t->data = grown;
	memcpy(t->data + t->len, data, n);
	t->len += n;
	t->data[t->len] = '\0';
	return n;
}

static int text_error(CURL *curl, CURLcode code, const struct text *t, const char *reason,
		      struct err *err)
{
	char buf[CURL_ERROR_SIZE + 32];

	if (t->too_large)
		return err_set(err, -EFBIG, "It is larger than %zu bytes.", t->max);
	return err_set(err, -EIO, "%s",
		       fetch_reason(code, fetch_status(curl), reason, buf, sizeof(buf)));
}

int fetch_text(const char *url, size_t max, char **ret, size_t *ret_len, struct err *err)
{
	char reason[CURL_ERROR_SIZE];
	CURL *curl = fetch_handle(url, reason);
	struct curl_slist *headers;
	struct text t = { .max = max };
	CURLcode code;
	int r = 0;

	if (!curl)
		return err_id(err, ERR_E_OUTOFMEMORY, "Out of memory.");
	headers = curl_slist_append(NULL, "Cache-Control: no-cache");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, TEXT_CONNECT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TEXT_TOTAL_MS);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_text);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &t);
	curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
	code = curl_easy_perform(curl);
	if (code != CURLE_OK || fetch_status(curl) != 200)
		r = text_error(curl, code, &t, reason, err);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	if (r < 0) {
		free(t.data);
		return r;
	}
	*ret = t.data ? t.data : str_dup("");
	*ret_len = t.len;
	return 0;
}
