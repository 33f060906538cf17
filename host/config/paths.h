/* host/config/paths.h - where lxss keeps things on the host
 *
 * data     $XDG_DATA_HOME/lxss    (~/.local/share/lxss)  registry.db, images
 * cache    $XDG_CACHE_HOME/lxss   (~/.cache/lxss)        kernels, downloads, measurements
 * state    $XDG_STATE_HOME/lxss   (~/.local/state/lxss)  logs
 * runtime  $XDG_RUNTIME_DIR/lxss, else /tmp/lxss-<uid>   sockets, locks; 0700 and ours, or refused
 *
 * Directories are created (0700) when asked for. Strings are owned by the caller.
 */
#ifndef HOST_CONFIG_PATHS_H
#define HOST_CONFIG_PATHS_H

struct err;

enum path_kind { PATH_DATA, PATH_CACHE, PATH_STATE, PATH_RUNTIME };

/* The directory's path in fresh memory; it exists, is a directory of this user and, for
 * PATH_RUNTIME, is accessible to nobody else. NULL with *err set otherwise. */
char *path_dir(enum path_kind kind, struct err *err);
/* As above, opened (O_PATH would not do for /proc/self/fd names): fd or -errno. */
int path_open(enum path_kind kind, struct err *err);

/* The user's home: $HOME, else passwd; NULL only when neither is there. */
char *path_home(void);

/* An installed helper program or file: in the libexec directory of the installation, or in the flat
 * directory $LXSS_LIBEXEC names (build trees, tests). Fresh memory; may not exist. */
char *path_helper(const char *name);

/* Names in the runtime directory. */
#define SERVICE_SOCKET "service.sock"
#define SERVICE_LOCK   "service.lock"
#define VM_DIR	       "vm"
#define RELAY_SOCKET   "vsock.sock" /* in VM_DIR */

#endif
