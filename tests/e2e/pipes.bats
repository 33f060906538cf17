# stdin, stdout and stderr: every byte, no deadlock
load ../lib/wsl
setup_file() { wsl_sandbox; wsl_box; }
teardown_file() { wsl_sandbox_end; }

random() { openssl enc -aes-128-ctr -pass pass:seed -nosalt -pbkdf2 </dev/zero 2>/dev/null | head -c "$1"; }

@test "64 MiB through cat come back as they went" {
	local in out
	in=$(random 67108864 | sha256sum)
	out=$(random 67108864 | wsl cat | sha256sum)
	[ "$in" = "$out" ]
}

@test "a file of 64 MiB from a regular file to a regular file" {
	random 67108864 >"$BATS_TEST_TMPDIR/in"
	wsl cat <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out"
	cmp "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"
	rm "$BATS_TEST_TMPDIR"/{in,out}
}

@test "stdout and stderr stay apart" {
	run -0 --separate-stderr wsl -e sh -c 'echo out; echo err >&2'
	[ "$output" = out ]
	[ "$stderr" = err ]
}

@test "both outputs full at the same time do not deadlock" {
	wsl -e sh -c 'dd if=/dev/zero bs=64k count=256 2>/dev/null & dd if=/dev/zero bs=64k count=256 >&2 2>/dev/null; wait' \
		>"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"
	[ "$(stat -c %s "$BATS_TEST_TMPDIR/out")" = 16777216 ]
}

@test "a program that reads nothing does not block one that writes" {
	run -0 eval "random 20000000 | wsl -e sh -c 'sleep 0.2; echo done'"
	[ "$output" = done ]
}

@test "yes | head ends on both sides" {
	run eval 'yes | wsl head -n 3'
	[ "$output" = $'y\ny\ny' ]
	run eval 'wsl yes | head -n 3'
	[ "$output" = $'y\ny\ny' ]
	eventually 20 eval '! wsl -e pidof yes >/dev/null'
}

@test "the guest's writer sees SIGPIPE when the reader leaves" {
	run -0 bash -o pipefail -c '"$WSL" -e sh -c "yes; echo \$? >/tmp/yes-status" | head -n 1'
	eventually 20 eval '[ "$(wsl cat /tmp/yes-status)" = 141 ]'
}

@test ">> keeps what is there" {
	echo first >"$BATS_TEST_TMPDIR/log"
	wsl echo second >>"$BATS_TEST_TMPDIR/log"
	wsl echo third >>"$BATS_TEST_TMPDIR/log"
	[ "$(cat "$BATS_TEST_TMPDIR/log")" = $'first\nsecond\nthird' ]
}

@test "two commands writing through one open file do not overwrite each other" {
	{ wsl echo one; echo two; wsl echo three; } >"$BATS_TEST_TMPDIR/log"
	[ "$(cat "$BATS_TEST_TMPDIR/log")" = $'one\ntwo\nthree' ]
}

@test "stdin at end of file is end of file in the guest" {
	run -0 wsl cat </dev/null
	[ -z "$output" ]
	run -0 eval 'printf "no newline" | wsl cat'
	[ "$output" = "no newline" ]
}

@test "a command that does not read leaves the rest of the script on stdin to others" {
	# The classic: a loop that calls wsl must not lose its list
	run -0 bash -c 'printf "a\nb\nc\n" | while read -r x; do "$WSL" -e echo "$x" </dev/null; done'
	[ "$output" = $'a\nb\nc' ]
}

@test "closed stdin, stdout, stderr" {
	run -0 bash -c '"$WSL" -e sh -c "echo fine" <&-'
	[ "$output" = fine ]
	run bash -c '"$WSL" -e true >&-'
	[ "$status" = 0 ]
	run bash -c '"$WSL" -e true 2>&-'
	[ "$status" = 0 ]
}

@test "the flags of the caller's descriptors are not changed" {
	run -0 python3 - <<-'PY'
		import fcntl, os, subprocess
		r, w = os.pipe()
		before = fcntl.fcntl(w, fcntl.F_GETFL)
		subprocess.run([os.environ["WSL"], "-e", "echo", "x"], stdout=w, check=True)
		assert fcntl.fcntl(w, fcntl.F_GETFL) == before
		assert os.read(r, 10) == b"x\n"
	PY
}

@test "output after the first byte of a slow writer arrives at once" {
	run -0 python3 - <<-'PY'
		import os, subprocess, time
		p = subprocess.Popen([os.environ["WSL"], "-e", "sh", "-c", "echo one; sleep 3; echo two"],
		                     stdout=subprocess.PIPE)
		assert p.stdout.readline() == b"one\n"
		t = time.monotonic()
		assert p.stdout.readline() == b"two\n"
		assert time.monotonic() - t > 1.5, "the first line waited for the second"
		assert p.wait() == 0
	PY
}

@test "a background process that holds stdout open does not lose output" {
	run -0 wsl -e sh -c 'echo now; (sleep 0.5; echo later) &'
	[[ $output == *now* ]]
}
