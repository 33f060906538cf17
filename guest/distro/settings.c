/* guest/distro/settings.c - key tables of the guest's configuration files */
#include "distro/settings.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/ini.h"
#include "common/util.h"

/* clang-format off */
#define KEY(name, type, member) { name, type, offsetof(struct distro_settings, member), NULL, NULL }
#define IGNORED(name)           { name, INI_IGNORED, 0, NULL, NULL } /* known, without effect */
/* clang-format on */

static const struct ini_key wsl_conf_keys[] = {
	IGNORED("automount.enabled"),
	KEY("automount.root", INI_STRING, automount_root),
	IGNORED("automount.options"),
	KEY("automount.mountFsTab", INI_BOOL, mount_fstab),
	IGNORED("automount.ldconfig"),
	IGNORED("automount.cgroups"),
	KEY("filesystem.umask", INI_INT, umask),
	IGNORED("interop.enabled"),
	IGNORED("interop.appendWindowsPath"),
	KEY("network.generateHosts", INI_BOOL, generate_hosts),
	KEY("network.generateResolvConf", INI_BOOL, generate_resolv_conf),
	KEY("network.hostname", INI_STRING, hostname),
	KEY("time.useWindowsTimezone", INI_BOOL, use_timezone),
	IGNORED("fileServer.enabled"),
	IGNORED("fileServer.logFile"),
	IGNORED("fileServer.logLevel"),
	IGNORED("fileServer.logTruncate"),
	IGNORED("gpu.enabled"),
	IGNORED("gpu.appendLibPath"),
	KEY("user.default", INI_STRING, user),
	KEY("boot.command", INI_STRING, boot_command),
	KEY("boot.systemd", INI_BOOL, systemd),
	KEY("boot.initTimeout", INI_INT, init_timeout_ms),
	IGNORED("boot.protectBinfmt"),
	IGNORED("general.guiApplications"),
};

static const struct ini_schema wsl_conf = {
	.keys = wsl_conf_keys,
	.n_keys = ARRAY_SIZE(wsl_conf_keys),
	.stop_at_invalid_line = true,
};

static const struct ini_key distribution_conf_keys[] = {
	{ "oobe.command", INI_STRING, offsetof(struct oobe_settings, command), NULL, NULL },
	{ "oobe.defaultUid", INI_INT, offsetof(struct oobe_settings, default_uid), NULL, NULL },
	IGNORED("oobe.defaultName"),
	IGNORED("shortcut.enabled"),
	IGNORED("shortcut.icon"),
	IGNORED("windowsterminal.enabled"),
	IGNORED("windowsterminal.profileTemplate"),
};

static const struct ini_schema distribution_conf = {
	.keys = distribution_conf_keys,
	.n_keys = ARRAY_SIZE(distribution_conf_keys),
	.stop_at_invalid_line = true,
};

void warnings_add(const char *text, void *warnings)
{
	struct warnings *w = warnings;

	if (w->n < WARNINGS_MAX)
		w->text[w->n++] = str_dup(text);
}

/* "/mnt" and "mnt/" mean the same directory: "/mnt/". */
static void normalise_root(char **root)
{
	char *s = *root;
	size_t n = strlen(s);

	while (n && s[n - 1] == '/')
		s[--n] = '\0';
	*root = str_printf("%s%s/", s[0] == '/' || n == 0 ? "" : "/", s);
	free(s);
}

void distro_settings_read(struct distro_settings *s, int dirfd, const char *path,
			  struct warnings *warnings)
{
	*s = (struct distro_settings) {
		.mount_fstab = true,
		.generate_hosts = true,
		.generate_resolv_conf = true,
		.use_timezone = true,
		.umask = 0022,
		.init_timeout_ms = 10000,
		.automount_root = str_dup("/mnt/"),
		.hostname = str_dup(""),
		.user = str_dup(""),
		.boot_command = str_dup(""),
	};
	ini_parse_file(&wsl_conf, dirfd, path, "/etc/wsl.conf", s, warnings_add, warnings);
	normalise_root(&s->automount_root);
}

void oobe_settings_read(struct oobe_settings *s, struct warnings *warnings)
{
	static const char path[] = "/etc/wsl-distribution.conf";

	*s = (struct oobe_settings) { .command = str_dup(""), .default_uid = -1 };
	ini_parse_file(&distribution_conf, AT_FDCWD, path, path, s, warnings_add, warnings);
}
