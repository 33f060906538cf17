/* guest/boot/vm-setup.c - VM-wide state: mounts, sysctls, limits, loopback, swap */
#include "boot/vm-setup.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include "boot/disk.h"
#include "boot/kmsg.h"
#include "boot/mounts.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "common/util.h"

/* The kernel's SWAP_FLAG_DISCARD_PAGES, which libc does not name. */
#define SWAP_DISCARD_PAGES     0x40000
#define SWAP_DEVICE_TIMEOUT_MS 10000

static const struct {
	const char *path, *value;
} sysctls[] = {
	/* At 100 ticks a second a normal RCU grace period takes 20 to 40 ms, and mounting,
	 * unmounting and everything about control groups waits for one. */
	{ "/sys/kernel/rcu_expedited", "1" },
	{ "/proc/sys/kernel/dmesg_restrict", "0" },
	{ "/proc/sys/kernel/print-fatal-signals", "1" },
	{ "/proc/sys/fs/inotify/max_user_watches", "524288" },
};

static const struct {
	int resource;
	struct rlimit limit;
} limits[] = {
	{ RLIMIT_NOFILE, { 10240, 1048576 } },
	{ RLIMIT_MEMLOCK, { 64 * MIB, 64 * MIB } },
};

/* The kernel may have given us a console, or nothing: 0 to 2 are /dev/null, the log comes next. */
static void open_standard(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
	kmsg_open("mini_init");
}

int vm_setup_root(struct err *err)
{
	int r;

	umask(0);
	r = mounts_apply("", vm_mounts, n_vm_mounts, err);
	umask(022);
	open_standard();
	if (r < 0)
		return r;
	/* Mounts made below it by one distribution appear in all of them. */
	if (mount(NULL, SHARED_DIR, NULL, MS_SHARED, NULL) < 0)
		return err_errno(err, "cannot share %s", SHARED_DIR);
	return 0;
}

static void loopback_up(void)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		log_warn("cannot bring up the loopback interface: %s", strerror(errno));
}

void vm_setup_tunables(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(sysctls); i++) {
		int r = write_existing(sysctls[i].path, sysctls[i].value);

		if (r < 0)
			log_warn("cannot set %s: %s", sysctls[i].path, strerror(-r));
	}
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (setrlimit(limits[i].resource, &limits[i].limit) < 0)
			log_warn("cannot set resource limit %d: %s", limits[i].resource,
				 strerror(errno));
	loopback_up();
}

void vm_setup_cgroups(void)
{
	struct err err = ERR_INIT;
	int r = mounts_apply("", &cgroup_mount, 1, &err);

	if (r < 0) {
		log_err("%s", err.text);
		return;
	}
	r = write_existing(CGROUP_ROOT "/cgroup.subtree_control", CGROUP_CONTROLLERS);
	if (r < 0)
		log_warn("cannot enable control group controllers: %s", strerror(-r));
}

/* The on-disk layout of a version 1 swap area: a page that ends with its signature. */
struct swap_header {
	uint8_t boot[1024];
	uint32_t version, last_page, n_bad;
	uint8_t uuid[16], label[16];
};

static int write_swap_header(int fd, uint64_t bytes)
{
	static const char signature[10] = "SWAPSPACE2";
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	auto_free char *head = calloc(1, page);
	struct swap_header *h = (struct swap_header *)head;
	char found[sizeof(signature)];

	if (!head)
		return -ENOMEM;
	if (pread(fd, found, sizeof(found), (off_t)(page - sizeof(found))) == sizeof(found) &&
	    memcmp(found, signature, sizeof(found)) == 0)
		return 0;
	if (bytes < 10 * page)
		return -ENOSPC;
	h->version = 1;
	h->last_page = (uint32_t)MIN(bytes / page - 1, (uint64_t)UINT32_MAX);
	if (getrandom(h->uuid, sizeof(h->uuid), GRND_NONBLOCK) < 0)
		memset(h->uuid, 0, sizeof(h->uuid));
	memcpy(head + page - sizeof(signature), signature, sizeof(signature));
	return pwrite(fd, head, page, 0) == (ssize_t)page ? 0 : -EIO;
}

static int swap_on(const char *device)
{
	auto_close int fd = -1;
	off_t bytes;
	int r = device_wait(device, SWAP_DEVICE_TIMEOUT_MS);

	if (r < 0)
		return r;
	fd = open(device, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	bytes = lseek(fd, 0, SEEK_END);
	if (bytes < 0)
		return -errno;
	r = write_swap_header(fd, (uint64_t)bytes);
	/* Freed clusters are discarded as they come: discarding the whole disk first takes long. */
	if (r == 0 && swapon(device, SWAP_FLAG_DISCARD | SWAP_DISCARD_PAGES) < 0)
		r = -errno;
	return r;
}

void vm_setup_swap(const char *device)
{
	pid_t pid = fork();
	int r;

	if (pid < 0)
		log_warn("no swap: cannot fork: %s", strerror(errno));
	if (pid != 0)
		return;
	r = swap_on(device);
	if (r < 0)
		log_warn("no swap on %s: %s", device, strerror(-r));
	_exit(r < 0);
}
