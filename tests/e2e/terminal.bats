# Terminals: size, signals, job control, hang-up
load ../lib/wsl
setup_file() { wsl_sandbox; wsl_box; wsl true; }
teardown_file() { wsl_sandbox_end; }

@test "the size is right at the program's first instruction" {
	term <<-'PY'
		t = Term(WSL, "-e", "probe", "size", rows=31, cols=97)
		t.expect(r"size 31 97\r\n")
		t.ends(0)
	PY
}

@test "a hundred short programs on a terminal all end with their own exit code" {
	term <<-'PY'
		for n in range(100):
		    t = Term(WSL, "-e", "probe", "exit", str(n))
		    t.ends(n)
		    t.hang_up()
	PY
}

@test "a resize arrives as a new size and SIGWINCH" {
	term <<-'PY'
		t = Term(WSL, "-e", "probe", "signals", rows=20, cols=60)
		t.expect("ready")
		t.resize(40, 120)
		t.expect("signal WINCH")
		t.send("\x03"); t.expect("signal INT")
		t.send("\x1c"); t.expect("signal QUIT")
		t.ends(0)
		t = Term(WSL, rows=20, cols=60)
		t.expect(r"\$ |# ")
		t.resize(44, 132)
		t.send("stty size\r"); t.expect("44 132")
		t.send("exit 4\r")
		t.ends(4)
	PY
}

@test "Ctrl-C ends the program: 130" {
	term <<-'PY'
		t = Term(WSL, "-e", "sh", "-c", "echo ready; exec sleep 100")
		t.expect("ready")
		t.send("\x03")
		t.ends(130)
	PY
}

@test "Ctrl-\\ quits: 131" {
	term <<-'PY'
		t = Term(WSL, "-e", "sh", "-c", "ulimit -c 0; echo ready; exec sleep 100")
		t.expect("ready")
		t.send("\x1c")
		t.ends(131)
	PY
}

@test "Ctrl-C in a shell interrupts the command, not the shell" {
	term <<-'PY'
		t = Term(WSL)
		t.expect(r"\$ |# ")
		t.send("sleep 100\r"); time.sleep(0.3); t.send("\x03")
		t.send("echo still-$((6*7))\r")
		t.expect("still-42")
		t.send("exit\r")
		t.wait()
	PY
}

@test "Ctrl-Z stops a job in the guest's shell, fg goes on" {
	term <<-'PY'
		t = Term(WSL)
		t.expect(r"\$ |# ")
		t.send("sleep 3; echo over\r"); time.sleep(0.5); t.send("\x1a")
		t.expect("(?i)stopped")
		t.send("jobs\r"); t.expect("(?i)stopped.*sleep")
		t.send("fg\r"); t.expect("over|sleep")
		t.send("\x03exit 0\r")
		t.wait()
	PY
}

@test "Ctrl-D ends a shell" {
	term <<-'PY'
		t = Term(WSL)
		t.expect(r"\$ |# ")
		t.send("\x04")
		t.ends(0)
	PY
}

@test "the terminal is as it was before, also after a signal death" {
	term <<-'PY'
		for command in (["-e", "true"], ["-e", "probe", "kill", "9"], ["-e", "stty", "raw", "-echo"]):
		    t = Term("sh", "-c", 'stty -a >/tmp/before.$$; "$@"; stty -a >/tmp/after.$$; '
		             'cmp /tmp/before.$$ /tmp/after.$$ && echo same; rm /tmp/before.$$ /tmp/after.$$',
		             "sh", WSL, *command)
		    t.expect("same")
		    t.wait()
	PY
}

@test "the terminal is restored when wsl is terminated" {
	term <<-'PY'
		t = Term(WSL, "-e", "sh", "-c", "echo ready; exec sleep 100")
		t.expect("ready")
		check(not t.attributes()[3] & termios.ICANON, "raw while it runs")
		os.kill(t.pid, signal.SIGTERM)
		t.ends(143)
		check(t.attributes()[3] & termios.ICANON, "canonical afterwards")
	PY
}

@test "the death of the client hangs the guest's session up" {
	term <<-'PY'
		t = Term(WSL, "-e", "sh", "-c", "trap 'echo hup >/tmp/hup-seen; exit' HUP; echo ready; while :; do sleep 0.1; done")
		t.expect("ready")
		os.kill(t.pid, signal.SIGKILL)
		t.wait()
	PY
	eventually 20 eval '[ "$(wsl cat /tmp/hup-seen 2>/dev/null)" = hup ]'
}

@test "closing the terminal window ends everything that ran in it" {
	term <<-'PY'
		t = Term(WSL)
		t.expect(r"\$ |# ")
		t.send("sleep 4321\r"); time.sleep(0.3)
		t.hang_up()
		t.wait()
	PY
	eventually 20 eval '! wsl -e pgrep -f "sleep 4321" >/dev/null 2>&1 && ! wsl -e sh -c "ps | grep -q [s]leep.4321"'
}

@test "standard output in a pipe: no terminal there, but on stdin" {
	term <<-'PY'
		r, w = os.pipe()
		t = Term(WSL, "-e", "sh", "-c", "[ -t 0 ] && echo in; [ -t 1 ] || echo not-out; [ -t 2 ] && echo err >&2", stdout=w)
		os.close(w)
		t.expect("err")
		t.ends(0)
		check(os.read(r, 100) == b"in\nnot-out\n")
	PY
}

@test "standard input in a pipe: the program's output is on the terminal" {
	term <<-'PY'
		r, w = os.pipe()
		os.write(w, b"hello\n"); os.close(w)
		t = Term(WSL, "-e", "sh", "-c", "[ -t 0 ] || echo not-in; [ -t 1 ] && echo out; cat", stdin=r)
		t.expect("not-in"); t.expect("out"); t.expect("hello")
		t.ends(0)
	PY
}

@test "the terminal belongs to the user and the tty group" {
	term <<-'PY'
		t = Term(WSL, "-u", "user", "-e", "sh", "-c", "stat -c '%u %g %a' $(tty)")
		t.expect(r"1000 5 620")
		t.ends(0)
	PY
}

@test "the controlling terminal is there: /dev/tty can be opened" {
	term <<-'PY'
		t = Term(WSL, "-e", "sh", "-c", "echo through >/dev/tty; tty; ps -o pid,tty | head -n 3")
		t.expect("through"); t.expect("/dev/pts/")
		t.ends(0)
	PY
}

@test "TERM is handed over" {
	term <<-'PY'
		t = Term(WSL, "-e", "sh", "-c", "echo [$TERM]", env={"TERM": "vt220"})
		t.expect(r"\[vt220\]")
		t.wait()
	PY
}

@test "typed bytes arrive unchanged in raw mode" {
	term <<-'PY'
		t = Term(WSL, "-e", "sh", "-c", "stty raw -echo; echo ready; dd bs=1 count=255 2>/dev/null | md5sum")
		t.expect("ready")
		t.send(bytes(range(1, 256)))
		import hashlib
		t.expect(hashlib.md5(bytes(range(1, 256))).hexdigest())
		t.ends(0)
	PY
}

@test "a lot of output to a slow terminal is complete" {
	term <<-'PY'
		t = Term(WSL, "-e", "seq", "50000")
		time.sleep(0.5)
		t.ends(0)
		lines = t.output.replace(b"\r", b"").split()
		check(lines == [b"%d" % n for n in range(1, 50001)], len(lines))
	PY
}

@test "wsl stopped with Ctrl-Z by another program can go on" {
	term <<-'PY'
		t = Term(WSL, "-e", "sh", "-c", "echo ready; read x; echo got $x")
		t.expect("ready")
		os.kill(t.pid, signal.SIGSTOP); check(t.stopped())
		os.kill(t.pid, signal.SIGCONT)
		t.send("word\r")
		t.expect("got word")
		t.ends(0)
	PY
}
