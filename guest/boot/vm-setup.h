/* guest/boot/vm-setup.h - what is set once for the whole VM */
#ifndef GUEST_BOOT_VM_SETUP_H
#define GUEST_BOOT_VM_SETUP_H

#define CGROUP_ROOT        "/sys/fs/cgroup"
#define CGROUP_CONTROLLERS "+cpu +io +memory +pids"

struct err;

/* Mounts, standard descriptors, the log. */
int vm_setup_root(struct err *err);
/* Limits, sysctls, the loopback interface: nothing here is worth failing for. */
void vm_setup_tunables(void);
/* The hierarchy of control groups, with controllers for the distributions. */
void vm_setup_cgroups(void);
/* In the background: waits for the disk, writes a swap header if it has none, swapon. */
void vm_setup_swap(const char *device);

#endif
