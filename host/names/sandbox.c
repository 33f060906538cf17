/* host/names/sandbox.c - a list of what is refused
 *
 * The host's name service may load any module (mdns, sss, resolve, ...), each with needs of its own,
 * so an allow-list would break hosts we have not seen. What no such module needs is refused.
 */
#include "names/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/util.h"

static const int refused[] = {
	SCMP_SYS(execve),	   SCMP_SYS(execveat),	     SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(mount),
	SCMP_SYS(umount2),	   SCMP_SYS(pivot_root),     SCMP_SYS(chroot),
	SCMP_SYS(unshare),	   SCMP_SYS(setns),	     SCMP_SYS(bpf),
	SCMP_SYS(keyctl),	   SCMP_SYS(add_key),	     SCMP_SYS(request_key),
	SCMP_SYS(init_module),	   SCMP_SYS(finit_module),   SCMP_SYS(kexec_load),
	SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd),    SCMP_SYS(io_uring_setup),
	SCMP_SYS(unlink),	   SCMP_SYS(unlinkat),	     SCMP_SYS(rename),
	SCMP_SYS(renameat),	   SCMP_SYS(renameat2),	     SCMP_SYS(link),
	SCMP_SYS(linkat),	   SCMP_SYS(symlink),	     SCMP_SYS(symlinkat),
	SCMP_SYS(chmod),	   SCMP_SYS(fchmodat),	     SCMP_SYS(chown),
	SCMP_SYS(fchownat),	   SCMP_SYS(truncate),	     SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
};

int names_sandbox(void)
{
	struct rlimit no_core = { 0, 0 };
	scmp_filter_ctx ctx;
	int r = 0;

	setrlimit(RLIMIT_CORE, &no_core);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	ctx = seccomp_init(SCMP_ACT_ALLOW);
	if (!ctx)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(refused) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}
