/* host/image/sandbox.h - what the program wslimage gives up before it reads hostile bytes */
#ifndef HOST_IMAGE_SANDBOX_H
#define HOST_IMAGE_SANDBOX_H

struct err;

/* Dies with its parent, dumps no core, ignores SIGPIPE and SIGXFSZ (errors say it instead). */
int sandbox_basics(struct err *err);
/* Bounds memory and leaves only system calls that work on descriptors already open. Everything
 * else fails with EPERM. Threads made later inherit it. */
int sandbox_enter(struct err *err);

#endif
