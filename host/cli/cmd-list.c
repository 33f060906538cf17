/* host/cli/cmd-list.c - --list in its forms (spec cli.md section 6), and looking a name up */
#include <errno.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/distros.h"
#include "client/client.h"
#include "common/err.h"
#include "common/util.h"

static const char *const state_names[] = {
	[DISTRO_INSTALLED] = "Stopped",     [DISTRO_RUNNING] = "Running",
	[DISTRO_INSTALLING] = "Installing", [DISTRO_UNINSTALLING] = "Uninstalling",
	[DISTRO_CONVERTING] = "Converting", [DISTRO_EXPORTING] = "Exporting",
};

const char *distro_state_name(uint32_t state)
{
	return state < ARRAY_SIZE(state_names) && state_names[state] ? state_names[state]
								     : "Unknown";
}

static void collect(const void *msg, void *arg)
{
	const struct msg_distro *m = msg;
	struct distro_list *l = arg;
	struct msg_distro *rows = realloc(l->rows, (l->n + 1) * sizeof(*rows)), *row;

	if (!rows)
		abort();
	l->rows = rows;
	row = &rows[l->n++];
	*row = *m;
	row->name = str_dup(m->name);
	row->id = str_dup(m->id);
	row->base_path = str_dup(m->base_path);
	row->flavor = str_dup(m->flavor);
	row->os_version = str_dup(m->os_version);
	if (m->is_default && l->n > 1) { /* the default one is always first */
		struct msg_distro first = *row;

		memmove(rows + 1, rows, (l->n - 1) * sizeof(*rows));
		rows[0] = first;
	}
}

int distros_get(struct cli *cli, struct distro_list *ret, struct err *err)
{
	struct msg_none none = { 0 };
	struct client_call call = {
		.type = MSG_LIST,
		.msg = &none,
		.item = MSG_DISTRO,
		.on_item = collect,
		.item_arg = ret,
		.silence_ms = CLIENT_QUICK_MS,
	};
	struct client *client;
	int r = cli_client(cli, &client, err);

	*ret = (struct distro_list) { 0 };
	if (r == 0)
		r = client_call(client, &call, err);
	if (r < 0)
		distros_free(ret);
	return r;
}

void distros_free(struct distro_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const char *const strings[] = { l->rows[i].name, l->rows[i].id,
						l->rows[i].base_path, l->rows[i].flavor,
						l->rows[i].os_version };

		for (size_t k = 0; k < ARRAY_SIZE(strings); k++)
			free((char *)(uintptr_t)strings[k]);
	}
	free(l->rows);
	*l = (struct distro_list) { 0 };
}

const struct msg_distro *distros_find(const struct distro_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcaseeq(l->rows[i].name, name))
			return &l->rows[i];
	return NULL;
}

static bool is_transitional(uint32_t state)
{
	return state != DISTRO_INSTALLED && state != DISTRO_RUNNING;
}

static bool is_shown(const struct msg_distro *d, const struct verb_args *args)
{
	if (args->running)
		return d->state == DISTRO_RUNNING;
	return args->all || !is_transitional(d->state);
}

static void print_verbose(FILE *to, const struct distro_list *l)
{
	size_t width = 4;

	for (size_t i = 0; i < l->n; i++)
		width = MAX(width, strlen(l->rows[i].name));
	width += 4;
	fprintf(to, "  %-*s%-16s%s\n", (int)width, "NAME", "STATE", "VERSION");
	for (size_t i = 0; i < l->n; i++)
		fprintf(to, "%c %-*s%-16s%u\n", l->rows[i].is_default ? '*' : ' ', (int)width,
			l->rows[i].name, distro_state_name(l->rows[i].state), l->rows[i].version);
}

static size_t print_names(FILE *to, const struct distro_list *l, const struct verb_args *args)
{
	size_t shown = 0;

	for (size_t i = 0; i < l->n; i++) {
		const struct msg_distro *d = &l->rows[i];

		if (!is_shown(d, args))
			continue;
		if (!shown++ && !args->quiet)
			fprintf(to, "Windows Subsystem for Linux Distributions:\n");
		fprintf(to, "%s%s\n", d->name, d->is_default && !args->quiet ? " (Default)" : "");
	}
	return shown;
}

static void json_field(FILE *to, const char *name, const char *text)
{
	fprintf(to, ", \"%s\": ", name);
	json_string(to, text);
}

static void json_distro(FILE *to, const struct msg_distro *d)
{
	fprintf(to, "{\"name\": ");
	json_string(to, d->name);
	json_field(to, "id", d->id);
	json_field(to, "state", distro_state_name(d->state));
	json_field(to, "basePath", d->base_path);
	json_field(to, "flavor", d->flavor);
	json_field(to, "osVersion", d->os_version);
	fprintf(to,
		", \"default\": %s, \"version\": %u, \"defaultUid\": %u, \"sessions\": %u, "
		"\"imageBytes\": %llu}",
		d->is_default ? "true" : "false", d->version, d->default_uid, d->sessions,
		(unsigned long long)d->image_bytes);
}

static void print_json(FILE *to, const struct distro_list *l, const struct verb_args *args)
{
	size_t shown = 0;

	fprintf(to, "[");
	for (size_t i = 0; i < l->n; i++) {
		if (args->running && l->rows[i].state != DISTRO_RUNNING)
			continue;
		fprintf(to, "%s", shown++ ? ",\n " : "");
		json_distro(to, &l->rows[i]);
	}
	fprintf(to, "]\n");
}

static int nothing_installed(struct err *err)
{
	return err_id(err, ERR_WSL_E_DEFAULT_DISTRO_NOT_FOUND,
		      "Windows Subsystem for Linux has no installed distributions.\n"
		      "Use 'wsl --list --online' to list available distributions\n"
		      "and 'wsl --install <Distro>' to install.");
}

int distros_print(FILE *to, const struct distro_list *l, const struct verb_args *args,
		  struct err *err)
{
	if (args->json) {
		print_json(to, l, args);
		return 0;
	}
	if (!l->n && !args->quiet)
		return nothing_installed(err);
	if (args->verbose) {
		print_verbose(to, l);
		return 0;
	}
	if (!print_names(to, l, args) && !args->quiet) {
		if (!args->running)
			return nothing_installed(err);
		fprintf(stderr, "There are no running distributions.\n");
		return EXIT_WSL_FAILED;
	}
	return 0;
}

int cmd_list(struct cli *cli, const struct verb_args *args, struct err *err)
{
	struct distro_list l;
	int r;

	if ((args->quiet && args->verbose) || (args->all && args->running) ||
	    (args->online && (args->all || args->verbose || args->running)) ||
	    (args->json && (args->quiet || args->verbose)))
		return usage_error(err);
	if (args->online)
		return list_online(cli, args, err);
	r = distros_get(cli, &l, err);
	if (r < 0)
		return r;
	r = distros_print(stdout, &l, args, err);
	distros_free(&l);
	return r;
}

int find_distro(struct cli *cli, const char *name, struct err *err)
{
	struct distro_list l;
	int r = distros_get(cli, &l, err);

	if (r < 0)
		return r;
	if (!distros_find(&l, name))
		r = unknown_distro(&l, name, err);
	distros_free(&l);
	return r;
}

int unknown_distro(const struct distro_list *l, const char *name, struct err *err)
{
	struct suggestion s;
	const char *near;

	suggest_init(&s, name);
	for (size_t i = 0; l && i < l->n; i++)
		suggest_try(&s, l->rows[i].name);
	near = suggest_best(&s);
	err_id(err, ERR_WSL_E_DISTRO_NOT_FOUND,
	       "There is no distribution with the supplied name.%s%s%s",
	       near ? "\nDid you mean '" : "", near ? near : "", near ? "'?" : "");
	return err_context(err, "Service");
}

int name_error(struct cli *cli, const char *name, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct distro_list l;

	if (!name || err->id != ERR_WSL_E_DISTRO_NOT_FOUND)
		return -err->errnum;
	distros_get(cli, &l, &ignored);
	unknown_distro(&l, name, err);
	distros_free(&l);
	return -err->errnum;
}
