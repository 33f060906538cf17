/* guest/distro/init.h - a distribution's first process */
#ifndef GUEST_DISTRO_INIT_H
#define GUEST_DISTRO_INIT_H

#include "boot/launch.h"
#include "distro/settings.h"

/* Entered by the clone of mini_init; the result is the exit status. */
int distro_main(const struct distro_boot *boot);

/* What follows once the root stands: serves the service over @service, a connected control channel.
 */
int distro_serve(const struct distro_boot *boot, int service,
		 const struct distro_settings *settings, const struct warnings *warnings);

#endif
