/* guest/applets/wslinfo.c - facts about the VM, for scripts (spec files.md section 7)
 *
 * The service puts them on the kernel's command line: nothing that runs in the guest can change what
 * is told here, and nobody has to be asked.
 */
#include "applets/applets.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"

#define CMDLINE_BYTES 65536u

static const char usage[] = "Usage: wslinfo [-n] OPTION\n"
			    "  --networking-mode  none, nat or mirrored\n"
			    "  --vm-id            identifier of the running virtual machine\n"
			    "  --version          version of lxss\n"
			    "  -n                 no newline at the end\n";

char *cmdline_value(const char *cmdline, const char *key)
{
	size_t n = strlen(key);

	for (const char *at = cmdline; *at;) {
		size_t len = strcspn(at, " \t\n");

		if (len > n && strncmp(at, key, n) == 0 && at[n] == '=')
			return str_printf("%.*s", (int)(len - n - 1), at + n + 1);
		at += len;
		at += strspn(at, " \t\n");
	}
	return NULL;
}

static char *fact(const char *key)
{
	auto_free char *cmdline = NULL;

	if (read_file_at(AT_FDCWD, "/proc/cmdline", CMDLINE_BYTES, &cmdline, NULL) < 0)
		return NULL;
	return cmdline_value(cmdline, key);
}

static int print_fact(char *value, const char *what, bool newline)
{
	auto_free char *text = value;

	if (!text) {
		fprintf(stderr, "wslinfo: %s is not known here\n", what);
		return 1;
	}
	printf("%s%s", text, newline ? "\n" : "");
	return fflush(stdout) == 0 ? 0 : 1;
}

int wslinfo_main(int argc, char **argv)
{
	const char *wanted = NULL;
	bool newline = true;

	for (int i = 1; i < argc; i++) {
		if (streq(argv[i], "-n")) {
			newline = false;
		} else if (streq(argv[i], "--help")) {
			wanted = NULL;
			break;
		} else if (streq(argv[i], "--networking-mode") || streq(argv[i], "--vm-id") ||
			   streq(argv[i], "--version") || streq(argv[i], "--wsl-version") ||
			   streq(argv[i], "--msal-proxy-path")) {
			wanted = argv[i];
		} else {
			fprintf(stderr,
				"Invalid command line argument: %s\n"
				"Please use 'wslinfo --help' to get a list of supported "
				"arguments.\n",
				argv[i]);
			return 1;
		}
	}
	if (!wanted) {
		fputs(usage, stderr);
		return 1;
	}
	if (streq(wanted, "--networking-mode"))
		return print_fact(fact("lxss.network"), "the networking mode", newline);
	if (streq(wanted, "--vm-id"))
		return print_fact(fact("lxss.vm"), "the virtual machine", newline);
	if (streq(wanted, "--msal-proxy-path"))
		return print_fact(NULL, "a sign-in proxy", newline);
	return print_fact(str_dup(LXSS_VERSION), "the version", newline);
}
