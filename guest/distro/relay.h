/* guest/distro/relay.h - the process between one session's program and its client
 *
 * Forked from init, usually before anybody asked for it. Its one connection to init carries
 * CREATE_SESSION in, and RESULT or SESSION_CREATED, and OOBE_DONE out, for init to pass on.
 */
#ifndef GUEST_DISTRO_RELAY_H
#define GUEST_DISTRO_RELAY_H

struct distro_settings;

struct relay_context { /* borrowed from init's memory, of which the relay has a copy */
	const struct distro_settings *settings;
	const char *hostname, *distro;
};

/* @init: the relay's end of the connection. Serves one session; the result is the exit status. */
int relay_main(const struct relay_context *context, int init);

#endif
