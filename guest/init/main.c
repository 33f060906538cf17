/* guest/init/main.c - the one guest binary: which of its roles is meant */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "applets/applets.h"
#include "boot/mini-init.h"
#include "common/util.h"
#include "distro/init.h"
#include "netconf/gns.h"

static const struct applet {
	const char *name;
	int (*run)(int argc, char **argv);
} applets[] = {
	{ "wslinfo", wslinfo_main },
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int main(int argc, char **argv)
{
	uint64_t started_us = uptime_us();
	const char *name = base_name(argc ? argv[0] : "");

	/* The kernel hands unknown words of its command line on as environment variables. */
	if (getpid() == 1 && getenv("WSL_ROOT_INIT"))
		mini_init_main(started_us, distro_main, gns_start);
	for (const struct applet *a = applets; a < applets + ARRAY_SIZE(applets); a++)
		if (a->name && streq(a->name, name))
			return a->run(argc, argv);
	fprintf(stderr, "%s: this program is started by lxss inside its VM\n", name);
	return 1;
}
