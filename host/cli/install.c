/* host/cli/install.c - --install and --list --online, in wslinstall (spec cli.md sections 6 and 7)
 *
 * Order: refusals that need nothing, the catalogue, the name, then download, import and launch. The
 * service decides about names; asking before the download only saves the user's time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "catalog/catalog.h"
#include "cli/archive.h"
#include "cli/cli.h"
#include "cli/distros.h"
#include "client/client.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"
#include "config/settings.h"

/* What is installed: an archive's descriptor and the names it goes by. */
struct package {
	struct settings settings;
	struct catalog *catalog;
	const struct catalog_entry *entry; /* NULL: --from-file */
	int fd;
	char *source;
	const char *name; /* "": the archive knows */
	bool announced;   /* how the archive is obtained */
};

static int open_catalog(struct package *p, struct err *err)
{
	struct catalog_config cfg = { .warn = report_warning };

	settings_load(&p->settings, report_warning, NULL);
	cfg.list_url = p->settings.distribution_list_url;
	cfg.append_url = p->settings.distribution_list_url_append;
	return catalog_load(&cfg, &p->catalog, err);
}

static void package_done(struct package *p)
{
	drop_fd(&p->fd);
	free(p->source);
	catalog_free(p->catalog);
	settings_done(&p->settings);
}

/* --- refusals --- */

static int not_together(const char *a, const char *b, struct err *err)
{
	return err_id(err, ERR_E_INVALIDARG, "Arguments %s and %s can't be specified at same time.",
		      a, b);
}

static int check_args(const struct verb_args *args, struct err *err)
{
	if (args->no_distribution && args->distro)
		return not_together("--no-distribution", "--distribution", err);
	if (args->no_distribution && args->file)
		return not_together("--no-distribution", "--from-file", err);
	if (args->file && args->distro)
		return not_together("--from-file", "--distribution", err);
	if (args->file && args->legacy)
		return not_together("--from-file", "--legacy", err);
	if (args->fixed_vhd && !args->have_size)
		return err_id(err, ERR_E_INVALIDARG,
			      "Argument --fixed-vhd requires the --vhd-size argument.");
	if (args->enable_wsl1)
		return check_version(true, 1, err);
	if (check_version(args->have_version, args->version, err) < 0)
		return -err->errnum;
	return args->name ? check_distro_name(args->name, err) : 0;
}

static int check_legacy(const struct catalog_entry *entry, const struct verb_args *args,
			struct err *err)
{
	const struct {
		bool given;
		const char *name;
	} rows[] = {
		{ args->name != NULL, "--name" },
		{ args->location != NULL, "--location" },
		{ args->have_size, "--vhd-size" },
		{ args->fixed_vhd, "--fixed-vhd" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows) && entry->kind == CATALOG_STORE; i++)
		if (rows[i].given)
			return err_id(err, ERR_WSL_E_INVALID_USAGE,
				      "'%s' is not supported when installing legacy distributions.",
				      rows[i].name);
	return 0;
}

static int check_name_free(struct cli *cli, const char *name, struct err *err)
{
	struct distro_list l;
	int r = distros_get(cli, &l, err);

	if (r == 0 && distros_find(&l, name))
		r = err_id(err, ERR_ERROR_ALREADY_EXISTS,
			   "A distribution with the supplied name already exists. Use --name to "
			   "choose a "
			   "different name.");
	distros_free(&l);
	return r;
}

/* --- the archive --- */

static int from_file(struct package *p, const struct verb_args *args, struct err *err)
{
	p->name = args->name ? args->name : "";
	p->source = str_dup(archive_shown(args->file));
	p->fd = archive_open(args->file, err);
	return p->fd < 0 ? p->fd : 0;
}

/* Progress of obtaining: an archive that is at hand makes none, and is not announced. */
static void show_obtaining(const struct msg_progress *progress, void *arg)
{
	struct package *p = arg;

	if (!p->announced) {
		printf("%s: %s\n",
		       p->entry->kind == CATALOG_RECIPE ? "Building" : "Downloading",
		       p->entry->friendly_name);
		fflush(stdout);
	}
	p->announced = true;
	progress_show(progress, NULL);
}

static int obtain(struct package *p, struct err *err)
{
	struct catalog_progress progress = { .show = show_obtaining, .arg = p };
	int r;

	r = catalog_obtain(p->catalog, p->entry, &progress, &p->fd, &p->source, err);
	progress_end();
	return r;
}

static int from_catalog(struct cli *cli, struct package *p, const struct verb_args *args,
			struct err *err)
{
	int r = open_catalog(p, err);

	if (r == 0)
		r = catalog_find(p->catalog, args->distro, args->legacy, &p->entry, err);
	if (r == 0)
		r = check_legacy(p->entry, args, err);
	if (r == 0) {
		p->name = args->name ? args->name : p->entry->name;
		r = check_name_free(cli, p->name, err);
	}
	return r == 0 ? obtain(p, err) : r;
}

/* --- import and launch --- */

static int import_package(struct cli *cli, struct package *p, const struct verb_args *args,
			  char **ret_name, struct err *err)
{
	struct msg_import m = {
		.name = p->name,
		.location = args->location ? args->location : "",
		.source = p->source,
		.size_bytes = args->vhd_size,
		.flags = IMPORT_RUN_OOBE | (args->fixed_vhd ? IMPORT_FIXED : 0),
	};
	struct msg_imported done;
	int r;

	printf("Installing: %s\n", p->entry ? p->entry->friendly_name : p->source);
	fflush(stdout);
	r = import_call(cli, MSG_IMPORT, &m, p->fd, &done, err);
	if (r < 0)
		return r;
	*ret_name = str_dup(done.name);
	printf("Distribution successfully installed. It can be launched via 'wsl -d %s'\n",
	       *ret_name);
	return 0;
}

static int install(struct cli *cli, const struct verb_args *args, char **ret_name, struct err *err)
{
	struct package p = { .fd = -1 };
	int r;

	if (args->file)
		r = from_file(&p, args, err);
	else
		r = from_catalog(cli, &p, args, err);
	if (r == 0 && p.name[0])
		r = check_name_free(cli, p.name, err);
	if (r < 0 && !args->file && !str_after(err->context, "Service"))
		err_context(err, "InstallDistro");
	if (r == 0)
		r = import_package(cli, &p, args, ret_name, err);
	package_done(&p);
	return r;
}

int cmd_install(struct cli *cli, const struct verb_args *args, struct err *err)
{
	struct invocation inv = { 0 };
	auto_free char *name = NULL;
	int r = check_args(args, err);

	if (r < 0)
		return r;
	if (args->no_distribution) {
		puts(OPERATION_SUCCESSFUL);
		return 0;
	}
	r = install(cli, args, &name, err);
	if (r < 0 || args->no_launch)
		return r;
	printf("Launching %s...\n", name);
	fflush(stdout);
	inv.distro = name;
	return run_in_guest(cli, &inv, err);
}

/* --- the list --- */

static void print_online(const struct catalog_entry *const *rows, size_t n, bool quiet)
{
	size_t width = 4;

	for (size_t i = 0; i < n; i++)
		width = MAX(width, strlen(rows[i]->name));
	width += 4;
	if (!quiet)
		printf("The following is a list of valid distributions that can be installed.\n"
		       "Install using 'wsl --install <Distro>'.\n\n%-*sFRIENDLY NAME\n",
		       (int)width, "NAME");
	for (size_t i = 0; i < n; i++) {
		if (quiet)
			puts(rows[i]->name);
		else
			printf("%-*s%s\n", (int)width, rows[i]->name, rows[i]->friendly_name);
	}
}

static void print_online_json(const struct catalog_entry *const *rows, size_t n)
{
	printf("[");
	for (size_t i = 0; i < n; i++) {
		printf("%s{\"name\": ", i ? ",\n " : "");
		json_string(stdout, rows[i]->name);
		printf(", \"friendlyName\": ");
		json_string(stdout, rows[i]->friendly_name);
		printf("}");
	}
	printf("]\n");
}

int list_online(struct cli *cli, const struct verb_args *args, struct err *err)
{
	const struct catalog_entry *const *rows;
	struct package p = { .fd = -1 };
	size_t n;
	int r = open_catalog(&p, err);

	if (r == 0)
		r = catalog_list_online(p.catalog, &rows, &n, err);
	if (r == 0 && args->json)
		print_online_json(rows, n);
	else if (r == 0)
		print_online(rows, n, args->quiet);
	else
		err_context(err, "EnumerateDistros");
	package_done(&p);
	return r;
}
