# ~/.wslconfig
load ../lib/wsl
setup() { wsl_sandbox; }
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs
	wsl_sandbox_end
}

@test "processors=1 gives one processor" {
	wslconf '[wsl2]' processors=1
	wsl_box
	run -0 wsl nproc
	[ "$output" = 1 ]
}

@test "too many processors: a warning, and the host's number" {
	wslconf '[wsl2]' processors=4096
	wsl_box
	run -0 --separate-stderr wsl nproc
	[[ $stderr == *"wsl: "*4096* ]]
	[ "$output" = "$(nproc)" ]
}

@test "memory is what was asked for" {
	wslconf '[wsl2]' memory=512MB
	wsl_box
	run -0 wsl -e awk '/MemTotal/ { print $2 }' /proc/meminfo
	((output > 420000 && output <= 524288))
}

@test "unknown keys and bad values are warned about with file and line; the command runs" {
	wslconf '[wsl2]' 'noSuchKey=1' 'memory=lots' 'processors=2x'
	wsl_box
	run -0 --separate-stderr wsl echo fine
	[ "$output" = fine ]
	[[ $stderr == *"noSuchKey"*".wslconfig:2"* ]]
	[[ $stderr == *".wslconfig:3"* ]]
	[[ $stderr == *".wslconfig:4"* ]]
}

@test "WSL_DISABLE_WARNINGS=1 silences warnings" {
	wslconf '[wsl2]' 'noSuchKey=1'
	wsl_box
	WSL_DISABLE_WARNINGS=1 run -0 --separate-stderr wsl echo fine
	[ -z "$stderr" ]
}

@test "a file with CRLF line ends works" {
	printf '[wsl2]\r\nprocessors=1\r\n' >"$HOME/.wslconfig"
	wsl_box
	run -0 --separate-stderr wsl nproc
	[ "$output" = 1 ]
	[ -z "$stderr" ]
}

@test "a missing kernel: the error names the file" {
	wslconf '[wsl2]' 'kernel=/no/such/kernel'
	wsl_box
	run -255 --separate-stderr wsl true
	[[ $stderr == *WSL_E_CUSTOM_KERNEL_NOT_FOUND* ]]
	[[ $stderr == *"/no/such/kernel"* ]]
}

@test "a kernel that is none: an error, not a hang" {
	printf '#!/bin/sh\nexit 7\n' >"$SANDBOX/kernel"
	chmod 755 "$SANDBOX/kernel"
	wslconf '[wsl2]' "kernel=$SANDBOX/kernel"
	wsl_box
	WSL_DEADLINE=45 run -255 --separate-stderr wsl true
	[[ $stderr == *"Error code: "* ]]
}

@test "a kernel of the user's choice is used" {
	cp "$LXSS_LIBEXEC/linux" "$SANDBOX/my-kernel"
	wslconf '[wsl2]' "kernel=$SANDBOX/my-kernel"
	wsl_box
	run -0 wsl echo fine
	wsl --status --json | grep -q "$SANDBOX/my-kernel"
}

@test "kernelCommandLine reaches the kernel" {
	wslconf '[wsl2]' 'kernelCommandLine=lxss.word=42 quiet'
	wsl_box
	run -0 wsl cat /proc/cmdline
	[[ $output == *lxss.word=42* ]]
}

@test "swap of the asked size is there; swap=0 is none" {
	wslconf '[wsl2]' swap=256MB
	wsl_box
	eventually 10 eval '[ "$(wsl -e awk "/SwapTotal/ { print \$2 }" /proc/meminfo)" -gt 200000 ]'
	wsl --shutdown
	wslconf '[wsl2]' swap=0
	run -0 wsl -e awk '/SwapTotal/ { print $2 }' /proc/meminfo
	[ "$output" = 0 ]
}

@test "defaultVhdSize is the size of new file systems" {
	wslconf '[wsl2]' defaultVhdSize=8GB
	wsl_box
	run -0 wsl df -P -m /
	local size
	size=$(awk 'NR == 2 { print $2 }' <<<"$output")
	((size > 7000 && size < 8400))
}

@test "distributionInstallPath is where distributions go" {
	wslconf '[general]' "distributionInstallPath=$SANDBOX/elsewhere"
	run -0 wsl --install --from-file "$ROOTFS_DIR/oobe.tar" --no-launch
	ls -d "$SANDBOX/elsewhere"/*/
	run -0 wsl -d Oobe echo fine
}

@test "a bad macAddress forbids starting, by name" {
	wslconf '[wsl2]' macAddress=zz
	wsl_box
	run -255 --separate-stderr wsl true
	[[ $stderr == *E_INVALIDARG* ]]
	run -0 wsl --list
}

@test "an unreadable .wslconfig is a warning" {
	[ "$(id -u)" != 0 ] || mkdir "$HOME/.wslconfig"
	[ "$(id -u)" = 0 ] || { wslconf '[wsl2]'; chmod 0 "$HOME/.wslconfig"; }
	wsl_box
	run -0 --separate-stderr wsl echo fine
	[ "$output" = fine ]
	[[ $stderr == *".wslconfig"* ]]
}

@test "WSL_TIMING=1 tells where the time of a start went" {
	wsl_box
	WSL_TIMING=1 run -0 --separate-stderr wsl true
	[[ $stderr == *"wsl: timing: connect "*"total "* ]]
}
