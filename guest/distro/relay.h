/* guest/distro/relay.h - the process between one session's program and its client
 *
 * Forked from init, usually before anybody asked for it. Its one connection to init carries
 * CREATE_SESSION in, with the terminal's two descriptors if there is one, and OOBE_DONE out. Init
 * has checked the request and answered it already.
 */
#ifndef GUEST_DISTRO_RELAY_H
#define GUEST_DISTRO_RELAY_H

#include <stdint.h>

struct distro_settings;

struct relay_context { /* borrowed from init's memory, of which the relay has a copy */
	const struct distro_settings *settings;
	const char *hostname, *distro;
};

/* @init: the relay's end of the connection. @listener: where the client's streams will arrive.
 * Serves one session; the result is the exit status. */
int relay_main(const struct relay_context *context, int init, int listener);

/* Bits of enum session_stream that a session with these SESSION_TTY_* flags has. */
uint32_t relay_streams(uint32_t flags);

#endif
