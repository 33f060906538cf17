/* host/devices/sandbox.c - no_new_privs, no capabilities, a system call list
 *
 * The list holds what the loop, the rings, the sockets and malloc() use, and nothing that opens,
 * executes, traces or signals. mmap() and mprotect() may not make memory executable. What is
 * missing shows as "killed by SIGSYS"; run with --no-sandbox under strace -c to find the call.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/err.h"
#include "common/util.h"

static const int allowed[] = {
	/* loop */
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn),
	/* streams */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(accept4),
	SCMP_SYS(socketpair),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt),
	SCMP_SYS(fcntl),
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	/* memory */
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	/* ends */
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* What libslirp does with the host sockets behind the guest's connections, beside the streams'
 * calls. socket() itself is allowed for internet families only. */
static const int allowed_net[] = {
	SCMP_SYS(connect),     SCMP_SYS(bind),	     SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname), SCMP_SYS(getpeername),
};

static int compare_ints(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

/* A library that writes to a standard stream must not reach a descriptor that was made later. */
static void fill_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int sandbox_files(const int *keep, unsigned n, struct err *err)
{
	int fds[16] = { STDERR_FILENO };
	unsigned from = 0, n_fds = 1;

	if (n >= ARRAY_SIZE(fds))
		return err_set(err, -EINVAL, "too many descriptors to keep");
	for (unsigned i = 0; i < n; i++)
		fds[n_fds++] = keep[i];
	qsort(fds, n_fds, sizeof(fds[0]), compare_ints);
	for (unsigned i = 0; i < n_fds; i++) {
		unsigned fd = (unsigned)fds[i];

		if (fd > from && syscall(SYS_close_range, from, fd - 1, 0) < 0)
			return err_errno(err, "cannot close inherited descriptors");
		from = fd + 1;
	}
	if (syscall(SYS_close_range, from, ~0u, 0) < 0)
		return err_errno(err, "cannot close inherited descriptors");
	fill_standard_streams();
	if (chdir("/") < 0)
		return err_errno(err, "cannot change to /");
	return 0;
}

/* The bounding set can only be emptied with CAP_SETPCAP; without it there is nothing to gain. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return (int)syscall(SYS_capset, &head, none);
}

static int add_net_rules(scmp_filter_ctx ctx)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(allowed_net) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed_net[i], 0);
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_INET));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_INET6));
	/* libslirp looks for name servers in /etc/resolv.conf when it advertises itself as a router,
	 * minutes after the start. It goes on without; an attempt must not be the end of the VM. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 0);
	if (r == 0) /* how much a datagram brings */
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				     SCMP_A1(SCMP_CMP_EQ, FIONREAD));
	return r;
}

static int add_rules(scmp_filter_ctx ctx)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(allowed) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0) /* malloc's randomness, abort's message */
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(getrandom), 0);
	return r;
}

static int load_filter(bool net, struct err *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = ctx ? add_rules(ctx) : -ENOMEM;

	if (r == 0 && net)
		r = add_net_rules(ctx);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r < 0 ? err_code(err, r, "cannot load the system call filter") : 0;
}

int sandbox_enter(unsigned flags, struct err *err)
{
	struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_errno(err, "cannot give up privileges");
	if (drop_capabilities() < 0)
		return err_errno(err, "cannot drop capabilities");
	return flags & SANDBOX_FILTER ? load_filter(flags & SANDBOX_NET, err) : 0;
}
