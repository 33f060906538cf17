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
/* @filter 0: everything but the system call filter, for debugging under sanitizers. */
int sandbox_enter(int filter, struct err *err);

#endif
