/* host/vm/mconsole.h - the management console of a User-Mode-Linux kernel
 *
 * Protocol: a datagram UNIX socket in the kernel's umid directory; request and reply layouts as in
 * the kernel's arch/um/drivers/mconsole (magic 0xcafebabe, version 2, 512 bytes of text). One request
 * is under way at a time, others wait in line; each has a deadline.
 */
#ifndef HOST_VM_MCONSOLE_H
#define HOST_VM_MCONSOLE_H

struct err;
struct loop;
struct mconsole;

/* @reply: the kernel's text, "" on success usually; valid during the call. */
typedef void (*mconsole_fn)(const struct err *err_or_null, const char *reply, void *arg);

struct mconsole *mconsole_new(struct loop *loop, int dirfd, const char *socket_name);
struct mconsole *mconsole_free(struct mconsole *m); /* requests not yet answered are dropped silently */
void mconsole_request(struct mconsole *m, const char *text, mconsole_fn fn, void *arg);

#endif
