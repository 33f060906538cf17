/* host/cli/commands.c - every verb and its options: --help, parsing, completions and the check of
 * the man page walk these rows */
#include "cli/cli.h"
#include "common/util.h"

#define AT(m) offsetof(struct verb_args, m)
#define FLAG(n, l, m, h)                                                                           \
	{                                                                                          \
		.name = n, .letter = l, .type = ARG_FLAG, .offset = AT(m), .help = h               \
	}
#define IGNORED(n)                                                                                 \
	{                                                                                          \
		.name = n, .type = ARG_FLAG, .offset = AT(ignored), .hidden = true,                \
		.help = "Ignored."                                                                 \
	}
#define VALUE(n, l, t, m, v, c, h)                                                                 \
	{                                                                                          \
		.name = n, .letter = l, .type = t, .offset = AT(m), .value = v, .completion = c,   \
		.help = h                                                                          \
	}
#define WORD(m, v, c) VALUE(NULL, 0, ARG_STRING, m, v, COMPLETE_##c, v)

static const struct arg distro_word[] = { WORD(distro, "NAME", DISTRO), { 0 } };
static const struct arg no_words[] = { { 0 } };

static const struct arg install_args[] = {
	WORD(distro, "NAME", ONLINE),
	VALUE("--distribution", 'd', ARG_STRING, distro, "NAME", COMPLETE_ONLINE,
	      "The distribution to install."),
	VALUE("--from-file", 'f', ARG_STRING, file, "FILE", COMPLETE_FILE,
	      "Install from a .wsl file or another archive; '-' is standard input."),
	VALUE("--name", 0, ARG_STRING, name, "NAME", COMPLETE_NOTHING, "The name to give it."),
	VALUE("--location", 'l', ARG_PATH, location, "DIR", COMPLETE_DIR,
	      "Where to keep its disk image."),
	VALUE("--vhd-size", 0, ARG_SIZE, vhd_size, "SIZE", COMPLETE_NOTHING,
	      "Size of its disk, like 64GB."),
	FLAG("--fixed-vhd", 0, fixed_vhd, "Allocate the whole disk now."),
	VALUE("--version", 0, ARG_UINT, version, "VERSION", COMPLETE_NOTHING,
	      "The version of the distribution: 2."),
	FLAG("--no-launch", 'n', no_launch, "Do not start it afterwards."),
	FLAG("--no-distribution", 0, no_distribution, "Do not install a distribution."),
	FLAG("--legacy", 0, legacy, "Use the legacy distribution list."),
	FLAG("--enable-wsl1", 0, enable_wsl1, "Enable support for version 1 distributions."),
	IGNORED("--web-download"),
	IGNORED("--pre-release"),
	IGNORED("--prompt-before-exit"),
	{ 0 },
};

static const struct arg import_args[] = {
	WORD(name, "NAME", NOTHING),
	VALUE(NULL, 0, ARG_PATH, location, "DIR", COMPLETE_DIR, "DIR"),
	WORD(file, "FILE", FILE),
	VALUE("--version", 0, ARG_UINT, version, "VERSION", COMPLETE_NOTHING,
	      "The version of the distribution: 2."),
	FLAG("--vhd", 0, vhd, "FILE is a disk image."),
	{ 0 },
};

static const struct arg in_place_args[] = {
	WORD(name, "NAME", NOTHING),
	VALUE(NULL, 0, ARG_PATH, location, "FILE", COMPLETE_FILE, "FILE"),
	{ 0 },
};

static const struct arg export_args[] = {
	WORD(distro, "NAME", DISTRO),
	WORD(file, "FILE", FILE),
	VALUE("--format", 0, ARG_STRING, format, "FORMAT", COMPLETE_NOTHING,
	      "tar, tar.gz, tar.xz, tar.zst or img; by default what FILE ends in."),
	FLAG("--vhd", 0, vhd, "Write a disk image."),
	{ 0 },
};

static const struct arg list_args[] = {
	FLAG("--all", 0, all, "Include distributions that are being installed or removed."),
	FLAG("--running", 0, running, "Only distributions that run."),
	FLAG("--quiet", 'q', quiet, "Only names."),
	FLAG("--verbose", 'v', verbose, "State and version, too."),
	FLAG("--online", 'o', online, "Distributions that can be installed."),
	FLAG("--json", 0, json, "Everything known, as JSON."),
	{ 0 },
};

static const struct arg status_args[] = {
	FLAG("--json", 0, json, "As JSON."),
	{ 0 },
};

static const struct arg shutdown_args[] = {
	FLAG("--force", 0, force, "Do not wait for anything; also end a service that hangs."),
	{ 0 },
};

static const struct arg update_args[] = {
	IGNORED("--pre-release"), IGNORED("--web-download"),       IGNORED("--confirm"),
	IGNORED("--rollback"),    IGNORED("--prompt-before-exit"), { 0 },
};

static const struct arg version_word[] = { WORD(text, "VERSION", NOTHING), { 0 } };
static const struct arg any_word[] = { WORD(text, "", NOTHING), { 0 } };

const struct command commands[] = {
	{ "--install", 0, NULL, "[NAME] [options]", "Install a distribution.", GROUP_INSTALL,
	  PARSE_ARGS, false, install_args, 0, cmd_install },
	{ "--import", 0, NULL, "NAME DIR FILE [options]",
	  "Make a distribution from an archive of its root; '-' is standard input.", GROUP_INSTALL,
	  PARSE_ARGS, false, import_args, 0, cmd_import },
	{ "--import-in-place", 0, NULL, "NAME FILE",
	  "Use a disk image as a distribution, where it is.", GROUP_INSTALL, PARSE_ARGS, false,
	  in_place_args, 0, cmd_import_in_place },
	{ "--export", 0, NULL, "NAME FILE [options]",
	  "Write a distribution to an archive; '-' is standard output.", GROUP_INSTALL, PARSE_ARGS,
	  false, export_args, 0, cmd_export },
	{ "--unregister", 0, NULL, "NAME", "Remove a distribution and all its files.",
	  GROUP_INSTALL, PARSE_WORDS, false, distro_word, 1, cmd_unregister },
	{ "--list", 'l', NULL, "[options]", "List distributions.", GROUP_MANAGE, PARSE_ARGS, false,
	  list_args, 0, cmd_list },
	{ "--set-default", 's', "--setdefault", "NAME", "Make a distribution the default one.",
	  GROUP_MANAGE, PARSE_WORDS, false, distro_word, 1, cmd_set_default },
	{ "--set-default-version", 0, NULL, "VERSION",
	  "Choose the version of distributions installed from now on.", GROUP_MANAGE, PARSE_WORDS,
	  false, version_word, 1, cmd_set_default_version },
	{ "--terminate", 't', NULL, "NAME", "Stop a distribution.", GROUP_MANAGE, PARSE_WORDS,
	  false, distro_word, 1, cmd_terminate },
	{ "--shutdown", 0, NULL, "[options]", "Stop all distributions and the virtual machine.",
	  GROUP_SYSTEM, PARSE_ARGS, false, shutdown_args, 0, cmd_shutdown },
	{ "--status", 0, NULL, "[options]", "Show what is installed and how it runs.", GROUP_SYSTEM,
	  PARSE_ARGS, false, status_args, 0, cmd_status },
	{ "--version", 'v', NULL, "", "Show versions.", GROUP_SYSTEM, PARSE_WORDS, false, no_words,
	  0, cmd_version },
	{ "--update", 0, NULL, "", "Tell how to update this program.", GROUP_SYSTEM, PARSE_ARGS,
	  false, update_args, 0, cmd_update },
	{ "--uninstall", 0, NULL, "", "Tell how to remove this program.", GROUP_SYSTEM, PARSE_WORDS,
	  false, any_word, 0, cmd_uninstall },
	{ "--help", 0, NULL, "", "Show this text.", GROUP_SYSTEM, PARSE_WORDS, false, no_words, 0,
	  cmd_help },
	{ "--generate-completion", 0, NULL, "SHELL", "Print a completion script.", GROUP_SYSTEM,
	  PARSE_WORDS, true, version_word, 1, cmd_generate_completion },
};
const size_t n_commands = ARRAY_SIZE(commands);
