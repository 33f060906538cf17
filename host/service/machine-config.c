/* host/service/machine-config.c - facts about the host that the guest is told */
#include "service/machine-config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/limits.h"
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

/* Loopback and multicast addresses mean something else in the guest. */
static bool is_of_use(const char *address)
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, address, &four) == 1)
		return ntohl(four.s_addr) >> 24 != 127 && !IN_MULTICAST(ntohl(four.s_addr));
	return inet_pton(AF_INET6, address, &six) == 1 && !IN6_IS_ADDR_LOOPBACK(&six) &&
	       !IN6_IS_ADDR_MULTICAST(&six) && !IN6_IS_ADDR_UNSPECIFIED(&six) &&
	       !(six.s6_addr[0] == 0xfe && six.s6_addr[1] == 0); /* ip6-localnet */
}

static void take_entry(FILE *f, char *line)
{
	char *save = NULL, *address, *name;

	line[strcspn(line, "#")] = '\0';
	address = strtok_r(line, " \t\r", &save);
	name = address && is_of_use(address) ? strtok_r(NULL, " \t\r", &save) : NULL;
	if (!name)
		return;
	fprintf(f, "%s\t%s", address, name);
	while ((name = strtok_r(NULL, " \t\r", &save)))
		fprintf(f, " %s", name);
	fputc('\n', f);
}

char *host_hosts(const char *path, bool *ret_large)
{
	auto_free char *text = NULL;
	char *fresh = NULL, *save = NULL;
	size_t size = 0;
	FILE *f;
	int r = read_file_at(AT_FDCWD, path, LIMIT_HOSTS_BYTES, &text, NULL);

	*ret_large = r == -EFBIG;
	if (r < 0)
		return str_dup("");
	f = open_memstream(&fresh, &size);
	if (!f)
		return str_dup("");
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_entry(f, line);
	if (fclose(f) == 0)
		return fresh;
	free(fresh);
	return str_dup("");
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
