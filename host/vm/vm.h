/* host/vm/vm.h - one running utility VM: its engine process, its relay process, its disks
 *
 * Ownership  vm_start() hands the caller the only reference; vm_free(NULL) is a no-op. Strings and
 *            descriptors in struct vm_config are borrowed for the call. on_stream takes its descriptor.
 * Threads    none: calls and callbacks happen on the thread that runs the loop.
 * Life       both processes inherit config->lock_fd, an flock'ed descriptor: the lock is free exactly
 *            when nothing of the VM runs any more, whoever started it. They are not killed when the
 *            caller dies: the guest notices its lost control channel, syncs and powers off.
 * Errors     0 or -errno with *err filled; ret_ outputs are written on success only.
 */
#ifndef HOST_VM_VM_H
#define HOST_VM_VM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct loop;
struct vm;

struct vm_config {
	const char *kernel, *initramfs, *relay; /* absolute paths */
	const char *append; /* more kernel command line, may be NULL */
	const char *swap; /* absolute path of a sparse file that becomes unit 0, or NULL */
	const char *console_log; /* kernel console, bounded; NULL: discarded */
	const char *cache_dir; /* where measurements are kept */
	const char *net; /* the network's addresses, as net_plan_format() writes them; NULL: none */
	uint64_t memory_bytes;
	unsigned processors;
	bool verbose_console;
	int dirfd; /* the VM's private directory in the runtime directory */
	int lock_fd;
};

struct vm_ops {
	/* the guest opened a stream to @port on the host */
	void (*on_stream)(struct vm *vm, uint32_t port, int fd, void *arg);
	/* the engine or the relay ended; @why is a clause ("the kernel was killed by signal 9"); called
	 * at most once, never after vm_free(). The other process is already being killed. */
	void (*on_exit)(struct vm *vm, const char *why, void *arg);
};

typedef void (*vm_disk_fn)(struct vm *vm, const struct err *err_or_null, const char *device, void *arg);

/* Starts both processes; returns at once. The guest's boot shows itself by on_stream. */
int vm_start(struct loop *loop, const struct vm_config *cfg, const struct vm_ops *ops, void *arg,
	     struct vm **ret_vm, struct err *err);
/* Kills what still runs and waits for it (a killed process group ends in milliseconds). */
struct vm *vm_free(struct vm *vm);
void vm_kill(struct vm *vm); /* SIGKILL; on_exit follows */

/* Attaches a raw image as a block device; @fn gets "/dev/ubdX". Fails with
 * ERR_WSL_E_TOO_MANY_DISKS_ATTACHED, ERR_ERROR_SHARING_VIOLATION, ... Unless the VM is freed
 * before, @fn is called exactly once. */
void vm_attach_disk(struct vm *vm, const char *path, vm_disk_fn fn, void *arg);
/* Detaches it; the image is closed by the engine when @fn is called without an error. */
void vm_detach_disk(struct vm *vm, const char *device, vm_disk_fn fn, void *arg);

/* Connections to @listen_fd, which is duplicated, go to the guest's loopback port; see RELAY_FORWARD. */
struct msg_port;
int vm_forward(struct vm *vm, const struct msg_port *port, int listen_fd);
void vm_forward_stop(struct vm *vm, const struct msg_port *port);

const char *vm_swap_device(const struct vm *vm); /* "" without swap */
/* Reads delay-loop calibration from the first boot's console and keeps it; call once booted. */
void vm_booted(struct vm *vm);
pid_t vm_engine_pid(const struct vm *vm);
pid_t vm_relay_pid(const struct vm *vm);

/* Waits until no process holds @lock_fd's file locked, killing the VM recorded in @dirfd after
 * @grace_ms. 0: the lock is ours now. For a service that follows one that was killed. */
int vm_await_predecessor(int dirfd, int lock_fd, uint64_t grace_ms, struct err *err);

#endif
