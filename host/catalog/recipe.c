/* host/catalog/recipe.c - the Debian image: mmdebstrap run on signed packages of the host's mirror
 *
 * CACHE   $XDG_CACHE_HOME/lxss/images/debian-<suite>-<arch>-<hash>.tar, where hash stands for all
 * that goes in: recipe files, sources, this code's RECIPE_VERSION. Plain tar, because the import
 *         that follows reads it faster than anything compressed. After MAX_AGE_SECONDS the packages
 * are fetched anew; when that fails, the old image serves. BUILD   under flock(<name>.lock), into
 * <name>.partial, renamed when complete. The lock file holds the path of the scratch directory, so
 * that the next build can remove what a power cut left. MODE    root builds as root. Others get a
 * user namespace with a range of ids where newuidmap and /etc/subuid allow it, else fakechroot with
 * fakeroot, which needs no privileges at all. HOST    apt's configuration is read for mirror, keys
 * and proxy; its state is not touched.
 */
#include "catalog/recipe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "builtin.h"
#include "catalog/aptsources.h"
#include "catalog/digest.h"
#include "catalog/recipe-internal.h"
#include "catalog/supervise.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "config/paths.h"
#include "protocol/message.h"

#define RECIPE_VERSION   "1"
#define MAX_AGE_SECONDS  (7 * 24 * 3600)
#define SCRATCH_PREFIX   "lxss-build-"
#define DEFAULT_URI      "http://deb.debian.org/debian"
#define DEFAULT_SECURITY DEFAULT_URI "-security"
#define DEFAULT_KEY      "/usr/share/keyrings/debian-archive-keyring.gpg"
#define LOG_LINES        6u

#if defined(__aarch64__)
#define DEB_ARCH "arm64"
#else
#define DEB_ARCH "amd64"
#endif

struct build {
	const struct catalog_entry *entry;
	const struct catalog_progress *progress;
	char *sources, *hook, *packages; /* what goes in */
	char *name;                      /* "debian-bookworm-amd64-<hash>" */
	char *dir, *final, *partial, *log_path, *lock_path;
	int lock_fd;
	char scratch[128];
	FILE *log;
	struct build_progress state;
	char *last[LOG_LINES]; /* lines that tell errors, newest at last[n_last % LOG_LINES - 1] */
	size_t n_last;
	struct err *err;
};

static void build_done(struct build *b)
{
	char *strings[] = { b->sources, b->hook,    b->packages, b->name,     b->dir,
			    b->final,   b->partial, b->log_path, b->lock_path };

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free(strings[i]);
	for (size_t i = 0; i < LOG_LINES; i++)
		free(b->last[i]);
	if (b->log)
		fclose(b->log);
	drop_fd(&b->lock_fd);
}

static bool build_cancelled(void *arg)
{
	const struct build *b = arg;

	return b->progress && b->progress->cancelled && b->progress->cancelled(b->progress->arg);
}

static void show(const struct build *b, const char *phase)
{
	const struct msg_progress p = { .phase = phase };

	if (b->progress && b->progress->show)
		b->progress->show(&p, b->progress->arg);
}

/* --- what goes in ----------------------------------------------------------------------------- */

/* The package list without comments, joined by commas. */
static char *package_list(void)
{
	auto_free char *copy = str_dup(recipe_packages);
	char *list = str_dup(recipe_packages), *to = list, *rest = copy, *line;

	while ((line = strsep(&rest, "\n"))) {
		if (!*line || *line == '#')
			continue;
		if (to > list)
			*to++ = ',';
		to = stpcpy(to, line);
	}
	*to = '\0';
	return list;
}

/* A shell function that prints @text. */
static void put_function(FILE *to, const char *name, const char *text)
{
	fprintf(to, "put_%s() {\ncat <<'END_OF_LXSS_FILE'\n%s%sEND_OF_LXSS_FILE\n}\n", name, text,
		str_endswith(text, "\n") ? "" : "\n");
}

/* Keys outside /usr/share/keyrings come from no package: the image needs copies. */
static void put_keys(FILE *to, const struct apt_mirror *m)
{
	const struct apt_archive *archives[] = { &m->main, &m->security };

	fputs("put_keys() {\n:\n", to);
	for (size_t i = 0; i < ARRAY_SIZE(archives); i++) {
		const char *key = archives[i]->signed_by;

		if (key && key[0] == '/' && !strpbrk(key, "'\n ") &&
		    !str_after(key, "/usr/share/keyrings/debian-archive-"))
			fprintf(to, "install_file 644 '%s' <'%s'\n", key, key);
	}
	fputs("}\n", to);
}

static char *hook_script(const struct catalog_entry *entry, const struct apt_mirror *m,
			 const char *sources)
{
	const char *mark = strstr(recipe_distribution_conf, "@NAME@");
	auto_free char *conf =
		mark ? str_printf("%.*s%s%s", (int)(mark - recipe_distribution_conf),
				  recipe_distribution_conf, entry->name, mark + strlen("@NAME@"))
		     : str_dup(recipe_distribution_conf);
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		abort();
	put_function(to, "sources", sources);
	put_function(to, "wsl_distribution_conf", conf);
	put_function(to, "wsl_conf", recipe_wsl_conf);
	put_function(to, "oobe", recipe_oobe);
	put_keys(to, m);
	fputs(recipe_customize, to);
	fclose(to);
	return text;
}

static void default_mirror(struct apt_mirror *m)
{
	apt_mirror_done(m);
	m->main.uri = str_dup(DEFAULT_URI);
	m->security.uri = str_dup(DEFAULT_SECURITY);
	m->components = str_dup("main");
}

static int plan_content(struct build *b, const char *etc_apt)
{
	struct apt_mirror mirror;
	const char *key = access(DEFAULT_KEY, R_OK) == 0 ? DEFAULT_KEY : NULL;

	apt_mirror_load(etc_apt, &mirror);
	if (!mirror.main.uri) {
		default_mirror(&mirror);
		if (!key) {
			apt_mirror_done(&mirror);
			return err_set(
				b->err, -ENOENT,
				"The keys that sign Debian's packages are missing. Install the "
				"package 'debian-archive-keyring'.");
		}
	}
	b->sources = apt_mirror_sources(&mirror, b->entry->suite, key);
	b->hook = hook_script(b->entry, &mirror, b->sources);
	b->packages = package_list();
	apt_mirror_done(&mirror);
	return 0;
}

static int plan_names(struct build *b)
{
	auto_free char *cache = path_dir(PATH_CACHE, b->err);
	struct digest *digest = digest_new();
	const char *parts[] = { RECIPE_VERSION, b->sources, b->hook, b->packages };
	char hex[DIGEST_HEX_BYTES];
	int r;

	if (!digest)
		return err_id(b->err, ERR_E_OUTOFMEMORY, "Out of memory.");
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		digest_update(digest, parts[i], strlen(parts[i]) + 1);
	digest_hex(digest, hex);
	digest_free(digest);
	if (!cache)
		return -b->err->errnum;
	b->dir = str_printf("%s/images", cache);
	r = mkdir_p(b->dir, 0700);
	if (r < 0)
		return err_code(b->err, r, "Cannot create '%s'", b->dir);
	b->name = str_printf("debian-%s-" DEB_ARCH "-%.12s", b->entry->suite, hex);
	b->final = str_printf("%s/%s.tar", b->dir, b->name);
	b->partial = str_printf("%s/%s.partial", b->dir, b->name);
	b->log_path = str_printf("%s/debian-%s-" DEB_ARCH ".log", b->dir, b->entry->suite);
	b->lock_path = str_printf("%s/debian-%s-" DEB_ARCH ".lock", b->dir, b->entry->suite);
	return 0;
}

/* --- cache, lock, leftovers ------------------------------------------------------------------- */

static int open_image(const struct build *b, bool any_age)
{
	auto_close int fd = open(b->final, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!any_age && st.st_mtime < time(NULL) - MAX_AGE_SECONDS)
		return -1;
	return take_fd(&fd);
}

static int take_lock(struct build *b)
{
	b->lock_fd = open(b->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (b->lock_fd < 0)
		return err_errno(b->err, "Cannot create '%s'", b->lock_path);
	while (flock(b->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_errno(b->err, "Cannot lock '%s'", b->lock_path);
		if (build_cancelled(b))
			return err_id(b->err, ERR_E_ABORT, "The operation was cancelled.");
		show(b, "Waiting for another build of the same image");
		usleep(200 * 1000);
	}
	return 0;
}

static const char *const remover[] = { "mmdebstrap", "--unshare-helper", "rm", "-rf", "--", NULL };

/* The scratch directory of a build that never came to its end. */
static void remove_leftover(struct build *b)
{
	auto_free char *text = NULL;
	struct stat st;
	char *base;

	if (read_file_at(AT_FDCWD, b->lock_path, sizeof(b->scratch), &text, NULL) < 0)
		return;
	base = strrchr(text, '/');
	if (text[0] != '/' || !base || !str_after(base + 1, SCRATCH_PREFIX) ||
	    lstat(text, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return;
	supervise_remove(text, remover);
}

static int make_scratch(struct build *b)
{
	const char *tmp = getenv("TMPDIR");

	if (!tmp || tmp[0] != '/')
		tmp = "/var/tmp";
	if (str_format(b->scratch, sizeof(b->scratch), "%s/" SCRATCH_PREFIX "XXXXXX", tmp) < 0 ||
	    !mkdtemp(b->scratch))
		return err_errno(b->err, "Cannot create a temporary directory in '%s'", tmp);
	if (chmod(b->scratch, 0755) < 0) /* the ids of the namespace must pass through */
		return err_errno(b->err, "Cannot open up '%s'", b->scratch);
	if (ftruncate(b->lock_fd, 0) < 0 ||
	    pwrite(b->lock_fd, b->scratch, strlen(b->scratch), 0) < 0) {
		int r = err_errno(b->err, "Cannot write '%s'", b->lock_path);

		rmdir(b->scratch);
		return r;
	}
	return 0;
}

/* Images of the same suite made from something older. */
static void remove_older(const struct build *b)
{
	auto_free char *prefix = str_printf("debian-%s-" DEB_ARCH "-", b->entry->suite);
	DIR *dir = opendir(b->dir);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (str_after(entry->d_name, prefix) && !str_after(entry->d_name, b->name))
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
}

/* The host's package state, for the case that apt or dpkg is ever misled about the root. */
static const char *const host_state[] = { "/var/lib/apt", "/var/cache/apt", "/var/lib/dpkg", NULL };

/* --- running mmdebstrap ----------------------------------------------------------------------- */

static void on_line(const char *line, void *arg)
{
	struct build *b = arg;
	char phase[BUILD_PHASE_BYTES];

	if (b->log)
		fprintf(b->log, "%s\n", line);
	if (str_after(line, "E: ") || str_after(line, "Err:") || str_after(line, "dpkg: error")) {
		char **slot = &b->last[b->n_last++ % LOG_LINES];

		free(*slot);
		*slot = str_printf("%.200s", line);
	}
	if (build_progress_line(&b->state, line, phase))
		show(b, phase);
}

/* Why it failed, as far as its output tells; never mmdebstrap's own last words, which say nothing.
 */
static int build_failed(struct build *b, const char *mode, int status)
{
	/* libfakechroot is the host's: it mixes with no newer C library */
	const char *hint =
		streq(mode, "fakechroot")
			? " Without a user namespace often only this host's own release can be "
			  "built: install the package 'uidmap' and give this user a line in "
			  "/etc/subuid and /etc/subgid."
			: "";
	char why[700] = "";

	for (size_t i = b->n_last > LOG_LINES ? b->n_last - LOG_LINES : 0; i < b->n_last; i++) {
		const char *line = b->last[i % LOG_LINES];
		size_t n = strlen(why);

		snprintf(why + n, sizeof(why) - n, "\n  %s", line);
	}
	return err_id(
		b->err, ERR_WSL_E_INSTALL_PROCESS_FAILED,
		"Building %s failed (mmdebstrap ended with status %d). Check that the package "
		"mirror can be reached.%s The whole output is in '%s'.%s",
		b->entry->friendly_name, WIFEXITED(status) ? WEXITSTATUS(status) : -1, hint,
		b->log_path, why);
}

static int memory_file(const char *text, struct err *err)
{
	auto_close int fd = memfd_create("lxss-sources", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : write_all(fd, text, strlen(text));

	if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_code(err, r < 0 ? r : -errno, "Cannot create a memory file");
	return take_fd(&fd);
}

static int run_mmdebstrap(struct build *b, const char *mode)
{
	auto_free char *mode_arg = str_printf("--mode=%s", mode);
	auto_free char *include_arg = str_printf("--include=%s", b->packages);
	auto_free char *hook_arg = str_printf("--customize-hook=%s", b->hook);
	auto_free char *tmp_env = str_printf("TMPDIR=%s", b->scratch);
	auto_free char *path_env =
		str_printf("PATH=%s:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin",
			   getenv("PATH") ? getenv("PATH") : "/usr/bin");
	auto_free char *proxy_env = apt_proxy_env();
	const char *argv[] = { "mmdebstrap",
			       mode_arg,
			       "--variant=apt",
			       "--format=tar",
			       "--verbose",
			       "--dpkgopt=force-unsafe-io",
			       include_arg,
			       hook_arg,
			       b->entry->suite,
			       "-",
			       "-",
			       NULL };
	const char *env[] = { tmp_env, path_env, "LC_ALL=C.UTF-8", "LANGUAGE=", proxy_env, NULL };
	auto_close int in = memory_file(b->sources, b->err);
	auto_close int out =
		open(b->partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	const struct supervised job = { .argv = argv,
					.env = env,
					.stdin_fd = in,
					.stdout_fd = out,
					.read_only = host_state,
					.scratch = b->scratch,
					.output = b->partial,
					.remover = streq(mode, "unshare") ? remover : NULL,
					.on_line = on_line,
					.cancelled = build_cancelled,
					.arg = b };
	int status;

	if (in < 0)
		return -b->err->errnum;
	if (out < 0)
		return err_errno(b->err, "Cannot create '%s'", b->partial);
	status = supervise(&job, b->err);
	if (status != 0)
		return status < 0 ? status : build_failed(b, mode, status);
	if (fdatasync(out) < 0 || rename(b->partial, b->final) < 0) {
		int r = err_errno(b->err, "Cannot write '%s'", b->final);

		unlink(b->partial);
		return r;
	}
	return 0;
}

static int build_now(struct build *b)
{
	const char *mode = NULL;
	int r = choose_mode(&mode, b->err);

	if (r == 0)
		r = make_scratch(b);
	if (r < 0)
		return r;
	b->log = fopen(b->log_path, "we");
	r = run_mmdebstrap(b, mode);
	rmdir(b->scratch); /* already gone, unless it never came to running */
	if (ftruncate(b->lock_fd, 0) < 0) {
		/* the next build looks for a directory that is gone: harmless */
	}
	if (r == 0)
		remove_older(b);
	return r;
}

static int build_debian(struct build *b, void (*warn)(const char *text, void *arg), void *warn_arg)
{
	auto_free char *text = NULL;
	int fd, r = plan_content(b, "/etc/apt");

	if (r == 0)
		r = plan_names(b);
	if (r < 0)
		return r;
	fd = open_image(b, false);
	if (fd >= 0)
		return fd;
	r = take_lock(b);
	if (r < 0)
		return r;
	fd = open_image(b, false); /* somebody may just have built it */
	if (fd >= 0)
		return fd;
	remove_leftover(b);
	r = build_now(b);
	fd = r == -EINTR ? -1 : open_image(b, true);
	if (r == 0)
		return fd >= 0 ? fd : err_errno(b->err, "Cannot open '%s'", b->final);
	if (fd < 0)
		return r;
	text = str_printf("%s An image built earlier is used.", b->err->text);
	if (warn)
		warn(text, warn_arg);
	return fd;
}

int recipe_build(const struct catalog_entry *entry, const struct catalog_progress *progress,
		 void (*warn)(const char *text, void *arg), void *warn_arg, int *ret_fd,
		 char **ret_source, struct err *err)
{
	struct err own = ERR_INIT;
	struct build b = {
		.entry = entry, .progress = progress, .lock_fd = -1, .err = err ? err : &own
	};
	int fd;

	if (!streq(entry->recipe, "debian"))
		return err_id(
			err, ERR_E_INVALIDARG,
			"The distribution '%s' needs the recipe '%s', which this lxss does not "
			"have.",
			entry->name, entry->recipe);
	if (!entry->suite[0] || entry->suite[strspn(entry->suite, "abcdefghijklmnopqrstuvwxyz")])
		return err_id(err, ERR_E_INVALIDARG, "Invalid Debian suite: '%s'.", entry->suite);
	fd = build_debian(&b, warn, warn_arg);
	if (fd >= 0) {
		*b.err = ERR_INIT;
		*ret_source = str_dup(b.final);
		*ret_fd = fd;
	}
	build_done(&b);
	return MIN(fd, 0);
}
