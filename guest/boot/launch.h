/* guest/boot/launch.h - births and deaths of a distribution's namespaces
 *
 * A distribution's init is a direct child of mini_init in new PID, mount, UTS and IPC namespaces.
 * Its control group is the root of its control group namespace; the processes live in a group
 * "init" below it, because only a group without processes can hand controllers on (to Docker, say).
 * Network and user namespace are the VM's.
 */
#ifndef GUEST_BOOT_LAUNCH_H
#define GUEST_BOOT_LAUNCH_H

#include <stdint.h>
#include <sys/types.h>

struct err;

/* What a distribution's init knows when it begins; strings live as long as the process. */
struct distro_boot {
	uint64_t instance, device_timeout_ms;
	const char *device, *hostname;
	int report;          /* one RESULT goes there: the namespaces stand, or why not */
	uint64_t started_us; /* CLOCK_BOOTTIME */
};

/* Runs in the new namespaces as PID 1; the result is the exit status. */
typedef int (*distro_main_fn)(const struct distro_boot *boot);

/* Returns the init's PID, and our end of its report socket; -errno with *err set otherwise. */
pid_t launch_distro(struct distro_boot *boot, distro_main_fn distro_main, int *ret_report,
		    struct err *err);

/* Removes the control groups of an instance that is gone. */
void launch_clean(uint64_t instance);

uint64_t uptime_us(void); /* CLOCK_BOOTTIME */

#endif
