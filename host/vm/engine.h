/* host/vm/engine.h - what differs between the programs that can run the guest kernel
 *
 * An engine turns a struct vm_config into a command line. It is started in the VM's directory, so
 * socket and disk names in the command line are short and relative. A second engine is a row more.
 */
#ifndef HOST_VM_ENGINE_H
#define HOST_VM_ENGINE_H

#include <stdint.h>

struct vm_config;

#define VHOST_SOCKET   "vhost.sock"
#define NET_SOCKET     "net.sock"
#define CONSOLE_SOCKET "uml/mconsole" /* relative to the VM's directory */

#define ENGINE_MAX_ARGS 40

struct engine_command {
	char *argv[ENGINE_MAX_ARGS + 1]; /* allocated, NULL-terminated */
	unsigned argc;
};

/* @lpj: delay-loop calibration of an earlier boot, 0: measure (the console tells it then). */
void uml_command(const struct vm_config *cfg, uint64_t lpj, struct engine_command *ret);
void engine_command_done(struct engine_command *cmd);

#endif
