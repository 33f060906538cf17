#!/bin/sh
# bench/image-bench.sh - import and export against tar, on the same disk, measured alternately
#
# usage: image-bench.sh ROOTFS.tar [WSLIMAGE]
# Prints lines "name ours_s peer_s ratio": the best of ROUNDS (5) rounds each. Names with "sync"
# include the time until the data is on disk. DIR (default: a new directory in TMPDIR) is the disk.
set -eu

tar=${1:?usage: image-bench.sh ROOTFS.tar [WSLIMAGE]}
wslimage=${2:-${WSLIMAGE:-wslimage}}
rounds=${ROUNDS:-5}
dir=$(mktemp -d "${DIR:-${TMPDIR:-/tmp}}/image-bench.XXXXXX")
trap 'rm -rf "$dir"' EXIT

now() { date +%s.%N; }

# measure NAME OURS PEER PREPARE: shell texts, run in turn
measure() {
	best_ours= best_peer=
	i=0
	while [ $i -lt "$rounds" ]; do
		eval "$4"; sync -f "$dir"
		t0=$(now); eval "$2"; t1=$(now)
		eval "$4"; sync -f "$dir"
		t2=$(now); eval "$3"; t3=$(now)
		best_ours=$(echo "$t0 $t1 $best_ours" | awk '{ d = $2 - $1; print ($3 == "" || d < $3) ? d : $3 }')
		best_peer=$(echo "$t2 $t3 $best_peer" | awk '{ d = $2 - $1; print ($3 == "" || d < $3) ? d : $3 }')
		i=$((i + 1))
	done
	echo "$1 $best_ours $best_peer" | awk '{ printf "%s %.3f %.3f %.2f\n", $1, $2, $3, $2 / $3 }'
}

clean='rm -rf "$dir/tree" "$dir/i.img" "$dir/o.tar"; mkdir "$dir/tree"'
cat "$tar" >/dev/null
gzip -1 <"$tar" >"$dir/rootfs.tar.gz"
zstd -q -3 <"$tar" >"$dir/rootfs.tar.zst"

# wslimage always syncs its image before it reports success.
import='"$wslimage" import --image "$dir/i.img" >/dev/null'
untar='tar -xp --numeric-owner --xattrs --xattrs-include="*" -C "$dir/tree"'
measure import-sync "$import <'$tar'" "$untar -f '$tar'; sync -f '$dir'" "$clean"
measure import-no-sync-of-tar "$import <'$tar'" "$untar -f '$tar'" "$clean"
measure import-gz-sync "$import <'$dir/rootfs.tar.gz'" "$untar -zf '$dir/rootfs.tar.gz'; sync -f '$dir'" "$clean"
measure import-zst-sync "$import <'$dir/rootfs.tar.zst'" "$untar --zstd -f '$dir/rootfs.tar.zst'; sync -f '$dir'" "$clean"

eval "$clean"
eval "$import <'$tar'"
eval "$untar -f '$tar'"
export='"$wslimage" export --image "$dir/i.img" --format'
pack='tar -c --numeric-owner --xattrs --xattrs-include="*" -C "$dir/tree"'
measure export-tar "$export tar >'$dir/o.tar'" "$pack -f '$dir/o.tar' ." 'rm -f "$dir/o.tar"'
measure export-tar-pipe "$export tar | cat >/dev/null" "$pack -f - . | cat >/dev/null" :
measure export-zst "$export tar.zst >'$dir/o.tar'" "$pack -I 'zstd -T0' -f '$dir/o.tar' ." 'rm -f "$dir/o.tar"'
measure export-gz "$export tar.gz >'$dir/o.tar'" "$pack -zf '$dir/o.tar' ." 'rm -f "$dir/o.tar"'
measure export-img "$export img >'$dir/o.tar'" "cp --sparse=always '$dir/i.img' '$dir/o.tar'" 'rm -f "$dir/o.tar"'
