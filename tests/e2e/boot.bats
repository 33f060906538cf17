# What a distribution finds when it starts: namespaces, mounts, generated files
load ../lib/wsl
setup_file() { wsl_sandbox; wsl_box; wsl_box other; }
teardown_file() { wsl_sandbox_end; }
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs; }

@test "the kernel is a real Linux of its own" {
	run -0 wsl uname -s
	[ "$output" = Linux ]
	[ "$(wsl uname -r)" != "$(uname -r)" ]
	[ "$(wsl -e cat /proc/sys/kernel/random/boot_id)" != "$(cat /proc/sys/kernel/random/boot_id)" ]
}

@test "children have no blocked and no ignored signals" {
	run -0 wsl -e probe blocked
	[ "$output" = "0 blocked" ]
}

@test "/init is a read-only mount, mode 755" {
	run -0 wsl stat -c %a /init
	[ "$output" = 755 ]
	run -0 wsl -e grep ' /init ' /proc/self/mountinfo
	[[ $output =~ ' /init ro' ]]
	run ! guest 'echo x >/init'
}

@test "own PID namespace with init as its first process" {
	run -0 wsl -e cat /proc/1/comm
	[[ $output == *init* ]]
	# kernel threads belong to the outer namespace
	run ! guest 'ps | grep -q [k]threadd'
}

@test "two distributions: own PIDs, mounts, UTS, IPC and cgroups; same network and kernel" {
	local ns
	for ns in pid mnt uts ipc; do
		[ "$(wsl -d box readlink /proc/self/ns/$ns)" != "$(wsl -d other readlink /proc/self/ns/$ns)" ]
	done
	[ "$(wsl -d box readlink /proc/self/ns/net)" = "$(wsl -d other readlink /proc/self/ns/net)" ]
	[ "$(wsl -d box cat /proc/sys/kernel/random/boot_id)" = "$(wsl -d other cat /proc/sys/kernel/random/boot_id)" ]
}

@test "/mnt/wsl is shared, also mounts made below it" {
	guest -d box 'echo hello >/mnt/wsl/note'
	run -0 wsl -d other cat /mnt/wsl/note
	[ "$output" = hello ]
	guest -d box 'mkdir -p /mnt/wsl/m && mount -t tmpfs none /mnt/wsl/m && echo deep >/mnt/wsl/m/file'
	run -0 wsl -d other cat /mnt/wsl/m/file
	[ "$output" = deep ]
	guest -d other 'umount /mnt/wsl/m'
	run ! wsl -d box cat /mnt/wsl/m/file
}

@test "a mount outside /mnt/wsl stays private" {
	guest -d box 'mkdir -p /tmp/own && mount -t tmpfs none /tmp/own && echo x >/tmp/own/x'
	run ! wsl -d other cat /tmp/own/x
	run -0 wsl -d box cat /tmp/own/x
}

@test "the file systems are mounted as programs expect" {
	run -0 wsl cat /proc/self/mounts
	for want in '^[^ ]+ / ext4 rw' '^[^ ]+ /proc proc ' '^[^ ]+ /sys sysfs ' '^[^ ]+ /dev devtmpfs ' \
		'^[^ ]+ /dev/pts devpts .*gid=5,mode=620' '^[^ ]+ /run tmpfs ' '^[^ ]+ /dev/shm tmpfs ' \
		'^[^ ]+ /sys/fs/cgroup cgroup2 '; do
		grep -qE "$want" <<<"$output" || { echo "missing: $want"; echo "$output"; false; }
	done
	run -0 guest 'stat -c "%a %n" /tmp /dev/shm /run'
	[ "$output" = $'1777 /tmp\n1777 /dev/shm\n755 /run' ]
}

@test "the root file system discards and stops at errors" {
	run -0 guest 'cat /proc/fs/ext4/ubd*/options'
	[[ $output == *discard* && $output == *errors=remount-ro* && $output == *data=ordered* ]]
	[[ $output == *no_prefetch_block_bitmaps* ]]
}

@test "cgroup2 has its documented options" {
	run -0 wsl -e grep cgroup2 /proc/self/mountinfo
	[[ $output == *nosuid*nodev*noexec*relatime* ]]
	[[ $output == *nsdelegate* ]]
}

@test "device nodes: null, zero, random, tty, fuse, and the links for descriptors" {
	run -0 guest 'for d in null zero full random urandom tty ptmx; do [ -c /dev/$d ] || echo missing $d; done; for l in fd stdin stdout stderr; do readlink /dev/$l; done'
	[ "$output" = $'/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2' ]
	run -0 guest -u user 'echo x >/dev/null; head -c 16 /dev/urandom | wc -c'
	[ "$output" = 16 ]
}

@test "the host name is the host's, cleaned; /etc/hostname agrees" {
	local want
	want=$(python3 -c '
import re, socket
out = ""
for c in socket.gethostname():
    if c.isalnum() and c.isascii(): out += c
    elif c == "." and out and "." not in out and out[-1] != "-": out += c
    elif c == "-" and out and out[-1] not in "-.": out += c
print(out[:64].rstrip("-.") or "localhost")')
	run -0 wsl hostname
	[ "$output" = "$want" ]
	run -0 wsl cat /etc/hostname
	[ "$output" = "$want" ]
}

@test "wsl.conf names the host; odd characters are dropped" {
	guest 'printf "[network]\nhostname = Simple_Host--name.-\n" >/etc/wsl.conf'
	wsl --terminate box
	run -0 wsl hostname
	[ "$output" = SimpleHost-name. ] || [ "$output" = SimpleHost-name ]
	guest 'rm /etc/wsl.conf'
	wsl --terminate box
}

@test "/etc/hosts has its lines" {
	local name
	name=$(wsl hostname)
	run -0 wsl cat /etc/hosts
	[[ ${lines[0]} == "# "* ]]
	[[ $output == *"# [network]"* ]]
	[[ $output == *"# generateHosts = false"* ]]
	grep -qP '^127\.0\.0\.1\tlocalhost$' <<<"$output"
	grep -qP "^127\\.0\\.1\\.1\t${name%%.*}[^\t]*\t" <<<"$output"
	grep -qP '^::1\s+ip6-localhost ip6-loopback' <<<"$output"
}

@test "generateHosts=false leaves /etc/hosts alone" {
	guest 'printf "[network]\ngenerateHosts = false\n" >/etc/wsl.conf; echo mine >/etc/hosts'
	wsl --terminate box
	run -0 wsl cat /etc/hosts
	[ "$output" = mine ]
	guest 'rm /etc/wsl.conf /etc/hosts'
	wsl --terminate box
}

@test "user.default chooses who runs, unknown means root" {
	guest 'printf "[user]\ndefault = user\n" >/etc/wsl.conf'
	wsl --terminate box
	run -0 wsl whoami
	[ "$output" = user ]
	guest -u root 'printf "[user]\ndefault = gone\n" >/etc/wsl.conf'
	wsl --terminate box
	run -0 --separate-stderr wsl whoami
	[ "$output" = root ]
	guest 'rm /etc/wsl.conf'
	wsl --terminate box
}

@test "boot.command runs as root at start" {
	guest 'printf "[boot]\ncommand = id -u >/run/boot-ran\n" >/etc/wsl.conf'
	wsl --terminate box
	eventually 10 eval '[ "$(wsl cat /run/boot-ran 2>/dev/null)" = 0 ]'
	guest 'rm /etc/wsl.conf'
	wsl --terminate box
}

@test "a faulty wsl.conf is warned about with file and line, and does no harm" {
	guest 'printf "[user]\nnot a line\n[boot]\nno.such = 1\n" >/etc/wsl.conf'
	wsl --terminate box
	run -0 --separate-stderr wsl echo fine
	[ "$output" = fine ]
	[[ $stderr == *"/etc/wsl.conf:2"* ]]
	guest 'rm /etc/wsl.conf'
	wsl --terminate box
}

@test "/etc/fstab is processed; a broken one is a warning" {
	guest 'mkdir -p /mnt/tab; printf "none /mnt/tab tmpfs size=1m 0 0\n" >/etc/fstab'
	wsl --terminate box
	run -0 wsl -e grep ' /mnt/tab ' /proc/self/mounts
	guest 'printf "/no/dev /mnt/tab ext4 defaults 0 0\n" >/etc/fstab'
	wsl --terminate box
	run -0 --separate-stderr wsl echo fine
	[ "$output" = fine ]
	[[ $stderr == *"Processing /etc/fstab with mount -a failed."* ]]
	guest 'rm /etc/fstab'
	wsl --terminate box
}

@test "an fstab helper that waits for a terminal does not block the start" {
	guest 'printf "#!/bin/sh\nread x </dev/tty\n" >/sbin/mount.ask; chmod 755 /sbin/mount.ask; mkdir -p /mnt/ask
		printf "none /mnt/ask ask defaults 0 0\n" >/etc/fstab'
	wsl --terminate box
	WSL_DEADLINE=30 run -0 --separate-stderr wsl echo fine
	[ "$output" = fine ]
	guest 'rm /etc/fstab /sbin/mount.ask'
	wsl --terminate box
}

@test "LANG follows /etc/default/locale" {
	guest 'mkdir -p /etc/default; printf "LANG=\"nb_NO.UTF-8\"\n" >/etc/default/locale'
	run -0 guest 'echo $LANG'
	[ "$output" = nb_NO.UTF-8 ]
	guest 'rm /etc/default/locale'
}

@test "the time zone is the host's when the distribution knows it" {
	if [ ! -L /etc/localtime ]; then
		skip "the host has no /etc/localtime link"
	fi
	local zone
	zone=$(readlink /etc/localtime)
	zone=${zone#*zoneinfo/}
	guest "mkdir -p /usr/share/zoneinfo/\$(dirname $zone); [ -e /usr/share/zoneinfo/$zone ] || echo TZif2 >/usr/share/zoneinfo/$zone"
	wsl --terminate box
	run -0 wsl readlink /etc/localtime
	[ "$output" = "/usr/share/zoneinfo/$zone" ]
}

@test "the clock is the host's" {
	local there here
	there=$(wsl date +%s)
	here=$(date +%s)
	((there >= here - 2 && there <= here + 2))
}

@test "each distribution has a control group of its own" {
	[ "$(wsl -d box cat /proc/self/cgroup)" = "$(wsl -d box cat /proc/1/cgroup)" ] || true
	run -0 guest -d box 'mkdir /sys/fs/cgroup/mine && echo $$ >/sys/fs/cgroup/mine/cgroup.procs && cat /proc/self/cgroup'
	[[ $output == *mine* ]]
}

@test "a container's tools work: unshare, mounts, chroot, user namespaces, overlay" {
	run -0 guest 'unshare -m -p -f sh -c "mount -t proc proc /proc && echo \$\$"'
	[ "$output" = 1 ]
	run -0 guest -u user 'unshare -U -r id -u'
	[ "$output" = 0 ]
	# what rootless containers do
	guest -u user 'unshare -U -r -m -n -p -f sh -c "mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t tmpfs none /tmp"'
	run -0 guest 'mkdir -p /tmp/ov && mount -t tmpfs none /tmp/ov && cd /tmp/ov && mkdir a b w m && echo low >a/f && mount -t overlay -o lowerdir=a,upperdir=b,workdir=w none m && echo high >m/f && cat a/f b/f'
	[ "$output" = $'low\nhigh' ]
}
