#!/bin/bash
# kernel/test/stress.sh - keep every part of the guest kernel busy at once, and look for wrong results
#
#   stress.sh [SECONDS] [DIR]      in a Debian guest, as root; DIR on the disk to use (default /root)
#
# More runnable processes than CPUs on purpose. Prints how far each worker came; exit status 1 if anything came
# out wrong or the kernel complained.
set -u
seconds=${1:-60}
dir=$(mktemp -d "${2:-/root}/stress.XXXXXX")
end=$((SECONDS + seconds))
trap 'rm -rf "$dir"' EXIT
wrong() { echo "WRONG $*"; : >"$dir/wrong"; }
busy() { [ "$SECONDS" -lt "$end" ]; }

forks() { local n=0; while busy; do for i in 1 2 3 4 5; do /bin/true || wrong exec; (:) || wrong fork; done; n=$((n + 10)); done; echo "forks $n"; }

trees() {	# unpack, check every byte, remove
	local n=0 d=$dir/tree$1
	mkdir "$d"
	while busy; do
		tar -cf - -C / etc usr/share/zoneinfo usr/lib/x86_64-linux-gnu/perl-base 2>/dev/null | tar -xf - -C "$d"
		sync
		diff -rq --no-dereference /usr/lib/x86_64-linux-gnu/perl-base "$d/usr/lib/x86_64-linux-gnu/perl-base" || wrong tree
		rm -rf "${d:?}"/*
		n=$((n + 1))
	done
	echo "trees $n"
}

disks() {	# large writes, reads and discards
	local n=0 sum want
	want=$(head -c 64M /dev/zero | tr '\0' x | md5sum)
	while busy; do
		head -c 64M /dev/zero | tr '\0' x | dd of="$dir/big" bs=1M conv=fsync iflag=fullblock status=none
		echo 3 >/proc/sys/vm/drop_caches
		sum=$(md5sum <"$dir/big")
		[ "$sum" = "$want" ] || wrong disk
		rm "$dir/big"
		fstrim "$dir" 2>/dev/null
		n=$((n + 1))
	done
	echo "disks $n"
}

memory() {	# fork with copy on write
	local n=0
	while busy; do
		perl -e '$x = "a" x 30000000;
			if (!($p = fork)) { substr($x, $_ * 4096, 1) = "b" for 0 .. 5000; exit(($x =~ tr/b//) != 5001) }
			waitpid $p, 0; exit($? != 0 || $x =~ tr/b// != 0)' || wrong memory
		n=$((n + 1))
	done
	echo "memory $n"
}

users() {
	local n=0
	while busy; do
		[ "$(setpriv --reuid 1000 --clear-groups bash -c 'for i in 1 2 3; do /bin/true; (:); done; id -u')" = 1000 ] || wrong user
		n=$((n + 1))
	done
	echo "users $n"
}

pipes() {
	local n=0 want
	want=$(seq 20000 | md5sum)
	while busy; do
		[ "$(seq 20000 | sort -R | sort -n | md5sum)" = "$want" ] || wrong pipe
		n=$((n + 1))
	done
	echo "pipes $n"
}

sleeps() { local n=0; while busy; do sleep 0.01; n=$((n + 1)); done; echo "sleeps $n"; }

forks & forks & trees 1 & trees 2 & disks & memory & users & pipes & sleeps &
wait
complaints=$(dmesg 2>/dev/null | grep -E 'WARNING|BUG|Oops|rcu.*stall|segfault|Unexpectedly|blocked for more')
[ -z "$complaints" ] || wrong "$complaints"
[ ! -e "$dir/wrong" ] || exit 1
echo "nothing wrong"
