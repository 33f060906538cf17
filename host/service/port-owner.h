/* host/service/port-owner.h - which program holds a TCP port of the host */
#ifndef HOST_SERVICE_PORT_OWNER_H
#define HOST_SERVICE_PORT_OWNER_H

/* "nginx (process 123)", "a program of user 33", or "another program"; fresh memory. */
char *port_owner(unsigned family, unsigned protocol, unsigned port);

#endif
