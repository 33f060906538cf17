/* host/service/port-set.c - a set of ports, and the comma list of ignoredPorts */
#include "service/port-set.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/util.h"

#define BLANKS " \t\r\n"

void port_set_parse(struct port_set *ret, const char *list, ini_warn_fn warn, void *arg)
{
	auto_free char *copy = str_dup(list);
	char *rest = copy, *item;

	memset(ret, 0, sizeof(*ret));
	if (list[strspn(list, BLANKS)] == '\0')
		return;
	while ((item = strsep(&rest, ","))) {
		uint32_t port;
		size_t n;

		item += strspn(item, BLANKS);
		n = strlen(item);
		while (n && strchr(BLANKS, item[n - 1]))
			item[--n] = '\0';
		if (parse_u32(item, &port) < 0 || port > 65535) {
			auto_free char *text =
				str_printf("Invalid port '%s' in experimental.ignoredPorts: it and "
					   "what follows "
					   "it are not used.",
					   item);

			warn(text, arg);
			return;
		}
		ret->bits[port / 64] |= 1ull << (port % 64);
	}
}
