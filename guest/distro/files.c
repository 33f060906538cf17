/* guest/distro/files.c - hosts, timezone, os-release */
#include "distro/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

#define SMALL_FILE_BYTES (1 * MIB)
#define ZONE_DIR         "/usr/share/zoneinfo/"

static int file_write(const char *path, const char *text)
{
	/* In place: the file may be a link or a bind mount, and the next start writes it again. */
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);

	if (fd < 0)
		return -errno;
	return write_all(fd, text, strlen(text));
}

int file_update(const char *path, const char *text)
{
	auto_free char *old = NULL;

	if (read_file_at(AT_FDCWD, path, SMALL_FILE_BYTES, &old, NULL) == 0 && streq(old, text))
		return 0;
	return file_write(path, text);
}

char *hosts_text(const char *hostname, const char *domain, const char *more)
{
	if (!domain[0])
		domain = "localdomain";
	return str_printf(
		"# Written by lxss at every start of this distribution. To keep a version of "
		"your own,\n"
		"# put these two lines into /etc/wsl.conf:\n"
		"# [network]\n"
		"# generateHosts = false\n"
		"127.0.0.1\tlocalhost\n"
		"127.0.1.1\t%s.%s\t%s\n"
		"%s"
		"\n"
		"# The following lines are desirable for IPv6 capable hosts\n"
		"::1     ip6-localhost ip6-loopback\n"
		"fe00::0 ip6-localnet\n"
		"ff00::0 ip6-mcastprefix\n"
		"ff02::1 ip6-allnodes\n"
		"ff02::2 ip6-allrouters\n",
		hostname, domain, hostname, more);
}

/* A zone name is a relative path without surprises: "Europe/Berlin", "UTC". */
static bool zone_name_valid(const char *zone)
{
	return zone[0] && zone[0] != '/' && !strstr(zone, "..") && strlen(zone) < 128 &&
	       zone[strspn(zone, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				 "_+-/")] == '\0';
}

static int link_zone(const char *path)
{
	static const char link[] = "/etc/localtime", temporary[] = "/etc/.localtime.lxss";
	char old[256];
	ssize_t n = readlink(link, old, sizeof(old) - 1);

	if (n > 0) {
		old[n] = '\0';
		if (streq(old, path) || (str_after(old, "..") && streq(old + 2, path)))
			return 0;
	}
	unlink(temporary);
	if (symlink(path, temporary) < 0)
		return -errno;
	return rename(temporary, link) < 0 ? -errno : 0;
}

void timezone_apply(const char *zone)
{
	char path[192], line[160];
	int r;

	if (!zone_name_valid(zone))
		return;
	str_format(path, sizeof(path), ZONE_DIR "%s", zone);
	if (access(path, F_OK) < 0)
		return;
	r = link_zone(path);
	str_format(line, sizeof(line), "%s\n", zone);
	if (r == 0)
		r = file_update("/etc/timezone", line);
	if (r < 0)
		log_warn("cannot set the time zone: %s", strerror(-r));
}

void resolv_conf_apply(const char *automount_root, bool generate)
{
	static const char path[] = "/etc/resolv.conf", temporary[] = "/etc/.resolv.conf.lxss";
	char target[PATH_MAX], now[PATH_MAX];
	bool ours;
	ssize_t n;

	if (str_format(target, sizeof(target), "%s" RESOLV_CONF, automount_root) < 0)
		return;
	n = readlink(path, now, sizeof(now) - 1);
	now[n < 0 ? 0 : n] = '\0';
	ours = streq(now, target);
	if (ours == generate)
		return;
	if (!generate) {
		unlink(path);
		return;
	}
	unlink(temporary);
	if (symlink(target, temporary) < 0 || rename(temporary, path) < 0)
		log_warn("cannot make %s a link to %s: %s", path, target, strerror(errno));
}
