# Starting, idling, terminating, shutting down
# long
load ../lib/wsl
setup() { wsl_sandbox; }
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs
	wsl_sandbox_end
}

vm_is_off() { [ "$(kernel_pid)" = "" ]; }

@test "an idle distribution stops after instanceIdleTimeout, the machine after vmIdleTimeout" {
	wslconf '[general]' 'instanceIdleTimeout=500' '[wsl2]' 'vmIdleTimeout=500'
	wsl_box
	wsl true
	is_running box
	eventually 20 is_stopped box
	eventually 20 vm_is_off
	run -0 wsl echo again
	[ "$output" = again ]
}

@test "a negative instanceIdleTimeout never stops it" {
	wslconf '[general]' 'instanceIdleTimeout=-1' '[wsl2]' 'vmIdleTimeout=500'
	wsl_box
	wsl true
	sleep 3
	is_running box
	[ -n "$(kernel_pid)" ]
}

@test "a background process keeps its distribution alive, its end lets it stop" {
	wslconf '[general]' 'instanceIdleTimeout=500' '[wsl2]' 'vmIdleTimeout=500'
	wsl_box
	wsl -e sh -c 'setsid sh -c "sleep 5; date >/root/finished" >/dev/null 2>&1 </dev/null &'
	sleep 3
	is_running box
	eventually 20 is_stopped box
	run -0 wsl cat /root/finished
	[ -n "$output" ]
}

@test "a running command keeps it alive" {
	wslconf '[general]' 'instanceIdleTimeout=300' '[wsl2]' 'vmIdleTimeout=300'
	wsl_box
	run -0 guest 'sleep 3; echo survived'
	[ "$output" = survived ]
}

@test "--terminate ends it; running commands end; the next command starts it fresh" {
	wsl_box
	guest 'echo x >/dev/shm/x; echo y >/root/y'
	"$WSL" sleep 1000 </dev/null >"$BATS_TEST_TMPDIR/out" 2>&1 &
	local pid=$!
	eventually 20 eval 'wsl -e pidof sleep >/dev/null'
	run -0 wsl --terminate box
	[[ $output == *"The operation completed successfully."* ]]
	wait $pid && false
	is_stopped box
	run ! wsl cat /dev/shm/x
	run -0 wsl cat /root/y
	[ "$output" = y ]
}

@test "--terminate of a stopped distribution succeeds; of an unknown one fails" {
	wsl_box
	run -0 wsl --terminate box
	run -255 wsl --terminate nope
	[[ $output == *WSL_E_DISTRO_NOT_FOUND* ]]
	run -255 wsl --terminate
}

@test "what was written just before --terminate and --shutdown is there" {
	wsl_box
	guest 'seq 100000 >/root/numbers'
	wsl --terminate box
	run -0 wsl md5sum /root/numbers
	[ "${output%% *}" = "$(seq 100000 | md5sum | cut -d' ' -f1)" ]
	guest 'seq 200000 >/root/numbers'
	run -0 wsl --shutdown
	[ -z "$output" ]
	run -0 wsl md5sum /root/numbers
	[ "${output%% *}" = "$(seq 200000 | md5sum | cut -d' ' -f1)" ]
}

@test "--shutdown stops all distributions and the machine; nothing running is fine" {
	wsl_box a
	wsl_box b
	wsl -d a true
	wsl -d b true
	run -0 wsl --shutdown
	vm_is_off
	is_stopped a
	is_stopped b
	run -0 wsl --shutdown
}

@test "--shutdown --force ends a machine that no longer answers" {
	wsl_box
	wsl true
	local pid
	pid=$(kernel_pid)
	kill -STOP "$pid"
	WSL_DEADLINE=15 run -0 wsl --shutdown --force
	vm_is_off
	run -0 wsl echo alive
	[ "$output" = alive ]
}

@test "--shutdown ends a machine that no longer answers, on its own" {
	wsl_box
	wsl true
	kill -STOP "$(kernel_pid)"
	WSL_DEADLINE=20 run wsl --shutdown # six seconds, and what a busy disk adds
	[ "$status" != 124 ]
	eventually 10 vm_is_off
	run -0 wsl echo alive
}

@test "--shutdown --force ends a service that hangs" {
	wsl_box
	wsl true
	kill -STOP "$(service_pid)"
	WSL_DEADLINE=15 run wsl --shutdown --force
	[ "$status" != 124 ]
	run -0 wsl echo alive
	[ "$output" = alive ]
}

@test "reboot -f inside ends the distribution; the next command starts it anew" {
	wsl_box
	guest 'echo x >/dev/shm/x'
	run wsl reboot -f
	eventually 20 is_stopped box
	run ! wsl cat /dev/shm/x
	run -0 wsl echo fine
}

@test "killing a distribution's init ends it, not its neighbour" {
	wsl_box a
	wsl_box b
	guest -d b 'echo stays >/dev/shm/b'
	run guest -d a 'kill -9 1; echo tried'
	run wsl -d a poweroff -f
	eventually 20 is_stopped a
	run -0 wsl -d b cat /dev/shm/b
	[ "$output" = stays ]
	run -0 wsl -d a echo back
}

@test "unregister removes a running distribution and its files" {
	wsl_box
	wsl true
	run -0 wsl --unregister box
	[[ ${lines[0]} == "Unregistering." ]]
	[ ! -e "$SANDBOX/box" ]
	run -0 wsl --list --quiet
	[ -z "$output" ]
	run -255 wsl --unregister box
	[[ $output == *WSL_E_DISTRO_NOT_FOUND* ]]
}

@test "unregister works when the directory is already gone" {
	wsl_box
	rm -r "$SANDBOX/box"
	run -0 wsl --unregister box
	run -0 wsl --list --quiet
	[ -z "$output" ]
}

@test "set-default; the default's removal makes another the default" {
	wsl_box a
	wsl_box b
	run -0 wsl -e sh -c 'echo $WSL_DISTRO_NAME'
	[ "$output" = a ]
	run -0 wsl --set-default b
	run -0 wsl -e sh -c 'echo $WSL_DISTRO_NAME'
	[ "$output" = b ]
	wsl --unregister b
	run -0 wsl -e sh -c 'echo $WSL_DISTRO_NAME'
	[ "$output" = a ]
	run -255 wsl --set-default c
	[[ $output == *WSL_E_DISTRO_NOT_FOUND* ]]
}

@test "without any distribution the way out is told" {
	run -255 --separate-stderr wsl true
	[[ $stderr == *"wsl --install"* ]]
	[[ $stderr != *"Error code"* ]]
}

@test "a missing image: the error names it" {
	wsl_box
	rm "$SANDBOX"/box/*.img
	run -255 --separate-stderr wsl true
	[[ $stderr == *"$SANDBOX/box"* ]]
	[[ $stderr == *"Error code: "* ]]
}

@test "a damaged image: WSL_E_DISK_CORRUPTED, and the others go on" {
	wsl_box bad
	wsl_box good
	wsl --shutdown
	dd if=/dev/zero of="$(echo "$SANDBOX"/bad/*.img)" bs=1M count=4 conv=notrunc status=none
	run -255 --separate-stderr wsl -d bad true
	[[ $stderr == *WSL_E_DISK_CORRUPTED* ]]
	run -0 wsl -d good echo fine
	[ "$output" = fine ]
}

@test "two distributions run at once in one machine" {
	wsl_box a
	wsl_box b
	"$WSL" -d a sleep 30 </dev/null &
	local one=$!
	"$WSL" -d b sleep 30 </dev/null &
	local two=$!
	eventually 20 is_running a
	eventually 20 is_running b
	[ "$(wsl -d a cat /proc/sys/kernel/random/boot_id)" = "$(wsl -d b cat /proc/sys/kernel/random/boot_id)" ]
	wsl --shutdown
	! wait $one
	! wait $two
}

@test "ended and started again, many times" {
	local n
	wsl_box
	for ((n = 1; n <= 40; n++)); do
		run -0 wsl -d box echo $n
		[ "$output" = $n ]
		run -0 wsl --terminate box
	done
	for ((n = 1; n <= 10; n++)); do
		run -0 wsl -d box echo $n
		[ "$output" = $n ]
		run -0 wsl --shutdown
	done
}

@test "100 commands at the same time all succeed" {
	wsl_box
	wsl true
	seq 100 | xargs -P 100 -I{} sh -c '"$WSL" -e echo {} </dev/null || echo failed {}' >"$BATS_TEST_TMPDIR/out"
	[ "$(sort -n "$BATS_TEST_TMPDIR/out")" = "$(seq 100)" ]
}

@test "ten commands at the same time from nothing start one service and one machine" {
	wsl_box
	wsl --shutdown
	kill "$(service_pid)"
	eventually 10 eval '[ -z "$(service_pid)" ]'
	seq 10 | xargs -P 10 -I{} sh -c '"$WSL" -e cat /proc/sys/kernel/random/boot_id </dev/null || echo failed {}' \
		>"$BATS_TEST_TMPDIR/out"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/out")" = 10 ]
	[ "$(sort -u "$BATS_TEST_TMPDIR/out" | wc -l)" = 1 ]
}
