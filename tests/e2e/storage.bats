# Places that are full, small, or forbid execution
load ../lib/wsl
setup() { wsl_sandbox; }
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs
	wsl_sandbox_end
	[ -z "${TMPFS:-}" ] || umount "$TMPFS"
}

# A small file system that is not below the sandbox: it outlives wsl_sandbox_end's look at mounts
small_disk() { # SIZE
	need_root
	TMPFS=$BATS_TEST_TMPDIR/disk
	mkdir "$TMPFS"
	mount -t tmpfs -o size="$1" none "$TMPFS"
}

@test "a full disk during an import: the error says so, nothing is left" {
	small_disk 3m
	run -255 --separate-stderr wsl --import box "$TMPFS/box" "$ROOTFS_TAR"
	[[ $stderr == *"No space left"* || $stderr == *DISK_FULL* ]]
	[ -z "$(ls -A "$TMPFS")" ]
	[ -z "$(wsl --list --all --quiet)" ]
}

@test "a full disk during an export: the error says so, no file is left" {
	small_disk 1m
	wsl_box
	run -255 --separate-stderr wsl --export box "$TMPFS/box.tar"
	[[ $stderr == *"No space left"* || $stderr == *DISK_FULL* ]]
	[ -z "$(ls -A "$TMPFS")" ]
	run -0 wsl echo fine
}

@test "a full disk under a running distribution: writers get an error, the rest goes on, nothing is lost" {
	small_disk 40m
	run -0 wsl --import box "$TMPFS/box" "$ROOTFS_TAR"
	guest 'echo safe >/root/safe; sync'
	run guest 'dd if=/dev/urandom of=/root/big bs=1M count=100 conv=fsync'
	[ "$status" != 0 ]
	[ "$status" != 124 ]
	run -0 wsl cat /root/safe
	[ "$output" = safe ]
	wsl --shutdown
	mount -o remount,size=200m "$TMPFS"
	run -0 guest 'rm -f /root/big; echo more >/root/more; sync; cat /root/safe'
	[ "$output" = safe ]
	wsl --shutdown
	cp --sparse=always "$(echo "$TMPFS"/box/*.img)" "$SANDBOX/copy"
	e2fsck -fy -E journal_only "$SANDBOX/copy" || true
	e2fsck -fn "$SANDBOX/copy"
	rm "$SANDBOX/copy"
	wsl --unregister box
}

@test "a file size limit: an error, not a signal" {
	run bash -c 'ulimit -f 1000; timeout 60 "$WSL" --import box "$SANDBOX/box" "$ROOTFS_TAR"'
	[ "$status" = 255 ]
	[[ $output == *"Error code: "* ]]
	[ ! -e "$SANDBOX/box" ]
}

@test "a full distribution says so inside, and can be emptied" {
	wslconf '[wsl2]' defaultVhdSize=64MB
	wsl_box
	run guest 'dd if=/dev/zero of=/root/big bs=1M count=200'
	[ "$status" != 0 ]
	[[ $output == *"No space left"* ]]
	run -0 guest 'rm /root/big; echo fine'
	wsl --terminate box
	run -0 wsl echo fine
}

# What hosted runners and containers do to /dev/shm; in a mount namespace of its own
in_namespace() { # MOUNT-OPTIONS COMMANDS
	unshare -m bash -c 'mount -t tmpfs -o '"$1"' none /dev/shm && mount -t tmpfs -o '"$1"' none "$SANDBOX/run" && '"$2"
}

@test "a /dev/shm that forbids execution" {
	need_root
	wsl_box
	wsl --shutdown
	kill "$(service_pid)"
	eventually 10 eval '[ -z "$(service_pid)" ]'
	run -0 in_namespace noexec,size=1g 'timeout 60 "$WSL" echo fine; timeout 60 "$WSL" --shutdown; "$LIB/leftovers" --pid-of wslservice "$SANDBOX" | xargs -r kill; sleep 0.5'
	[[ $output == *fine* ]]
}

@test "a /dev/shm of 64 MiB does not limit the guest's memory" {
	need_root
	wsl_box
	wsl --shutdown
	kill "$(service_pid)"
	eventually 10 eval '[ -z "$(service_pid)" ]'
	run -0 in_namespace size=64m 'timeout 60 "$WSL" -e sh -c "mount -o remount,size=400m /dev/shm; dd if=/dev/zero of=/dev/shm/x bs=1M count=200 2>/dev/null && echo fine"; timeout 60 "$WSL" --shutdown; "$LIB/leftovers" --pid-of wslservice "$SANDBOX" | xargs -r kill; sleep 0.5'
	[[ $output == *fine* ]]
}

@test "a /tmp and /run that forbid execution" {
	need_root
	wsl_box
	wsl --shutdown
	kill "$(service_pid)"
	eventually 10 eval '[ -z "$(service_pid)" ]'
	run -0 unshare -m bash -c 'mount --bind "$SANDBOX" "$SANDBOX" && mount -o remount,bind,noexec "$SANDBOX" && timeout 60 "$WSL" echo fine; timeout 60 "$WSL" --shutdown; "$LIB/leftovers" --pid-of wslservice "$SANDBOX" | xargs -r kill; sleep 0.5'
	[[ $output == *fine* ]]
}
