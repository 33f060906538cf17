/* host/service/distro-info.c - what an image tells about its distribution */
#include "service/distro-info.h"

#include <stdlib.h>

#include "common/ini.h"
#include "common/osrelease.h"
#include "common/util.h"
#include "protocol/message.h"

static const struct ini_key keys[] = {
	{ "oobe.defaultName", INI_STRING, offsetof(struct distro_info, default_name) },
	{ "oobe.command", INI_IGNORED },
	{ "oobe.defaultUid", INI_IGNORED },
	{ "shortcut.enabled", INI_IGNORED },
	{ "shortcut.icon", INI_IGNORED },
	{ "windowsterminal.enabled", INI_IGNORED },
	{ "windowsterminal.profileTemplate", INI_IGNORED },
};

static const struct ini_schema schema = {
	.keys = keys,
	.n_keys = ARRAY_SIZE(keys),
	.stop_at_invalid_line = true,
};

static void no_warning(const char *text, void *arg)
{
	(void)text, (void)arg; /* the guest's init reports the file at each start */
}

void distro_info_done(struct distro_info *info)
{
	free(info->default_name);
	free(info->flavor);
	free(info->os_version);
	*info = (struct distro_info) { 0 };
}

void distro_info_read(struct distro_info *ret, const struct msg_image_info *msg)
{
	distro_info_done(ret);
	ini_parse(&schema, "/etc/wsl-distribution.conf", msg->distribution_conf,
		  strlen(msg->distribution_conf), ret, no_warning, NULL);
	ret->flavor = osrelease_value(msg->os_release, "ID");
	ret->os_version = osrelease_value(msg->os_release, "VERSION_ID");
}
