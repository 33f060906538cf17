# Import and export: every format, every attribute, nothing left after a failure
# long
load ../lib/wsl
setup() { wsl_sandbox; }
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs
	wsl_sandbox_end
}

nothing_left() { # DIRECTORY
	[ ! -e "$1" ] || { ls -lR "$1"; return 1; }
	[ -z "$(wsl --list --all --quiet)" ]
	[ -z "$(find "$SANDBOX/data" "$SANDBOX/cache" -type f -size +1M)" ]
}

same_tree() { # ARCHIVE ARCHIVE
	"$LIB/tree.py" list "$1" t >"$BATS_TEST_TMPDIR/a"
	"$LIB/tree.py" list "$2" t >"$BATS_TEST_TMPDIR/b"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/a")" -gt 3000 ]
	diff "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b" | cut -c1-300 | head -n 40
	cmp -s "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
}

@test "import and export keep every attribute: owners, modes, links, devices, xattrs, ACLs, capabilities, times" {
	"$LIB/tree.py" make "$ROOTFS_TAR" "$SANDBOX/in.tar"
	wsl_box box "$SANDBOX/in.tar"
	run -0 wsl --export box "$SANDBOX/out.tar"
	[[ $output == *"The operation completed successfully."* ]]
	same_tree "$SANDBOX/in.tar" "$SANDBOX/out.tar"
}

@test "the guest sees the same attributes, and an export of it running, too" {
	"$LIB/tree.py" make "$ROOTFS_TAR" "$SANDBOX/in.tar"
	wsl_box box "$SANDBOX/in.tar"
	run -0 wsl -e stat -c '%a %u %g %h %s' /t/small /t/acl /t/ids /t/setgid /t/nothing
	[ "$output" = $'4751 12345 54321 3 8\n674 0 0 1 1\n644 4000000000 3999999999 1 1\n2775 0 1000 2 4096\n0 0 0 1 6' ]
	run -0 wsl -e stat -c '%F %t,%T' /t/null /t/disk /t/fifo
	[ "$output" = $'character special file 1,3\nblock special file 103,12c\nfifo 0,0' ]
	run -0 wsl -e sh -c 'stat -c "%s %b" /t/sparse; dd if=/t/sparse bs=1M skip=512 count=1 2>/dev/null | head -c 6'
	[[ ${lines[0]} =~ ^1073741824\ ([0-9]+)$ ]]
	((BASH_REMATCH[1] < 100))
	[ "${lines[1]}" = middle ]
	"$WSL" -e probe records /root/log 0 </dev/null >"$SANDBOX/records" &
	local pid=$!
	eventually 10 test -s "$SANDBOX/records"
	run -0 wsl --export box "$SANDBOX/out.tar"
	kill -0 $pid # it went on
	wsl --terminate box
	wait $pid || true
	same_tree "$SANDBOX/in.tar" "$SANDBOX/out.tar"
}

@test "an export of a running distribution has what was written before, and is whole" {
	wsl_box
	guest 'mkdir /root/d; for i in $(seq 500); do echo $i >/root/d/$i; done; echo last >/root/last'
	wsl --export box "$SANDBOX/out.tar"
	is_running box
	run -0 tar -xOf "$SANDBOX/out.tar" ./root/last root/last --ignore-failed-read || true
	[[ $output == *last* ]]
	[ "$(tar tf "$SANDBOX/out.tar" | grep -cE 'root/d/[0-9]+$')" = 500 ]
	wsl_box copy "$SANDBOX/out.tar"
	run -0 wsl -d copy cat /root/d/500
	[ "$output" = 500 ]
	wsl --shutdown
	e2fsck -fn "$(echo "$SANDBOX"/copy/*.img)"
}

@test "export in tar, tar.gz, tar.xz, tar.zst, by --format and by name; each can be imported" {
	wsl_box
	local f
	for f in tar tar.gz tar.xz tar.zst; do
		wsl --export box "$SANDBOX/by-option" --format $f
		wsl --export box "$SANDBOX/by-name.$f"
		case $f in
		tar) [[ $(file -b "$SANDBOX/by-option" 2>/dev/null || echo tar) == *tar* ]] ;;
		tar.gz) gzip -t "$SANDBOX/by-option" && gzip -t "$SANDBOX/by-name.$f" ;;
		tar.xz) xz -t "$SANDBOX/by-option" && xz -t "$SANDBOX/by-name.$f" ;;
		tar.zst) zstd -tq "$SANDBOX/by-option" && zstd -tq "$SANDBOX/by-name.$f" ;;
		esac
		wsl_box "from-$f" "$SANDBOX/by-name.$f"
		wsl --unregister "from-$f"
	done
	run -255 wsl --export box "$SANDBOX/odd" --format rar
	[[ $output == *E_INVALIDARG* ]]
	[ ! -e "$SANDBOX/odd" ]
}

@test "import of gz, bz2, xz, zst archives" {
	local c
	for c in gzip bzip2 xz zstd; do
		$c -c <"$ROOTFS_TAR" >"$SANDBOX/in.$c"
		wsl_box "by-$c" "$SANDBOX/in.$c"
	done
	run -0 wsl -d by-zstd echo fine
	run -0 wsl -d by-bzip2 echo fine
	[ "$output" = fine ]
}

@test "export to a disk image, import in place" {
	wsl_box
	guest 'echo precious >/root/file'
	wsl --export box "$SANDBOX/disk.img" --format img
	wsl --shutdown
	e2fsck -fn "$SANDBOX/disk.img"
	run -0 wsl --import-in-place copy "$SANDBOX/disk.img"
	run -0 wsl -d copy cat /root/file
	[ "$output" = precious ]
	[ "$(stat -c %b "$SANDBOX/disk.img")" -lt 100000 ]
}

@test "--export A - | --import B . -" {
	wsl_box a
	guest -d a 'head -c 3000000 /dev/urandom >/root/blob'
	mkdir "$SANDBOX/here"
	cd "$SANDBOX/here"
	bash -o pipefail -c 'timeout 60 "$WSL" --export a - | timeout 60 "$WSL" --import b b -'
	[ "$(wsl -d a md5sum /root/blob)" = "$(wsl -d b md5sum /root/blob)" ]
	[ -d "$SANDBOX/here/b" ]
	cd "$HOME"
}

@test "export to a pipe that is closed early fails and says so" {
	wsl_box
	run bash -o pipefail -c 'timeout 60 "$WSL" --export box - | head -c 1000 >/dev/null'
	[ "$status" != 0 ]
	[ "$status" != 124 ]
	run -0 wsl echo fine
}

@test "a failed export leaves no file and does not touch one that was there" {
	wsl_box
	run -255 --separate-stderr wsl --export nope "$SANDBOX/out.tar"
	[[ $stderr == *WSL_E_DISTRO_NOT_FOUND* ]]
	[ ! -e "$SANDBOX/out.tar" ]
	echo old >"$SANDBOX/keep.tar"
	run -255 wsl --export nope "$SANDBOX/keep.tar"
	[ "$(cat "$SANDBOX/keep.tar")" = old ]
	run -255 wsl --export box "$SANDBOX/no/such/dir/out.tar"
	[[ $output == *"Error code: "* ]]
}

@test "an import that is cut short says so and leaves nothing" {
	head -c 1000000 "$ROOTFS_TAR" >"$SANDBOX/cut.tar"
	run -255 --separate-stderr wsl --import demo "$SANDBOX/demo" "$SANDBOX/cut.tar"
	[[ $stderr == *"cut.tar"* ]]
	[[ $stderr == *"WSL_E_IMPORT_FAILED"* ]]
	nothing_left "$SANDBOX/demo"
}

@test "an import of something that is no archive" {
	head -c 100000 /dev/urandom >"$SANDBOX/noise"
	run -255 wsl --import demo "$SANDBOX/demo" "$SANDBOX/noise"
	[[ $output == *WSL_E_IMPORT_FAILED* ]]
	nothing_left "$SANDBOX/demo"
}

@test "an empty archive and one without /etc and /bin/sh are no distribution; one with /etc only is" {
	: >"$SANDBOX/empty.tar"
	run -255 wsl --import demo "$SANDBOX/demo" "$SANDBOX/empty.tar"
	[[ $output == *WSL_E_* ]]
	nothing_left "$SANDBOX/demo"
	mkdir -p "$SANDBOX/tree/home"
	tar cf "$SANDBOX/home.tar" -C "$SANDBOX/tree" home
	run -255 wsl --import demo "$SANDBOX/demo" "$SANDBOX/home.tar"
	[[ $output == *WSL_E_NOT_A_LINUX_DISTRO* ]]
	nothing_left "$SANDBOX/demo"
	mkdir "$SANDBOX/tree/etc"
	tar cf "$SANDBOX/etc.tar" -C "$SANDBOX/tree" etc
	run -0 wsl --import demo "$SANDBOX/demo" "$SANDBOX/etc.tar"
}

@test "a missing file, a missing argument, a name that is not allowed" {
	run -255 wsl --import demo "$SANDBOX/demo" "$SANDBOX/not-there.tar"
	[[ $output == *"not-there.tar"* ]]
	nothing_left "$SANDBOX/demo"
	run -255 wsl --import demo "$SANDBOX/demo"
	[[ $output == *E_INVALIDARG* ]]
	local name
	for name in 'a b' 'a/b' '' '.*?' Legacy "$(printf 'x%.0s' $(seq 257))"; do
		run -255 wsl --import "$name" "$SANDBOX/demo" "$ROOTFS_TAR"
		[[ $output == *E_INVALIDARG* ]] || { echo "'$name': $output"; false; }
	done
	nothing_left "$SANDBOX/demo"
}

@test "a name in use, in any case, and a place in use" {
	wsl_box
	run -255 wsl --import BOX "$SANDBOX/second" "$ROOTFS_TAR"
	[[ $output == *ERROR_ALREADY_EXISTS* ]]
	[ ! -e "$SANDBOX/second" ]
	run -255 wsl --import second "$SANDBOX/box" "$ROOTFS_TAR"
	[[ $output == *"Error code: "* ]]
	run -0 wsl -d box echo untouched
	[ "$output" = untouched ]
	run -0 wsl --list --quiet
	[ "$output" = box ]
}

@test "directories made for a failed import go, those that were there stay" {
	mkdir "$SANDBOX/mine"
	echo x >"$SANDBOX/mine/file"
	echo bad >"$SANDBOX/bad.tar"
	run -255 wsl --import demo "$SANDBOX/mine" "$SANDBOX/bad.tar"
	[ "$(ls "$SANDBOX/mine")" = file ]
}

@test "Ctrl-C during an import leaves nothing" {
	mkfifo "$SANDBOX/slow"
	(head -c 1500000 "$ROOTFS_TAR"; exec sleep 30) >"$SANDBOX/slow" 2>/dev/null &
	local writer=$!
	python3 - <<-'PY'
		import os, signal, subprocess, time
		s = os.environ["SANDBOX"]
		p = subprocess.Popen([os.environ["WSL"], "--import", "demo", s + "/demo", "-"], stdin=open(s + "/slow"),
		                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
		time.sleep(1)
		p.send_signal(signal.SIGINT)
		assert p.wait(20) in (130, -2, 255), p.returncode
	PY
	kill $writer 2>/dev/null || true
	eventually 10 nothing_left "$SANDBOX/demo"
}

@test "hostile archives: nothing is written outside the image" {
	local kind
	for kind in dotdot absolute symlink hardlink device-over; do
		"$LIB/tree.py" hostile $kind "$ROOTFS_TAR" "$SANDBOX/$kind.tar"
		run wsl --import "h-$kind" "$SANDBOX/h-$kind" "$SANDBOX/$kind.tar"
		[ "$status" = 0 ] || [ "$status" = 255 ]
	done
	[ -z "$(find /tmp "$SANDBOX" -maxdepth 3 -name 'escape-*' 2>/dev/null)" ]
	[ ! -e /escape-dotdot ]
	for kind in $(wsl --list --quiet | grep -v device-over); do # that one has no shell any more
		run -0 wsl -d "$kind" echo fine
	done
}

@test "an archive that unpacks to more than the disk: refused, nothing left" {
	wslconf '[wsl2]' defaultVhdSize=64MB
	python3 - "$SANDBOX/big.tar" "$ROOTFS_TAR" <<-'PY'
		import sys
		sys.path.insert(0, __import__("os").environ["LIB"])
		import tree
		tar = tree.copy_base(sys.argv[2], sys.argv[1])
		for n in range(10):
		    tree.add(tar, f"big{n}", bytes([n + 1]) * (16 << 20))
		tar.close()
	PY
	run -255 wsl --import demo "$SANDBOX/demo" "$SANDBOX/big.tar"
	[[ $output == *"Error code: "* ]]
	nothing_left "$SANDBOX/demo"
}

@test "a fresh image is clean, sparse and of the default size" {
	wsl_box
	local image
	image=$(echo "$SANDBOX"/box/*.img)
	e2fsck -fn "$image"
	[ "$(stat -c %s "$image")" = $((1 << 40)) ]
	[ "$(($(stat -c %b "$image") * 512))" -lt 80000000 ]
	guest 'for i in 1 2 3; do dd if=/dev/zero of=/root/f$i bs=1M count=5 2>/dev/null; done; rm /root/f1'
	wsl --shutdown
	e2fsck -fn "$image"
}

@test "space of deleted files goes back to the host" {
	wsl_box
	local image before
	image=$(echo "$SANDBOX"/box/*.img)
	guest 'head -c 200000000 /dev/urandom >/root/big; sync'
	before=$(stat -c %b "$image")
	guest 'rm /root/big; sync'
	((before * 512 > 200000000))
	# Discards follow the journal's commit; slow disks take their time
	eventually 60 eval 'wsl sync; [ $(($(stat -c %b "'"$image"'") * 512)) -lt 150000000 ]'
}

@test "import-in-place: wrong arguments, missing and empty file" {
	run -255 wsl --import-in-place x
	run -255 wsl --import-in-place x "$SANDBOX/none.img"
	[[ $output == *none.img* ]]
	: >"$SANDBOX/empty.img"
	run -255 wsl --import-in-place x "$SANDBOX/empty.img"
	[[ $output == *"Error code: "* ]]
	[ -e "$SANDBOX/empty.img" ]
	[ -z "$(wsl --list --all --quiet)" ]
}

@test "a second operation on a distribution being exported is refused by name" {
	wsl_box
	mkfifo "$SANDBOX/pipe"
	"$WSL" --export box - >"$SANDBOX/pipe" 2>/dev/null &
	local pid=$!
	exec 7<"$SANDBOX/pipe"
	eventually 10 eval 'wsl --list --verbose | grep -q Exporting'
	run -255 wsl --unregister box
	[[ $output == *E_ILLEGAL_STATE_CHANGE* ]]
	run -0 wsl --list --all --quiet
	[ "$output" = box ]
	cat <&7 >/dev/null
	exec 7<&-
	wait $pid
	run -0 wsl --unregister box
}
