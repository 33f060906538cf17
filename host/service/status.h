/* host/service/status.h - what --list and --status tell */
#ifndef HOST_SERVICE_STATUS_H
#define HOST_SERVICE_STATUS_H

#include <stdint.h>

struct channel;
struct registry_record;
struct service;

void status_send_distro(struct service *s, struct channel *c, uint32_t seq,
			const struct registry_record *rec);
void status_send(struct service *s, struct channel *c, uint32_t seq);

#endif
