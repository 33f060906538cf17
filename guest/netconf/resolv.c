/* guest/netconf/resolv.c - the resolv.conf that all distributions share */
#include "netconf/resolv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "boot/mounts.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "protocol/wire.h"

#define RESOLV_PATH SHARED_DIR "/resolv.conf"

static void print(FILE *f, const struct strv *nameservers, const struct strv *search)
{
	fputs("# Written by lxss. To keep a file of your own instead, put these two lines into\n"
	      "# /etc/wsl.conf: [network] and generateResolvConf = false\n",
	      f);
	strv_foreach(server, nameservers)
		fprintf(f, "nameserver %s\n", server);
	if (search->n)
		fputs("search", f);
	strv_foreach(domain, search)
		fprintf(f, " %s", domain);
	if (search->n)
		fputc('\n', f);
}

int resolv_write(const struct strv *nameservers, const struct strv *search)
{
	auto_free char *text = NULL;
	size_t len = 0;
	FILE *f;

	if (nameservers->n == 0)
		return unlink(RESOLV_PATH) < 0 && errno != ENOENT ? -errno : 0;
	f = open_memstream(&text, &len);
	if (!f)
		return -errno;
	print(f, nameservers, search);
	if (fclose(f) != 0)
		return -errno;
	return write_file_at(AT_FDCWD, RESOLV_PATH, text, len, 0644);
}
