/* host/devices/sandbox.h - what remains possible for a process that parses guest memory
 *
 * sandbox_files() first, while files can still be opened: it closes every descriptor but those
 * named and standard error, renumbers nothing, leaves the current directory for "/".
 * sandbox_enter() is the point of no return: no privileges, no core dumps, no tracing, and only the
 * system calls of the list in sandbox.c; any other kills the process.
 */
#ifndef HOST_DEVICES_SANDBOX_H
#define HOST_DEVICES_SANDBOX_H

struct err;

int sandbox_files(const int *keep, unsigned n, struct err *err);
/* Flags. Without SANDBOX_FILTER everything but the system call filter, for debugging under
 * sanitizers. SANDBOX_NET: internet sockets may be made and connected. */
#define SANDBOX_FILTER 1u
#define SANDBOX_NET    2u
int sandbox_enter(unsigned flags, struct err *err);

#endif
