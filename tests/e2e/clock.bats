# The guest's clock is the host's: after a change on either side, and after a stop of the VM
# long
load ../lib/wsl

setup_file() {
	wsl_sandbox
	netprobe_build
	wsl_box
	netprobe_install
}
teardown_file() { wsl_sandbox_end; }
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || wsl_logs; }

guest_clock() { wsl -e netprobe clock; }
# The guest's time lies between two looks at the host's, give or take 100 ms
clock_is_right() {
	local before guest after
	before=$("$SANDBOX/netprobe" clock)
	guest=$(guest_clock)
	after=$("$SANDBOX/netprobe" clock)
	((${guest% *} >= ${before% *} - 100 && ${guest% *} <= ${after% *} + 100)) ||
		{ echo "host $before, guest $guest, host $after"; return 1; }
}
steps() { grep -c "guest's clock is .* off" "$XDG_STATE_HOME/lxss/wslservice.log" || true; }
guest_clock_off() { # SECONDS
	guest "date -s @\$((\$(date +%s) + $1)) >/dev/null"
}

vm_signal() { kill -"$1" -- "-$(kernel_pid)" "$(relay_pid)"; }

@test "the guest's clock is the host's" {
	eventually 5 clock_is_right # the boot itself may take its time
}

@test "a clock that is off is the host's again: at once when that is set, else within 30 seconds" {
	local shift before after steps patience=40
	before=$(guest_clock)
	for shift in -3600 86400; do
		steps=$(steps)
		guest_clock_off $shift
		if [ "$(id -u)" = 0 ]; then # to what it is: the kernel tells all the same
			python3 -c 'import time; time.clock_settime(time.CLOCK_REALTIME, time.time())'
			patience=5
		fi
		eventually $patience eval '[ "$(steps)" -gt '$steps' ]'
		eventually 5 clock_is_right
		[ $patience = 5 ] || break
	done
	after=$(guest_clock)
	((${after#* } >= ${before#* }))
}

@test "the VM stopped and continued: clocks, sessions and forwarded ports" {
	local before after status=0 port=$((22000 + RANDOM % 1000))
	talk "$WSL" -e sh
	"$WSL" -e netprobe serve 127.0.0.1 $port >"$SANDBOX/serve" 2>&1 3>&- &
	local server=$!
	eventually 10 grep -qx ready "$SANDBOX/serve"
	run -0 "$SANDBOX/netprobe" wait 127.0.0.1 $port open 5000
	before=$(guest_clock)
	vm_signal STOP
	sleep 5
	vm_signal CONT
	eventually 5 clock_is_right
	after=$(guest_clock)
	((${after#* } >= ${before#* } + 4000))
	echo 'echo still here; exit 3' >&7
	eventually 10 heard still here
	wait $TALKER || status=$?
	[ $status = 3 ]
	run -0 "$SANDBOX/netprobe" echo 127.0.0.1 $port hello
	[ "$output" = hello ]
	kill $server
	wait $server || true
}
