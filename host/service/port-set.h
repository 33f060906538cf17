/* host/service/port-set.h - a set of ports, and the comma list of ignoredPorts */
#ifndef HOST_SERVICE_PORT_SET_H
#define HOST_SERVICE_PORT_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ini.h"

struct port_set {
	uint64_t bits[65536 / 64];
};

static inline bool port_set_has(const struct port_set *s, unsigned port)
{
	return port < 65536 && (s->bits[port / 64] >> (port % 64) & 1);
}

/* Blanks around items are fine. The first item that is no port is warned about and ends the list;
 * those before it stay. */
void port_set_parse(struct port_set *ret, const char *list, ini_warn_fn warn, void *arg);

#endif
