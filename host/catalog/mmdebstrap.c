/* host/catalog/mmdebstrap.c - what mmdebstrap needs and what its output means */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "catalog/recipe-internal.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/util.h"

/* --- progress --------------------------------------------------------------------------------- */

static const struct {
	const char *line, *phase, *item; /* item: how a line about one package begins */
} stages[] = {
	{ "I: running apt-get update", "Reading the package lists", NULL },
	{ "I: downloading packages", "Downloading the base packages", "Get:" },
	{ "I: extracting archives", "Unpacking the base packages", NULL },
	{ "I: installing essential packages", "Installing the base packages", "Setting up " },
	{ "I: installing remaining packages", "Installing packages", "Setting up " },
	{ "I: running --customize-hook", "Configuring", NULL },
	{ "I: cleaning package lists", "Cleaning up", NULL },
	{ "I: creating tarball", "Writing the image", NULL },
};

static const char *item_of(const char *phase)
{
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
		if (stages[i].phase == phase)
			return stages[i].item;
	}
	return NULL;
}

bool build_progress_line(struct build_progress *p, const char *line, char phase[BUILD_PHASE_BYTES])
{
	unsigned total;
	const char *item;

	for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
		if (!str_after(line, stages[i].line))
			continue;
		p->phase = stages[i].phase;
		p->done = 0;
		if (!streq(p->phase, "Installing the base packages"))
			p->total = 0; /* that stage installs what was downloaded */
		str_format(phase, BUILD_PHASE_BYTES, "%s", p->phase);
		return true;
	}
	if (sscanf(line, "%*u upgraded, %u newly installed", &total) == 1) {
		p->total = total;
		return false;
	}
	item = p->phase ? item_of(p->phase) : NULL;
	if (!item || !str_after(line, item) || !p->total || p->done >= p->total)
		return false;
	p->done++;
	str_format(phase, BUILD_PHASE_BYTES, "%s (%u of %u)", p->phase, p->done, p->total);
	return true;
}

/* --- prerequisites ---------------------------------------------------------------------------- */

static bool have_program(const char *name)
{
	const char *path = getenv("PATH");
	auto_free char *dirs =
		str_printf("%s:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", path ? path : "");
	char *rest = dirs, *dir;

	while ((dir = strsep(&rest, ":"))) {
		auto_free char *file = str_printf("%s/%s", dir, name);

		if (dir[0] == '/' && access(file, X_OK) == 0)
			return true;
	}
	return false;
}

/* Tries exactly what mmdebstrap will do: a user namespace with this user's ranges of ids. */
static bool unshare_works(void)
{
	if (!have_program("newuidmap") || !have_program("newgidmap"))
		return false;
	return system("exec mmdebstrap --unshare-helper true </dev/null >/dev/null 2>&1") == 0;
}

int choose_mode(const char **ret_mode, struct err *err)
{
	if (!have_program("mmdebstrap"))
		return err_set(err, -ENOENT,
			       "Building a Debian image needs the program mmdebstrap. Install the "
			       "package 'mmdebstrap', or install an archive you have: "
			       "wsl --install --from-file <File>");
	if (geteuid() == 0)
		*ret_mode = "root";
	else if (unshare_works())
		*ret_mode = "unshare";
	else if (have_program("fakechroot") && have_program("fakeroot"))
		*ret_mode = "fakechroot";
	else
		return err_set(
			err, -EPERM,
			"Building a Debian image without being root needs the packages "
			"'fakechroot' and 'fakeroot', or the package 'uidmap' with a line for "
			"this user in /etc/subuid and /etc/subgid. Install one of these sets.");
	return 0;
}

char *apt_proxy_env(void)
{
	char line[1024], value[1000];
	FILE *from;
	char *env = NULL;

	if (getenv("http_proxy"))
		return NULL;
	from = popen("apt-config dump Acquire::http::Proxy 2>/dev/null", "re");
	if (!from)
		return NULL;
	while (!env && fgets(line, sizeof(line), from)) {
		if (sscanf(line, "Acquire::http::Proxy \"%999[^\"]\";", value) == 1)
			env = str_printf("http_proxy=%s", value);
	}
	pclose(from);
	return env;
}
