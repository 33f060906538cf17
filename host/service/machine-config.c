/* host/service/machine-config.c - facts about the host that the guest is told */
#include "service/machine-config.h"

#include <limits.h>
#include <stdlib.h>
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"

char *host_name(void)
{
	struct utsname u;

	if (uname(&u) < 0)
		return str_dup("localhost");
	u.nodename[strcspn(u.nodename, ".")] = '\0';
	return str_dup(u.nodename);
}

char *host_domain(void)
{
	struct utsname u;
	const char *dot = NULL;

	if (uname(&u) == 0)
		dot = strchr(u.nodename, '.');
	return str_dup(dot && dot[1] ? dot + 1 : "localdomain");
}

char *host_timezone(void)
{
	char target[PATH_MAX];
	auto_free char *text = NULL;
	ssize_t n = readlink("/etc/localtime", target, sizeof(target) - 1);
	const char *zone;

	if (n > 0) {
		target[n] = '\0';
		zone = strstr(target, "/zoneinfo/");
		if (zone)
			return str_dup(zone + strlen("/zoneinfo/"));
	}
	if (read_file_at(AT_FDCWD, "/etc/timezone", 256, &text, NULL) == 0) {
		text[strcspn(text, " \t\r\n")] = '\0';
		return take_ptr(text);
	}
	return str_dup("");
}
