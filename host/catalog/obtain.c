/* host/catalog/obtain.c - from an entry to an open, verified archive */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/catalog-internal.h"
#include "catalog/digest.h"
#include "catalog/fetch.h"
#include "catalog/recipe.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "config/paths.h"

/* A local archive is used where it is. */
static int open_local(const char *path, const char *sha256, int *ret_fd, struct err *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char actual[DIGEST_HEX_BYTES];
	struct digest *digest;
	struct stat st;
	int r;

	if (fd < 0)
		return err_errno(err, "Cannot open '%s'", path);
	if (sha256) {
		digest = digest_new();
		if (!digest)
			return err_id(err, ERR_E_OUTOFMEMORY, "Out of memory.");
		r = fstat(fd, &st) < 0 ? -errno : digest_read(digest, fd, (uint64_t)st.st_size);
		digest_hex(digest, actual);
		digest_free(digest);
		if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
			return err_code(err, r < 0 ? r : -errno, "Cannot read '%s'", path);
		r = digest_check(sha256, actual, err);
		if (r < 0)
			return r;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

static int download(const char *url, const char *sha256, const struct catalog_progress *progress,
		    int *ret_fd, struct err *err)
{
	auto_free char *cache = path_dir(PATH_CACHE, err);
	auto_free char *dir = cache ? str_printf("%s/downloads", cache) : NULL;
	auto_close int dirfd = -1;
	int r;

	if (!dir)
		return err ? -err->errnum : -ENOENT;
	r = mkdir_p(dir, 0700);
	if (r < 0)
		return err_code(err, r, "Cannot create '%s'", dir);
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_errno(err, "Cannot open '%s'", dir);
	return fetch_file(dirfd, url, sha256, progress, ret_fd, err);
}

static int obtain_archive(const struct catalog_entry *entry,
			  const struct catalog_progress *progress, int *ret_fd, char **ret_source,
			  struct err *err)
{
	auto_free char *path = url_file_path(entry->url);
	auto_free char *sha256 = NULL;
	int r;

	if (entry->sha256[0]) {
		r = digest_parse(entry->sha256, &sha256, err);
		if (r < 0)
			return r;
	}
	if (path)
		r = open_local(path, sha256, ret_fd, err);
	else
		r = download(entry->url, sha256, progress, ret_fd, err);
	if (r == 0)
		*ret_source = str_dup(path ? path : entry->url);
	return r;
}

int catalog_obtain(struct catalog *cat, const struct catalog_entry *entry,
		   const struct catalog_progress *progress, int *ret_fd, char **ret_source,
		   struct err *err)
{
	switch (entry->kind) {
	case CATALOG_ARCHIVE:
		return obtain_archive(entry, progress, ret_fd, ret_source, err);
	case CATALOG_RECIPE:
		return recipe_build(entry, progress, cat->cfg.warn, cat->cfg.arg, ret_fd,
				    ret_source, err);
	case CATALOG_STORE:
		break;
	}
	return err_id(err, ERR_WSL_E_DISTRO_ONLY_AVAILABLE_FROM_STORE,
		      "The distribution '%s' is only available from a store that does not exist on "
		      "this system.",
		      entry->name);
}
