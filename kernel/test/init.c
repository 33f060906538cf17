/* kernel/test/init.c - the first process of a kernel under test
 *
 * Every check below is something a distribution, a container engine or our own programs rely on, asked for with
 * real system calls where that is possible. Linked statically, alone in an initramfs, so that nothing but the
 * kernel is tested. One line per check on the console, then "N passed, N failed", then power off.
 *
 * The runner (run.sh) attaches an ext4 image as /dev/ubda, adds and removes /dev/ubdb when it is asked to, and
 * looks at the image afterwards.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/fs.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/loop.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CHECK(name, cond) report(name, (errno = 0, (cond)))

static int passed, failed;

static bool report(const char *name, bool ok)
{
	if (ok) {
		passed++;
		printf("ok   %s\n", name);
	} else {
		failed++;
		printf("FAIL %s: %s\n", name, strerror(errno));
	}
	return ok;
}

/* ---- small helpers -------------------------------------------------------------------------------------- */

static ssize_t read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, all = 0;

	buf[0] = 0;
	if (fd < 0)
		return -1;
	while (all < (ssize_t)size - 1 && (n = read(fd, buf + all, size - 1 - all)) > 0)
		all += n;
	close(fd);
	buf[all] = 0;
	return all;
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = text; (p = strstr(p, word)); p += len)
		if ((p == text || strchr(" \t\n", p[-1])) && (!p[len] || strchr(" \t\n", p[len])))
			return true;
	errno = ENOENT;
	return false;
}

static bool on_command_line(const char *word)
{
	char buf[4096];

	read_file("/proc/cmdline", buf, sizeof(buf));
	return has_word(buf, word);
}

/* Runs @fn in a child, so that it may spoil its process */
static bool in_child(bool (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn() ? 0 : errno ? errno : 255);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (WIFEXITED(status))
		errno = WEXITSTATUS(status);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool mounted(const char *source, const char *dir, const char *type, const char *data)
{
	mkdir(dir, 0755);
	return mount(source, dir, type, 0, data) == 0 || errno == EBUSY;
}

static bool opened(int fd)
{
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* ---- processes ------------------------------------------------------------------------------------------ */

static int unshare_flag;

static bool can_unshare(void)
{
	return unshare(unshare_flag) == 0;
}

static void check_namespaces(void)
{
	static const struct {
		const char *name;
		int flag;
	} ns[] = {
		{ "mount namespace", CLONE_NEWNS },	{ "UTS namespace", CLONE_NEWUTS },
		{ "IPC namespace", CLONE_NEWIPC },	{ "PID namespace", CLONE_NEWPID },
		{ "user namespace", CLONE_NEWUSER },	{ "network namespace", CLONE_NEWNET },
		{ "cgroup namespace", CLONE_NEWCGROUP },
	};

	for (size_t i = 0; i < COUNT(ns); i++) {
		unshare_flag = ns[i].flag;
		CHECK(ns[i].name, in_child(can_unshare));
	}
}

static bool pidfd_works(void)
{
	siginfo_t info;
	pid_t pid = fork();
	int fd;

	if (pid == 0)
		_exit(7);
	fd = syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0 || waitid(P_PIDFD, fd, &info, WEXITED) < 0)
		return false;
	close(fd);
	return info.si_status == 7;
}

static bool seccomp_filter(void)
{
	return prctl(PR_SET_SECCOMP, 2, NULL) < 0 && errno == EFAULT;
}

static bool io_uring_nop(void)
{
	struct io_uring_params p = { 0 };
	int fd = syscall(SYS_io_uring_setup, 4, &p);
	struct io_uring_sqe *sqe;
	unsigned int *tail;
	char *ring;
	bool ok;

	if (fd < 0)
		return false;
	ring = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	if (ring == MAP_FAILED || sqe == MAP_FAILED)
		return false;
	tail = (void *)(ring + p.sq_off.tail);
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_NOP;
	*(unsigned int *)(ring + p.sq_off.array) = 0;
	__atomic_store_n(tail, 1, __ATOMIC_RELEASE);
	ok = syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1;
	close(fd);
	return ok;
}

static bool aio_works(void)
{
	aio_context_t ctx = 0;

	return syscall(SYS_io_setup, 4, &ctx) == 0 && syscall(SYS_io_destroy, ctx) == 0;
}

static bool vm_read(void)
{
	char from[] = "abc", to[4] = "";
	struct iovec l = { to, 4 }, r = { from, 4 };

	return process_vm_readv(getpid(), &l, 1, &r, 1, 0) == 4 && strcmp(to, from) == 0;
}

static bool mq_works(void)
{
	mqd_t q = mq_open("/lxss", O_CREAT | O_RDWR, 0600, NULL);

	if (q == (mqd_t)-1)
		return false;
	mq_close(q);
	return mq_unlink("/lxss") == 0;
}

static bool handles_work(void)
{
	struct file_handle h = { 0 };
	int id;

	return name_to_handle_at(AT_FDCWD, "/tmp", &h, &id, 0) < 0 && errno == EOVERFLOW;
}

static long shared_count;

static void *count_thread(void *arg)
{
	for (int i = 0; i < 100000; i++)
		__atomic_add_fetch(&shared_count, 1, __ATOMIC_RELAXED);
	return arg;
}

static bool threads_work(void)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, count_thread, NULL))
			return false;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	return shared_count == 400000;
}

/* Processes of several users in turn: what one leaves behind in the kernel's caches must not hurt the next */
static bool changing_users(void)
{
	for (int i = 0; i < 60; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			if (i % 2 && setuid(1000 + i % 3))
				_exit(1);
			execl("/proc/self/exe", "/init", "--exit", NULL);
			_exit(2);
		}
		if (waitpid(pid, &status, 0) != pid || status)
			return false;
	}
	return true;
}

static bool page_is(const char *p, size_t i, int value)
{
	return (unsigned char)p[i] == (unsigned char)((i >> 12) + value);
}

static bool big_process(void)
{
	size_t size = 200 << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	if (p == MAP_FAILED)
		return false;
	for (size_t i = 0; i < size; i += 4096)
		p[i] = i >> 12;
	pid = fork();
	if (pid == 0) {
		for (size_t i = 0; i < size; i += 65536)
			p[i]++;
		for (size_t i = 0; i < size; i += 4096)
			if (!page_is(p, i, i % 65536 == 0))
				_exit(1);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		return false;
	for (size_t i = 0; i < size; i += 4096)
		if (!page_is(p, i, 0))
			return false;
	munmap(p, size);
	return true;
}

/* ---- time ----------------------------------------------------------------------------------------------- */

static long long ns(const struct timespec *t)
{
	return t->tv_sec * 1000000000LL + t->tv_nsec;
}

static long long now(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return ns(&t);
}

/* What the C library gets without a system call must lie between two answers of the kernel */
static bool clock_agrees(clockid_t id)
{
	struct timespec a, c;
	long long b;

	for (int i = 0; i < 2000; i++) {
		syscall(SYS_clock_gettime, id, &a);
		b = now(id);
		syscall(SYS_clock_gettime, id, &c);
		if (ns(&a) > b || b > ns(&c)) {
			printf("     clock %d: %lld, %lld, %lld\n", id, ns(&a), b, ns(&c));
			errno = ERANGE;
			return false;
		}
	}
	return true;
}

static bool clock_can_be_set(void)
{
	struct timespec set = { 1500000000, 0 }, old;
	long long mono = now(CLOCK_MONOTONIC);
	struct timeval tv;
	bool ok;

	clock_gettime(CLOCK_REALTIME, &old);
	if (clock_settime(CLOCK_REALTIME, &set))
		return false;
	gettimeofday(&tv, NULL);
	ok = now(CLOCK_REALTIME) / 1000000000 - 1500000000 < 2 && tv.tv_sec - 1500000000 < 2 &&
	     time(NULL) - 1500000000 < 2 && clock_agrees(CLOCK_REALTIME);
	clock_settime(CLOCK_REALTIME, &old);
	mono = now(CLOCK_MONOTONIC) - mono;
	return ok && mono >= 0 && mono < 2000000000LL && clock_agrees(CLOCK_REALTIME);
}

static bool clock_is_fast(void)
{
	long long start = now(CLOCK_MONOTONIC), took;

	for (int i = 0; i < 10000; i++)
		now(CLOCK_REALTIME);
	took = now(CLOCK_MONOTONIC) - start;
	printf("     %lld ns per clock_gettime()\n", took / 10000);
	return took < 10000 * 2000LL;
}

static bool sleeps_are_short(void)
{
	struct timespec d = { 0, 1000000 };
	long long start = now(CLOCK_MONOTONIC), took;

	for (int i = 0; i < 20; i++)
		nanosleep(&d, NULL);
	took = now(CLOCK_MONOTONIC) - start;
	return took >= 20000000 && took < 200000000;
}

/* ---- control groups, BPF -------------------------------------------------------------------------------- */

static void check_cgroups(void)
{
	static const char *const want[] = { "cpuset", "cpu", "io", "memory", "pids" };
	char buf[4096], name[64];

	if (!CHECK("cgroup2", mounted("none", "/sys/fs/cgroup", "cgroup2", NULL)))
		return;
	read_file("/sys/fs/cgroup/cgroup.controllers", buf, sizeof(buf));
	for (size_t i = 0; i < COUNT(want); i++) {
		snprintf(name, sizeof(name), "controller %s", want[i]);
		CHECK(name, has_word(buf, want[i]));
	}
	CHECK("controllers for children",
	      write_file("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset +cpu +io +memory +pids"));
	mkdir("/sys/fs/cgroup/t", 0755);
	CHECK("memory.max", write_file("/sys/fs/cgroup/t/memory.max", "64M"));
	CHECK("cpu.max", write_file("/sys/fs/cgroup/t/cpu.max", "50000 100000"));
	CHECK("cpuset.cpus", write_file("/sys/fs/cgroup/t/cpuset.cpus", "0"));
	CHECK("cgroup.freeze", write_file("/sys/fs/cgroup/t/cgroup.freeze", "1"));
	CHECK("/proc/pressure", read_file("/proc/pressure/memory", buf, sizeof(buf)) > 0);
	rmdir("/sys/fs/cgroup/t");
}

static int bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static bool bpf_device_filter(void)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insn_cnt = 2,
				.insns = (uintptr_t)code, .license = (uintptr_t)"GPL" };
	union bpf_attr attach = { .attach_type = BPF_CGROUP_DEVICE };
	int prog, dir;

	prog = bpf(BPF_PROG_LOAD, &load);
	mkdir("/sys/fs/cgroup/b", 0755);
	dir = open("/sys/fs/cgroup/b", O_RDONLY | O_DIRECTORY);
	attach.attach_bpf_fd = prog;
	attach.target_fd = dir;
	return prog >= 0 && dir >= 0 && bpf(BPF_PROG_ATTACH, &attach) == 0;
}

/* ---- file systems and disks ----------------------------------------------------------------------------- */

static void check_filesystems(void)
{
	static const char *const want[] = { "ext4", "overlay", "fuse", "virtiofs", "9p", "tmpfs", "devtmpfs", "proc",
					    "sysfs", "cgroup2", "mqueue", "autofs", "binfmt_misc", "bpf", "hostfs" };
	char buf[4096], name[64];

	read_file("/proc/filesystems", buf, sizeof(buf));
	for (size_t i = 0; i < COUNT(want); i++) {
		snprintf(name, sizeof(name), "file system %s", want[i]);
		CHECK(name, has_word(buf, want[i]));
	}
}

static bool overlay_works(void)
{
	char buf[16];

	mkdir("/tmp/lower", 0755);
	mkdir("/tmp/upper", 0755);
	mkdir("/tmp/work", 0755);
	write_file("/tmp/lower/a", "lower");
	if (!mounted("overlay", "/tmp/merged", "overlay", "lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work"))
		return false;
	if (!write_file("/tmp/merged/a", "upper") || read_file("/tmp/lower/a", buf, sizeof(buf)) != 5 || strcmp(buf, "lower"))
		return false;
	return unlink("/tmp/merged/a") == 0 && access("/tmp/merged/a", F_OK) < 0 && umount("/tmp/merged") == 0;
}

static bool fuse_mounts(void)
{
	int fd = open("/dev/fuse", O_RDWR);
	char opts[64], buf[16384];

	snprintf(opts, sizeof(opts), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd < 0 || !mounted("t", "/tmp/fuse", "fuse", opts))
		return false;
	/* The kernel's greeting waits for us: opcode 26 is FUSE_INIT */
	return read(fd, buf, sizeof(buf)) > 40 && *(uint32_t *)(buf + 4) == 26;
}

/* Just enough of a 9P2000.L server for a mount: version, attach, getattr; an empty answer to the rest */
static void serve_9p(int fd)
{
	uint8_t in[8192], out[8192];
	uint32_t len;

	for (;;) {
		ssize_t n = read(fd, in, sizeof(in));

		if (n < 7)
			_exit(0);
		memset(out, 0, sizeof(out));
		memcpy(out + 4, in + 4, 3);
		len = 7;
		switch (in[4]) {
		case 100:	/* version: agreed */
			len = n;
			memcpy(out, in, n);
			break;
		case 104:	/* attach: a directory */
			len += 13;
			out[7] = 0x80;
			break;
		case 24:	/* getattr: valid bits, the same directory, mode 040755 */
			len += 8 + 13 + 4 * 3 + 8 * 15;
			out[7] = 0xff;
			out[8] = 0x07;
			out[15] = 0x80;
			out[28] = 0xed;
			out[29] = 0x41;
			break;
		}
		out[4]++;
		memcpy(out, &len, 4);
		if (write(fd, out, len) != len)
			_exit(1);
	}
}

static bool mount_9p(void)
{
	char opts[96];
	int sv[2];
	pid_t pid;
	bool ok;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
		return false;
	pid = fork();
	if (pid == 0) {
		close(sv[0]);
		serve_9p(sv[1]);
	}
	close(sv[1]);
	snprintf(opts, sizeof(opts), "trans=fd,rfdno=%d,wfdno=%d,version=9p2000.L,msize=262144", sv[0], sv[0]);
	ok = mounted("none", "/tmp/9p", "9p", opts);
	umount2("/tmp/9p", MNT_DETACH);
	close(sv[0]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return ok;
}

static bool binfmt_misc_runs(void)
{
	int status;
	pid_t pid;

	if (!mounted("none", "/proc/sys/fs/binfmt_misc", "binfmt_misc", NULL) ||
	    !write_file("/proc/sys/fs/binfmt_misc/register", ":t:M::LXSSTEST::/init:") ||
	    !write_file("/tmp/prog", "LXSSTEST"))
		return false;
	pid = fork();
	if (pid == 0) {
		execl("/tmp/prog", "/tmp/prog", NULL);
		_exit(99);
	}
	/* We are the interpreter ourselves, see main() */
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

static bool loop_works(void)
{
	char name[32], buf[4096] = "loop data";
	struct loop_config cfg = { .block_size = 512 };
	int ctl = open("/dev/loop-control", O_RDWR), n = ctl < 0 ? -1 : ioctl(ctl, LOOP_CTL_GET_FREE), file, dev;

	if (n < 0)
		return false;
	snprintf(name, sizeof(name), "/dev/loop%d", n);
	file = open("/tmp/loop.img", O_RDWR | O_CREAT, 0600);
	if (file < 0 || ftruncate(file, 1 << 20) || pwrite(file, buf, sizeof(buf), 0) != sizeof(buf))
		return false;
	dev = open(name, O_RDWR);
	cfg.fd = file;
	if (dev < 0 || ioctl(dev, LOOP_CONFIGURE, &cfg))
		return false;
	memset(buf, 0, sizeof(buf));
	return read(dev, buf, sizeof(buf)) == sizeof(buf) && !strcmp(buf, "loop data") && ioctl(dev, LOOP_CLR_FD) == 0;
}

static bool fill(const char *path, size_t bytes)
{
	static char block[1 << 20];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	bool ok = fd >= 0;

	memset(block, 0x5a, sizeof(block));
	for (size_t done = 0; ok && done < bytes; done += sizeof(block))
		ok = write(fd, block, sizeof(block)) == sizeof(block);
	ok = ok && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool disk_trims(void)
{
	struct fstrim_range all = { .len = UINT64_MAX };
	int dir;

	if (!fill("/disk/big", 64 << 20) || unlink("/disk/big"))
		return false;
	sync();
	dir = open("/disk", O_RDONLY | O_DIRECTORY);
	if (dir < 0 || ioctl(dir, FITRIM, &all))
		return false;
	close(dir);
	return all.len >= 64 << 20;
}

static bool direct_io(void)
{
	size_t size = 4 << 20;
	char *buf = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/disk/direct", O_RDWR | O_CREAT | O_DIRECT, 0600);
	bool ok;

	if (fd < 0 || buf == MAP_FAILED)
		return false;
	for (size_t i = 0; i < size; i++)
		buf[i] = i * 7 + (i >> 12);
	ok = pwrite(fd, buf, size, 0) == (ssize_t)size;
	memset(buf, 0, size);
	ok = ok && pread(fd, buf, size, 0) == (ssize_t)size;
	for (size_t i = 0; ok && i < size; i++)
		ok = buf[i] == (char)(i * 7 + (i >> 12));
	munmap(buf, size);
	close(fd);
	return ok;
}

static void check_disk(void)
{
	/* Both as the kernel stores them: rwx for us, rw- for uid 1000; cap_net_raw permitted and effective */
	static const uint8_t acl[] = { 2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 6, 0, 232, 3, 0, 0, 4, 0, 5, 0,
				       255, 255, 255, 255, 16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255 };
	static const uint8_t cap[] = { 1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	int fd;

	if (!CHECK("ext4 on ubda", mounted("/dev/ubda", "/disk", "ext4", NULL)))
		return;
	write_file("/disk/f", "text");
	CHECK("POSIX ACL", setxattr("/disk/f", "system.posix_acl_access", acl, sizeof(acl), 0) == 0);
	CHECK("file capability", setxattr("/disk/f", "security.capability", cap, sizeof(cap), 0) == 0);
	CHECK("user xattr", setxattr("/disk/f", "user.t", "x", 1, 0) == 0);
	fd = open("/disk/f", O_RDWR);
	CHECK("fdatasync", fdatasync(fd) == 0);
	CHECK("punch hole", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0);
	close(fd);
	CHECK("direct I/O of 4 MiB", direct_io());
	CHECK("fstrim", disk_trims());
	CHECK("unmount", umount("/disk") == 0);
}

/* A disk's node is there a moment before it can be opened */
static bool opens(const char *dev)
{
	for (int i = 0; i < 2000; i++) {
		int fd = open(dev, O_RDWR);

		if (fd >= 0)
			return close(fd) == 0;
		if (errno != ENXIO && errno != ENOENT)
			return false;
		usleep(5000);
	}
	return false;
}

/* A swap area: its header is one page with a signature at the end */
static bool swap_works(const char *dev)
{
	uint32_t header[1024] = { 0 };
	int fd = open(dev, O_RDWR);

	header[256] = 1;		/* version */
	header[257] = 32 * 256 - 1;	/* last page of 32 MiB */
	memcpy((char *)header + 4086, "SWAPSPACE2", 10);
	if (fd < 0 || pwrite(fd, header, 4096, 0) != 4096 || fsync(fd))
		return false;
	close(fd);
	return swapon(dev, 0) == 0 && swapoff(dev) == 0;
}

/* The runner reads our lines: wait for what it does, for at most ten seconds */
static bool appears(const char *path, bool wanted)
{
	for (int i = 0; i < 2000; i++) {
		if ((access(path, F_OK) == 0) == wanted)
			return true;
		usleep(5000);
	}
	errno = ETIMEDOUT;
	return false;
}

/* A write to a full host file system must fail here, not vanish: ubdc lies on a small tmpfs */
static bool full_host_is_noticed(void)
{
	static char block[1 << 20];
	int fd = open("/dev/ubdc", O_RDWR | O_DIRECT | O_SYNC);
	char *buf = mmap(NULL, sizeof(block), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(buf, 1, sizeof(block));
	for (int i = 0; fd >= 0 && i < 64; i++)
		if (pwrite(fd, buf, sizeof(block), (off_t)i << 20) != sizeof(block))
			return errno == ENOSPC || errno == EIO;
	return false;
}

/* ---- network -------------------------------------------------------------------------------------------- */

static void add_attr(struct nlmsghdr *n, int type, const void *data, int len)
{
	struct rtattr *a = (void *)((char *)n + NLMSG_ALIGN(n->nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	n->nlmsg_len = NLMSG_ALIGN(n->nlmsg_len) + RTA_ALIGN(a->rta_len);
}

static bool netlink(int protocol, const void *msg, size_t len, uint32_t seq)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	struct timeval limit = { .tv_sec = 2 };
	int err = ETIMEDOUT;
	char buf[4096];
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (fd < 0 || send(fd, msg, len, 0) < 0)
		return false;
	while (err == ETIMEDOUT && (n = recv(fd, buf, sizeof(buf), 0)) > 0)
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n))
			if (h->nlmsg_type == NLMSG_ERROR && h->nlmsg_seq == seq)
				err = -((struct nlmsgerr *)NLMSG_DATA(h))->error;
	close(fd);
	errno = err;
	return err == 0;
}

static bool add_link(const char *kind)
{
	struct {
		struct nlmsghdr n;
		struct ifinfomsg i;
		char attrs[256];
	} m = { .n = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_NEWLINK, .nlmsg_seq = 1,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK } };
	struct rtattr *info = (void *)((char *)&m + NLMSG_ALIGN(m.n.nlmsg_len));

	add_attr(&m.n, IFLA_LINKINFO, NULL, 0);
	add_attr(&m.n, IFLA_INFO_KIND, kind, strlen(kind));
	info->rta_len = (char *)&m + NLMSG_ALIGN(m.n.nlmsg_len) - (char *)info;
	return netlink(NETLINK_ROUTE, &m, m.n.nlmsg_len, 1);
}

static bool tun_works(void)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR);

	return fd >= 0 && ioctl(fd, TUNSETIFF, &r) == 0;
}

static bool nft_table(uint8_t family)
{
	struct {
		struct nlmsghdr b;
		struct nfgenmsg bg;
		struct nlmsghdr t;
		struct nfgenmsg tg;
		char attrs[16];
		struct nlmsghdr e;
		struct nfgenmsg eg;
	} m = { .b = { 20, NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, 1, 0 }, .bg = { .res_id = htons(NFNL_SUBSYS_NFTABLES) },
		.t = { 20, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, 2, 0 },
		.tg = { .nfgen_family = family },
		.e = { 20, NFNL_MSG_BATCH_END, NLM_F_REQUEST, 3, 0 }, .eg = { .res_id = htons(NFNL_SUBSYS_NFTABLES) } };

	add_attr(&m.t, NFTA_TABLE_NAME, "lxss-test\0\0", 12);
	return m.t.nlmsg_len == 36 && netlink(NETLINK_NETFILTER, &m, sizeof(m), 2);
}

/* iptables-legacy begins with "get info", number 64 in both protocols; the tables come with the question */
static bool legacy_table(int family, const char *table)
{
	char info[84] = "";
	socklen_t len = sizeof(info);
	int fd = socket(family, SOCK_RAW, IPPROTO_RAW);

	strcpy(info, table);
	return fd >= 0 && getsockopt(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, 64, info, &len) == 0;
}

static bool vsock_local(void)
{
	struct sockaddr_vm a = { .svm_family = AF_VSOCK, .svm_port = 5000, .svm_cid = VMADDR_CID_ANY };
	int l = socket(AF_VSOCK, SOCK_STREAM, 0), c = socket(AF_VSOCK, SOCK_STREAM, 0), s;
	static char buf[1 << 16];
	size_t sum = 0;
	ssize_t n;

	if (l < 0 || bind(l, (void *)&a, sizeof(a)) || listen(l, 1))
		return false;
	a.svm_cid = VMADDR_CID_LOCAL;
	if (c < 0 || connect(c, (void *)&a, sizeof(a)))
		return false;
	s = accept(l, NULL, NULL);
	if (fork() == 0) {
		for (int i = 0; i < 64; i++)
			if (send(c, buf, sizeof(buf), 0) != sizeof(buf))
				_exit(1);
		_exit(0);
	}
	close(c);
	while ((n = recv(s, buf, sizeof(buf), 0)) > 0)
		sum += n;
	wait(NULL);
	return sum == 64 * sizeof(buf);
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

static void set_up(void)
{
	mounted("dev", "/dev", "devtmpfs", NULL);
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/console", O_RDWR);
	setvbuf(stdout, NULL, _IOLBF, 0);
	mounted("proc", "/proc", "proc", NULL);
	mounted("sysfs", "/sys", "sysfs", NULL);
	mounted("tmpfs", "/tmp", "tmpfs", NULL);
	mounted("devpts", "/dev/pts", "devpts", "newinstance,ptmxmode=0666");
	mounted("shm", "/dev/shm", "tmpfs", NULL);
}

static void check_processes(void)
{
	char buf[4096];
	int fd;

	check_namespaces();
	CHECK("pidfd", pidfd_works());
	CHECK("seccomp filter", seccomp_filter());
	CHECK("io_uring", io_uring_nop());
	CHECK("aio", aio_works());
	CHECK("keyring", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1) > 0);
	CHECK("process_vm_readv", vm_read());
	CHECK("mqueue", mq_works());
	CHECK("memfd", opened(memfd_create("t", MFD_CLOEXEC)));
	CHECK("eventfd", opened(eventfd(0, 0)));
	CHECK("timerfd", opened(timerfd_create(CLOCK_BOOTTIME, 0)));
	CHECK("inotify", opened(inotify_init1(0)));
	CHECK("fanotify", opened(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY)));
	CHECK("file handles", handles_work());
	CHECK("close_range", close_range(100, 200, 0) == 0);
	fd = open("/dev/pts/ptmx", O_RDWR);
	CHECK("pseudo terminal", fd >= 0 && unlockpt(fd) == 0);
	CHECK("threads", threads_work());
	CHECK("changing users", changing_users());
	CHECK("large process forks", in_child(big_process));
	CHECK("/proc/self/io", read_file("/proc/self/io", buf, sizeof(buf)) > 0);
	CHECK("/proc/self/smaps_rollup", read_file("/proc/self/smaps_rollup", buf, sizeof(buf)) > 0);
}

static void check_time(void)
{
	CHECK("CLOCK_MONOTONIC", clock_agrees(CLOCK_MONOTONIC));
	CHECK("CLOCK_REALTIME", clock_agrees(CLOCK_REALTIME));
	CHECK("CLOCK_BOOTTIME", clock_agrees(CLOCK_BOOTTIME));
	CHECK("CLOCK_REALTIME_COARSE", clock_agrees(CLOCK_REALTIME_COARSE));
	CHECK("CLOCK_MONOTONIC_COARSE", clock_agrees(CLOCK_MONOTONIC_COARSE));
	CHECK("setting the clock", clock_can_be_set());
	CHECK("clock without a system call", clock_is_fast());
	CHECK("short sleeps", sleeps_are_short());
}

static void check_network(void)
{
	CHECK("IPv4", opened(socket(AF_INET, SOCK_STREAM, 0)));
	CHECK("IPv6", opened(socket(AF_INET6, SOCK_STREAM, 0)));
	CHECK("packet socket", opened(socket(AF_PACKET, SOCK_RAW, 0)));
	CHECK("sock_diag", opened(socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)));
	CHECK("vsock", vsock_local());
	CHECK("tun", tun_works());
	CHECK("veth", add_link("veth"));
	CHECK("bridge", add_link("bridge"));
	CHECK("dummy", add_link("dummy"));
	CHECK("nftables inet", nft_table(1));
	CHECK("nftables ip", nft_table(2));
	CHECK("iptables-legacy filter", legacy_table(AF_INET, "filter"));
	CHECK("iptables-legacy nat", legacy_table(AF_INET, "nat"));
	CHECK("ip6tables-legacy filter", legacy_table(AF_INET6, "filter"));
	CHECK("ip6tables-legacy nat", legacy_table(AF_INET6, "nat"));
}

int main(int argc, char **argv)
{
	struct utsname u;
	char buf[4096];
	int fd;

	if (argc > 1 && strcmp(argv[1], "--exit") == 0)
		return 0;
	if (argc > 1 && strcmp(argv[1], "/tmp/prog") == 0)
		return 42;
	set_up();
	if (on_command_line("lxss-halt")) {
		puts("first process");
		reboot(RB_POWER_OFF);
	}
	while (on_command_line("lxss-wait"))
		pause();

	uname(&u);
	printf("     %s %s\n", u.release, u.version);
	CHECK("release names WSL2", strstr(u.release, "WSL2"));
	fd = open("/proc/config.gz", O_RDONLY);
	CHECK("/proc/config.gz", fd >= 0 && read(fd, buf, 2) == 2 && !memcmp(buf, "\x1f\x8b", 2));
	close(fd);
	CHECK("two CPUs", sysconf(_SC_NPROCESSORS_ONLN) == 2);
	check_filesystems();
	check_processes();
	check_time();
	check_cgroups();
	CHECK("BPF device filter", bpf_device_filter());
	CHECK("overlayfs", overlay_works());
	CHECK("FUSE", fuse_mounts());
	CHECK("9p over a descriptor", mount_9p());
	CHECK("binfmt_misc", binfmt_misc_runs());
	CHECK("loop device", loop_works());
	check_network();
	check_disk();
	puts("ask attach");
	if (CHECK("disk attached while running", opens("/dev/ubdb")))
		CHECK("swap", swap_works("/dev/ubdb"));
	puts("ask detach");
	CHECK("disk removed while running", appears("/dev/ubdb", false));
	/* The runner's sign that it has its answer: do not power off before */
	CHECK("another disk after that", appears("/dev/ubde", true));
	if (access("/dev/ubdc", F_OK) == 0)
		CHECK("host out of space", full_host_is_noticed());

	printf("%d passed, %d failed\n", passed, failed);
	reboot(RB_POWER_OFF);
	return failed != 0;
}
