#!/bin/bash
# kernel/test/run.sh - boot a user-mode kernel with init.c as its first process and judge both
#
#   run.sh [KERNEL]      default: what kernel/build.sh prints
#
# Ends with "N passed, N failed"; exit status 0 only if nothing failed. Needs gcc, cpio and e2fsprogs; no root,
# except that the check for a full host disk is left out where no small tmpfs can be mounted.
set -euo pipefail
export LC_ALL=C
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin

# A mount namespace of our own, if we may have one, for the small tmpfs
if [ -z "${LXSS_KERNEL_TEST_NS:-}" ]; then
	for how in -m -rm; do
		if unshare $how true 2>/dev/null; then
			LXSS_KERNEL_TEST_NS=yes exec unshare $how "$0" "$@"
		fi
	done
	export LXSS_KERNEL_TEST_NS=no
fi

kernel=${1:-$("$here/../build.sh")}
dir=$(mktemp -d "${TMPDIR:-/tmp}/lxss-kernel-test.XXXXXX")
pid=
clean_up() {
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
	umount "$dir/small" 2>/dev/null || true
	rm -rf "$dir"
}
trap clean_up EXIT

passed=0 failed=0
check() {	# NAME COMMAND...
	local name=$1
	shift
	if "$@" >"$dir/out" 2>&1; then
		passed=$((passed + 1)); echo "ok   $name"
	else
		failed=$((failed + 1)); echo "FAIL $name: $(tail -n 1 "$dir/out")"
	fi
}

cc=${CC:-gcc}
"$cc" -static -O2 -o "$dir/init" "$here/init.c"
"$cc" -O2 -o "$dir/mconsole" "$here/mconsole.c"
mkdir "$dir/root" "$dir/root/"{dev,proc,sys,tmp,disk} "$dir/run" "$dir/small"
mv "$dir/init" "$dir/root/init"
(cd "$dir/root" && find . | cpio --quiet -o -H newc) >"$dir/initrd"
truncate -s 256M "$dir/a.img"
mke2fs -q -t ext4 "$dir/a.img"
truncate -s 64M "$dir/b.img"
disks=("ubd0=$dir/a.img")
if [ "$LXSS_KERNEL_TEST_NS" = yes ] && mount -t tmpfs -o size=8m tmpfs "$dir/small" 2>/dev/null; then
	truncate -s 64M "$dir/small/c.img"
	disks+=("ubd2=$dir/small/c.img")
else
	echo "skip host out of space: no small tmpfs here"
fi

boot() {	# UMID ARGUMENT...: runs the kernel as the current process
	local id=$1
	shift
	exec "$kernel" mem=1G ncpus=2 seccomp=on "initrd=$dir/initrd" "uml_dir=$dir/run/" "umid=$id" noreboot panic=-1 \
		con0=fd:0,fd:1 con=null quiet "$@" </dev/null
}
console() { "$dir/mconsole" "$dir/run/$1/mconsole" "${@:2}"; }

# The kernel refuses for a moment after the last close; host/vm/vm.c asks again for 3 s, too
remove_disk() {	# NAME DISK
	local i
	for i in {1..30}; do
		console "$1" remove "$2" && return
		sleep 0.1
	done
	return 1
}

# ---- the checks inside -------------------------------------------------------------------------------------
mkfifo "$dir/log"
(boot t1 "${disks[@]}") >"$dir/log" 2>&1 &
pid=$!
sum=
while IFS= read -r line; do
	line=${line%$'\r'}
	case $line in
	'ask attach') check "mconsole config" console t1 config "ubdb=$dir/b.img" ;;
	'ask detach')
		check "mconsole remove" remove_disk t1 ubdb
		check "mconsole config again" console t1 config "ubde=$dir/b.img"
		;;
	*[0-9]' passed, '*[0-9]' failed') sum=$line ;;
	'ok   '* | FAIL* | '     '*) printf '%s\n' "$line" ;;
	*) [ -z "${VERBOSE:-}" ] || printf '# %s\n' "$line" ;;
	esac
done <"$dir/log"
status=0
wait "$pid" || status=$?
pid=
if [[ $sum =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
	passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
else
	failed=$((failed + 1)); echo "FAIL the guest ended early"
fi

# ---- what the host sees ------------------------------------------------------------------------------------
check "power off is exit status 0" test "$status" -eq 0
check "file system is clean" e2fsck -fn "$dir/a.img"
check "trimmed blocks are holes" test "$(du -k "$dir/a.img" | cut -f1)" -lt 40000

# Nothing may outlive a killed kernel: all its processes are in one session
killed_alone() {
	local left i
	boot t2 init=/init lxss-wait >/dev/null 2>&1 &
	pid=$!
	for ((i = 0; i < 100; i++)); do
		[ "$(pgrep -c -s "$pid" || true)" -gt 1 ] && break
		sleep 0.05
	done
	[ "$i" -lt 100 ] || { echo "no stub process appeared"; return 1; }
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null || true
	for ((i = 0; i < 40; i++)); do
		left=$(pgrep -s "$pid" || true)
		[ -n "$left" ] || { pid=; return 0; }
		sleep 0.05
	done
	echo "left over: $left"
	return 1
}
check "a killed kernel leaves no process" killed_alone

panics() {
	local status=0
	(boot t3 init=/no/such/program rdinit=/no/such/program root=/dev/none) >"$dir/panic" 2>&1 || status=$?
	[ "$status" -ne 0 ] || { echo "exit status 0"; return 1; }
	grep -q 'Kernel panic' "$dir/panic"
}
check "a panic is reported and ends the process" timeout 30 bash -c "$(declare -f boot panics); dir=$dir kernel=$kernel; panics"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
