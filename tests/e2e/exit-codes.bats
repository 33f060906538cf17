# How programs end is what scripts see
load ../lib/wsl
setup_file() { wsl_sandbox; wsl_box; }
teardown_file() { wsl_sandbox_end; }

@test "every exit code from 0 to 255 is passed on" {
	local n bad=
	for n in 0 1 2 3 66 67 68 86 87 88 126 127 128 130 200 254 255; do
		run wsl -e probe exit "$n"
		[ "$status" = "$n" ] || bad+=" $n->$status"
	done
	[ -z "$bad" ] || { echo "$bad"; false; }
}

@test "every exit code from 0 to 255, eight at a time" {
	seq 0 255 | xargs -P 8 -I{} sh -c '"$WSL" -e probe exit {}; echo {} $?' >"$BATS_TEST_TMPDIR/codes"
	awk '$1 != $2 { print; bad = 1 } END { exit bad || NR != 256 }' "$BATS_TEST_TMPDIR/codes"
}

@test "67 and 87 of a program say nothing on stderr" {
	run -67 --separate-stderr wsl -e probe exit 67
	[ -z "$stderr" ]
	run -87 --separate-stderr wsl -e probe exit 87
	[ -z "$stderr" ]
}

@test "death by a signal is 128 plus its number" {
	local s bad=
	for s in 1 2 3 6 8 9 10 11 12 13 14 15 24 25 31; do
		run wsl -e probe kill "$s"
		[ "$status" = $((128 + s)) ] || bad+=" $s->$status"
	done
	[ -z "$bad" ] || { echo "$bad"; false; }
}

@test "the shell's exit code is the last command's" {
	run -3 guest '(exit 3)'
	run -5 wsl <<<'exit 5'
}

@test "an error of wsl itself is 255, on stderr, with a name" {
	run -255 --separate-stderr wsl --no-such-option
	[ -z "$output" ]
	[[ $stderr == *"Invalid command line argument: --no-such-option"* ]]
	[[ $stderr == *"Error code: Wsl/E_INVALIDARG"* ]]
}

@test "SIGTERM to wsl ends the program in the guest" {
	"$WSL" -e probe pause &
	local pid=$!
	eventually 20 eval 'wsl -e pidof probe >/dev/null'
	kill -TERM $pid
	wait $pid || status=$?
	[ "$status" = 143 ]
	eventually 20 eval '! wsl -e pidof probe >/dev/null'
}

@test "SIGINT to wsl without a terminal reaches the program" {
	# Background jobs of scripts ignore SIGINT: python starts it without that
	run -0 python3 - <<-'PY'
		import os, signal, subprocess, time
		p = subprocess.Popen([os.environ["WSL"], "-e", "probe", "signals"], stdout=subprocess.PIPE,
		                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
		assert p.stdout.readline() == b"ready\n"
		for s in (signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
		    p.send_signal(s)
		    line = p.stdout.readline()
		    assert line == b"signal %s\n" % s.name[3:].encode(), (s, line)
		assert p.wait(20) == 0
	PY
}

@test "three impatient signals end wsl alone" {
	"$WSL" -e sh -c 'trap "" TERM; echo ready; while :; do sleep 0.2; done' </dev/null >"$BATS_TEST_TMPDIR/out" &
	local pid=$! status=0
	eventually 20 grep -qx ready "$BATS_TEST_TMPDIR/out"
	kill -TERM $pid; sleep 0.1; kill -TERM $pid; sleep 0.1; kill -TERM $pid
	wait $pid || status=$?
	[ "$status" = 143 ]
}

@test "wsl killed with SIGKILL hangs its program up" {
	"$WSL" -e probe pause </dev/null &
	local pid=$!
	eventually 20 eval 'wsl -e pidof probe >/dev/null'
	kill -KILL $pid
	wait $pid || true
	eventually 20 eval '! wsl -e pidof probe >/dev/null'
}
