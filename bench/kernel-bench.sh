#!/bin/bash
# kernel-bench.sh - the workloads by which the guest kernel is judged
#
# Runs in any Debian guest and natively, as root or not. One line per workload: name and seconds. The same
# script on both sides, so that the ratio means something.
#
#   kernel-bench.sh [-d DIR] [-n RUNS] [NAME...]
#
# DIR is where files are unpacked (default: a new directory below /var/tmp); it should be on the disk that is
# to be measured. With -n the whole list is repeated and the median of each workload is printed.
set -eu
export LC_ALL=C
TIMEFORMAT=%R

fork_exec() { for ((i = 0; i < 200; i++)); do /bin/true; done; }
bash_loop() { for ((i = 0; i < 300000; i++)); do :; done; }
byte_calls() { dd if=/dev/zero of=/dev/null bs=1 count=200000 status=none; }	# 200k reads and 200k writes
untar_sync() { tar -xf "$dir/tree.tar" -C "$dir/out" && sync; }
tar_up() { tar -cf - -C "$dir/out" . | cat >/dev/null; }
find_tree() { find "$dir/out" -type f -links +0 -size +0 >/dev/null; }
remove_tree() { rm -rf "$dir/out" && mkdir "$dir/out"; }
sha256() { head -c 100M /dev/zero | sha256sum >/dev/null; }
fork_many() { for ((i = 0; i < 500; i++)); do (:); done; }
pipe_pairs() { yes | head -n 3000000 | tail -n 1 >/dev/null; }

# About 160 MB of real files of all sizes, always the same for the same /usr
make_tree() {
	find /usr /etc /var/lib -xdev -type f -readable -size -8192k -printf '%s %p\n' 2>/dev/null | sort -k2 |
		awk '{ if (sum + $1 > 160e6) exit; sum += $1; $1 = ""; print substr($0, 2) }' >"$dir/list"
	tar -cf "$dir/tree.tar" --no-recursion -T "$dir/list" 2>/dev/null
	mkdir -p "$dir/out"
	sync
}

names="fork_exec bash_loop byte_calls untar_sync tar_up find_tree remove_tree sha256 fork_many pipe_pairs"
dir=
runs=1
while getopts d:n: opt; do
	case $opt in
	d) dir=$OPTARG ;;
	n) runs=$OPTARG ;;
	*) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || names="$*"
dir=$(mktemp -d "${dir:-/var/tmp}/kernel-bench.XXXXXX")
trap 'rm -rf "$dir"' EXIT

case " $names " in *_tree* | *tar*) make_tree ;; esac
for ((run = 0; run < runs; run++)); do
	for name in $names; do
		printf '%s %s\n' "$name" "$( { time "$name" >/dev/null 2>&1; } 2>&1 )"
	done
done | awk -v want="$names" '
	{ n[$1]++; v[$1, n[$1]] = $2 + 0 }
	END {
		m = split(want, name, " ")
		for (k = 1; k <= m; k++) {
			c = n[name[k]]
			for (i = 1; i <= c; i++) for (j = i + 1; j <= c; j++)
				if (v[name[k], j] < v[name[k], i]) {
					t = v[name[k], i]; v[name[k], i] = v[name[k], j]; v[name[k], j] = t
				}
			printf "%-12s %.3f\n", name[k], v[name[k], int((c + 1) / 2)]
		}
	}'
