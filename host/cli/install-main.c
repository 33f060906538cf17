/* host/cli/install-main.c - wslinstall, the part of wsl that needs the distribution catalogue */
#include "cli/cli.h"

int main(int argc, char **argv)
{
	return wsl_main(argc, argv);
}
