/* guest/boot/mini-init.h - the VM's first process */
#ifndef GUEST_BOOT_MINI_INIT_H
#define GUEST_BOOT_MINI_INIT_H

#include <stdint.h>

#include "boot/launch.h"

/* Forks the network daemon; its pid or -errno. */
typedef pid_t (*gns_start_fn)(void);

/* Never returns: the VM is powered off in the end. @started_us: CLOCK_BOOTTIME when main() began.
 */
_Noreturn void mini_init_main(uint64_t started_us, distro_main_fn distro_main,
			      gns_start_fn gns_start);

#endif
