/* host/names/sandbox.h - what wslresolver gives up: it reads files and talks to servers, no more */
#ifndef HOST_NAMES_SANDBOX_H
#define HOST_NAMES_SANDBOX_H

int names_sandbox(void); /* 0 or -errno */

#endif
