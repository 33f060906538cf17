/* host/cli/main.c - wsl and wslconfig, by the name they are called */
#include "cli/cli.h"
#include "common/util.h"

int main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "wsl";

	return streq(name, "wslconfig") ? wslconfig_main(argc, argv) : wsl_main(argc, argv);
}
