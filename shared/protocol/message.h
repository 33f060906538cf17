/* shared/protocol/message.h - every control message of lxss, its fields, its codec and its trace
 *
 * The format is docs/protocol.md: a 12-byte header (u32 length with the header, u16 type, u16 count
 * of attached descriptors, u32 sequence number), then the fields in the order of the table rows in
 * message.c, all little-endian. A reply carries its request's sequence number. Types are never
 * reused. Each channel opens with HELLO both ways; PROTOCOL_VERSION must match.
 *
 * Ownership: decoded strings and vectors point into the buffer they were decoded from. No function
 * here allocates or does I/O.
 */
#ifndef SHARED_PROTOCOL_MESSAGE_H
#define SHARED_PROTOCOL_MESSAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol/wire.h"

#define PROTOCOL_VERSION 1u
#define MESSAGE_HEADER	 12u

#define VSOCK_CID_HOST	2u
#define VSOCK_CID_GUEST 3u
#define VSOCK_PORT_INIT	     50000u /* guest to host: control channels of mini_init, each init and gns */
#define VSOCK_PORT_DNS	     50010u /* guest to host: DNS messages, each with a 2-byte length before it */

/* Columns: NAME, type number, struct tag. The tag "none" has no fields. */
#define MESSAGE_TYPES(X)                                                                           \
	X(HELLO, 1, msg_hello)                                                                     \
	X(RESULT, 2, msg_result)                                                                   \
	X(WARNING, 3, msg_text)                                                                    \
	X(PROGRESS, 4, msg_progress)                                                               \
	/* wsl to wslservice */                                                                    \
	X(LIST, 0x100, msg_none)                                                                   \
	X(DISTRO, 0x101, msg_distro)                                                               \
	X(STATUS, 0x102, msg_none)                                                                 \
	X(STATUS_REPLY, 0x103, msg_status)                                                         \
	X(LAUNCH, 0x104, msg_launch)                                                               \
	X(LAUNCHED, 0x105, msg_launched)                                                           \
	X(TERMINATE, 0x106, msg_text)                                                              \
	X(SHUTDOWN, 0x107, msg_shutdown)                                                           \
	X(SET_DEFAULT, 0x108, msg_text)                                                            \
	X(UNREGISTER, 0x109, msg_text)                                                             \
	X(IMPORT, 0x10a, msg_import)                                                               \
	X(IMPORTED, 0x10b, msg_imported)                                                           \
	X(IMPORT_IN_PLACE, 0x10c, msg_import)                                                      \
	X(EXPORT, 0x10d, msg_export)                                                               \
	X(SET_DEFAULT_VERSION, 0x10e, msg_number)                                                  \
	X(STOP_SERVICE, 0x10f, msg_none)                                                           \
	/* wslservice and mini_init */                                                             \
	X(VM_CONFIG, 0x200, msg_vm_config)                                                         \
	X(LAUNCH_DISTRO, 0x201, msg_launch_distro)                                                 \
	X(DISTRO_EXITED, 0x202, msg_distro_exited)                                                 \
	X(STOP_DISTRO, 0x203, msg_number)                                                          \
	X(FREEZE_DISTRO, 0x204, msg_number)                                                        \
	X(THAW_DISTRO, 0x205, msg_number)                                                          \
	X(POWER_OFF, 0x206, msg_none)                                                              \
	X(NET_CONFIG, 0x207, msg_net_config)                                                       \
	X(PORT_OPENED, 0x208, msg_port)                                                            \
	X(PORT_CLOSED, 0x209, msg_port)                                                            \
	X(STEP_CLOCK, 0x20a, msg_number)                                                           \
	X(CLOCK, 0x20b, msg_number)                                                                \
	/* wslservice and a distribution's init */                                                 \
	X(DISTRO_CONFIG, 0x300, msg_distro_config)                                                 \
	X(DISTRO_READY, 0x301, msg_distro_ready)                                                   \
	X(CREATE_SESSION, 0x302, msg_create_session)                                               \
	X(SESSION_CREATED, 0x303, msg_session_created)                                             \
	X(SESSION_ENDED, 0x304, msg_number)                                                        \
	X(OOBE_DONE, 0x305, msg_oobe_done)                                                         \
	X(STOP, 0x306, msg_none)                                                                   \
	X(TIMEZONE, 0x307, msg_text)                                                               \
	/* wsl and a session's relay in the guest, on the session's control stream */              \
	X(WINDOW_SIZE, 0x400, msg_window_size)                                                     \
	X(SIGNAL, 0x401, msg_number)                                                               \
	X(EXIT_STATUS, 0x402, msg_exit_status)                                                     \
	/* wslservice and wslrelay, on the relay's control socket */                               \
	X(RELAY_ACCEPT, 0x500, msg_number)                                                         \
	X(RELAY_STATS, 0x501, msg_none)                                                            \
	X(RELAY_STATS_REPLY, 0x502, msg_relay_stats)                                               \
	X(RELAY_FORWARD, 0x503, msg_port)                                                          \
	X(RELAY_FORWARD_STOP, 0x504, msg_port)                                                     \
	/* wslimage to wslservice, on the worker's channel */                                      \
	X(IMAGE_INFO, 0x600, msg_image_info)

enum message_type {
#define X(name, number, tag) MSG_##name = (number),
	MESSAGE_TYPES(X)
#undef X
};

struct message_header {
	uint32_t length; /* header included */
	uint16_t type, fds;
	uint32_t seq;
};

enum role { ROLE_CLIENT = 1, ROLE_SERVICE, ROLE_MINI_INIT, ROLE_DISTRO_INIT, ROLE_RELAY, ROLE_SESSION, ROLE_GNS, ROLE_LOCALHOST };

struct msg_none {
	char unused;
};
struct msg_text {
	const char *text;
};
struct msg_number {
	uint64_t number; /* STEP_CLOCK: nanoseconds to add, modulo 2^64; CLOCK: since 1970 */
};
struct msg_hello {
	uint32_t version; /* PROTOCOL_VERSION */
	uint32_t role;	  /* enum role of the sender */
	uint64_t id;	  /* ROLE_DISTRO_INIT: the instance number of LAUNCH_DISTRO */
	uint64_t uptime_us; /* guest roles: kernel uptime when its main() began */
	const char *release; /* lxss version; ROLE_MINI_INIT: "<lxss version> <kernel release>" */
};
struct msg_result {
	uint32_t errnum; /* positive errno value, 0: success */
	uint32_t error;	 /* enum err_id */
	const char *text, *context;
};
struct msg_progress {
	uint64_t done, total; /* bytes; total 0: unknown */
	const char *phase;
};
struct msg_distro {
	const char *name, *id, *base_path, *flavor, *os_version;
	uint32_t state; /* enum distro_state */
	uint32_t version, is_default, default_uid, run_oobe;
	uint32_t sessions;
	uint64_t image_bytes; /* allocated on the host's disk */
};
struct msg_status {
	const char *release, *kernel, *kernel_path, *engine, *default_distro, *vm_state, *remarks;
	uint32_t default_version;
	uint64_t memory_bytes, processors, vm_uptime_ms;
	/* of the VM that is not off */
	const char *networking_mode, *guest_address, *guest_address6, *gateway, *nameserver;
	struct strv ports, conflicts; /* "127.0.0.1:8080"; one sentence each */
};
struct msg_launch {
	const char *distro, *distro_id, *user, *cwd;
	struct strv argv, env;
	uint32_t shell; /* enum shell_mode */
	uint32_t flags; /* SESSION_* */
	uint32_t rows, cols;
	struct strv proxy; /* http_proxy and the like, as "NAME=value": the service decides */
};
struct msg_launched {
	const char *relay_socket; /* path: connect, send struct relay_connect, one per stream */
	uint32_t port;
	uint32_t streams; /* SESSION_STREAM_* to open */
	const char *timings; /* "phase=microseconds" words */
};
struct msg_shutdown {
	uint32_t force;
};
struct msg_import { /* one descriptor: the archive, or the image file of IMPORT_IN_PLACE */
	const char *name; /* "": oobe.defaultName of the archive */
	const char *location; /* absolute directory, "": the default place */
	const char *source; /* for messages */
	uint64_t size_bytes; /* virtual size, 0: defaultVhdSize */
	uint32_t flags; /* IMPORT_* */
};
struct msg_imported {
	const char *name, *id;
};
struct msg_export { /* one descriptor: the target, open for writing */
	const char *name, *format; /* tar tar.gz tar.xz tar.zst img */
};
struct msg_vm_config {
	const char *hostname, *timezone, *swap_device, *release;
};
struct msg_launch_distro {
	uint64_t instance; /* number of this instance, unique in the VM's life */
	const char *device; /* "/dev/ubdb" */
	const char *hostname; /* the host's, cleaned by the guest */
	uint64_t device_timeout_ms;
};
struct msg_distro_exited {
	uint64_t instance;
	uint32_t status; /* wait status of its init */
};
struct msg_distro_config {
	const char *name, *hostname, *domain, *timezone;
	uint32_t default_uid;
	const char *hosts; /* more lines for /etc/hosts */
};
struct msg_distro_ready {
	const char *flavor, *os_version; /* of /etc/os-release, "" if absent or invalid */
	uint32_t systemd; /* wsl.conf asks for it */
};
struct msg_create_session {
	uint64_t session;
	const char *user, *cwd;
	struct strv argv, env;
	uint32_t shell, flags, rows, cols, default_uid;
};
struct msg_session_created {
	uint64_t session;
	uint32_t port, pid, streams;
};
struct msg_oobe_done {
	uint64_t session;
	uint32_t default_uid; /* UINT32_MAX: unchanged */
};
struct msg_window_size {
	uint32_t rows, cols;
};
struct msg_exit_status {
	uint32_t status; /* wait status, see waitpid(2) */
};
struct msg_relay_stats {
	uint64_t connections, opened, refused, bytes_to_guest, bytes_to_host;
};

struct msg_net_config {
	const char *mode; /* "none", "nat", "mirrored" */
	const char *interface; /* "eth0" */
	/* "ADDRESS/PREFIX", the first one for packets to the world; none: that family is off. The
	 * last deprecated6 of them are for answering only. */
	struct strv addresses4, addresses6;
	uint32_t deprecated6;
	const char *gateway4, *gateway6; /* "": no default route */
	uint32_t mtu;
	const char *dns_address; /* of the tunnel, put on lo; "": no tunnel */
	struct strv nameservers, search; /* of resolv.conf */
	uint32_t localhost_forwarding; /* report listening ports */
	uint32_t inbound; /* report them at the addresses they have, not as loopback's */
	uint32_t host_loopback; /* enum host_loopback: what of the host's loopback the guest shares */
};
enum host_loopback { HOST_LOOPBACK_NONE, HOST_LOOPBACK_SHARED, HOST_LOOPBACK_ADDRESSES };

struct msg_port { /* a listening socket of the guest; to the guest: one of the host */
	const char *address; /* "127.0.0.1", "::" */
	uint32_t protocol; /* 6 TCP, 17 UDP */
	uint32_t port;
	uint32_t stream; /* vsock port of the guest for its connections; to the guest: 0 */
};
struct msg_image_info {
	const char *distribution_conf, *os_release; /* texts of the two files, "" if absent */
	uint64_t files, bytes; /* inodes and bytes of content written */
};

enum distro_state { /* spec distros.md section 4 */
	DISTRO_INSTALLED = 1,
	DISTRO_RUNNING,
	DISTRO_INSTALLING,
	DISTRO_UNINSTALLING,
	DISTRO_CONVERTING,
	DISTRO_EXPORTING
};

enum shell_mode {
	SHELL_INTERACTIVE, /* the user's login shell, no command */
	SHELL_STANDARD,	   /* $SHELL -c argv[0] */
	SHELL_LOGIN,	   /* as above with argv[0] of the shell starting with '-' */
	SHELL_NONE	   /* argv itself, PATH search, no shell */
};

#define SESSION_TTY_STDIN  1u /* this handle of the client is a terminal */
#define SESSION_TTY_STDOUT 2u
#define SESSION_TTY_STDERR 4u
#define SESSION_RUN_OOBE   8u /* run oobe.command before the shell */
#define SESSION_CWD_HOME   16u /* cwd "~": start in the user's home */

/* Streams of one session; each is one vsock connection whose first byte is the stream's number.
 * Handles that are terminals share SESSION_STREAM_PTY, both ways. */
enum session_stream {
	SESSION_STREAM_CONTROL = 0,
	SESSION_STREAM_STDIN = 1,
	SESSION_STREAM_STDOUT = 2,
	SESSION_STREAM_STDERR = 3,
	SESSION_STREAM_PTY = 4,
	SESSION_STREAM_COUNT
};

#define IMPORT_RUN_OOBE 1u /* installed, not imported: first launch runs oobe.command */
#define IMPORT_FIXED	2u /* allocate the whole image */

/* What a client sends first on the relay's socket, and the answer: a positive errno value or 0. */
#define RELAY_CONNECT_MAGIC 0x4b53564cu /* "LVSK" */
struct relay_connect {
	uint32_t magic, port; /* little-endian; the answer is one u32, little-endian */
};

const char *message_name(uint16_t type); /* "?" when unknown */

/* Reads and checks a header of at least MESSAGE_HEADER bytes: -EBADMSG for an impossible length,
 * -EOPNOTSUPP for an unknown type (length is valid then, so the message can be skipped). */
int message_header_decode(const uint8_t *bytes, struct message_header *ret);

/* Decodes the payload (without the header) of a known type into its struct. */
int message_decode(uint16_t type, const uint8_t *payload, size_t len, void *ret_msg);

/* Writes header and payload; returns the whole length, or -EMSGSIZE when @size is too small or the
 * message exceeds LIMIT_MESSAGE_BYTES. message_size() returns the length encoding would take. */
ssize_t message_encode(uint16_t type, uint32_t seq, unsigned fds, const void *msg, uint8_t *buf,
		       size_t size);
size_t message_size(uint16_t type, const void *msg);

/* One line for people: "LAUNCH distro=Debian user= ..."; cut at @size. */
const char *message_trace(uint16_t type, const void *msg, char *buf, size_t size);

/* Bytes of the largest message struct: a buffer of this size takes any decoded message. */
union message_any {
	struct msg_launch launch;
	struct msg_distro distro;
	struct msg_status status;
	struct msg_import import;
	struct msg_create_session create_session;
	uint64_t align[32];
};

#endif
