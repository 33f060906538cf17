"""What a session promises, wherever the distribution's init runs."""
import os
import re
import sys
import threading
import time

import peer
from peer import CONTROL, PTY, STDERR, STDOUT, TTY_ALL, TTY_STDIN, TTY_STDOUT, TTY_STDERR


class SessionTests:
    """A mix-in; the class has d, a peer.Distro, and connect()."""

    def out(self, argv, **more):
        out, err, status = self.d.run(argv, **more)
        self.assertEqual((err, status), (b"", 0))
        return out

    def test_streams_and_status(self):
        out, err, status = self.d.run("echo out; echo err >&2; exit 3")
        self.assertEqual((out, err, os.waitstatus_to_exitcode(status)), (b"out\n", b"err\n", 3))

    def test_death_by_signal(self):
        _, _, status = self.d.run("kill -9 $$")
        self.assertEqual(status, 9)

    def test_handles_are_pipes(self):
        out = self.out("stat -Lc %F /dev/stdin /dev/stdout; tty || true; echo x >/dev/stdout")
        self.assertEqual(out, b"fifo\nfifo\nnot a tty\nx\n")

    def test_signals_are_clean(self):
        for flags in (0, TTY_ALL):
            out, _, _ = self.d.run(["cat", "/proc/self/status"], shell=peer.SHELL_NONE, flags=flags)
            for line in out.splitlines():
                if line.startswith((b"SigBlk", b"SigIgn", b"SigCgt", b"SigPnd", b"ShdPnd")):
                    # 32 and 33 are libc's own: nobody can reset what a test runner left ignored
                    self.assertEqual(int(line.split()[1], 16) & ~0x180000000, 0, line)

    def test_no_descriptor_leaks(self):
        self.assertEqual(self.out("ls /proc/self/fd", shell=peer.SHELL_LOGIN).split(), [b"0", b"1", b"2", b"3"])

    def test_environment(self):
        out = self.out(["env"], shell=peer.SHELL_NONE, env=["FOO=a=b", "TERM=vt100", "EMPTY=", "HOME=/x"])
        env = dict(line.split("=", 1) for line in out.decode().splitlines())
        self.assertEqual(env, {
            "HOSTTYPE": "x86_64", "LANG": env["LANG"], "FOO": "a=b", "EMPTY": "", "TERM": "vt100",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games:/usr/local/games",
            "NAME": "testhost.example", "WSL_DISTRO_NAME": "Test", "HOME": "/root", "USER": "root",
            "LOGNAME": "root", "SHELL": "/bin/bash"})

    def test_users(self):
        self.assertEqual(self.out("id -un; pwd", user="user"), b"user\n/home/user\n")
        self.assertEqual(self.out("id -u", uid=61000), b"61000\n")
        self.assertEqual(self.out("id -u", uid=4242), b"0\n")
        self.assertEqual(len(self.out("id -G", user="user").split()), 41)
        self.assertEqual(self.out("pwd", user="nohome"), b"/\n")
        refused = self.d.create("true", user="nobody-here")
        self.assertEqual((refused.name, refused["text"]), ("RESULT", "User not found."))

    def test_directories(self):
        for cwd, want in (("", "/home/user"), ("~", "/home/user"), ("~/sub", "/home/user/sub"),
                          ("/usr/lib", "/usr/lib"), ("/no/such", "/home/user"), ("~/no", "/home/user")):
            self.assertEqual(self.out("pwd", user="user", cwd=cwd), want.encode() + b"\n")
        self.assertEqual(self.out("pwd", cwd="/usr", flags=peer.CWD_HOME), b"/root\n")

    def test_shell_modes(self):
        self.assertEqual(self.out("echo $0 '$0'"), b"/bin/bash $0\n")
        self.assertEqual(self.out("echo $0; shopt -q login_shell && echo login", shell=peer.SHELL_LOGIN),
                         b"-bash\nlogin\n")
        self.assertEqual(self.out(["echo", "$USER", "", "x y"], shell=peer.SHELL_NONE), b"$USER  x y\n")
        self.assertEqual(self.out([], stdin=b"echo $0\n"), b"-bash\n")

    def test_programs_that_cannot_run(self):
        out, err, status = self.d.run(["no-such-program"], shell=peer.SHELL_NONE)
        self.assertEqual((out, err, status >> 8), (b"", b"wsl: no-such-program: command not found\n", 127))
        _, err, status = self.d.run(["/etc/passwd"], shell=peer.SHELL_NONE)
        self.assertEqual((err, status >> 8), (b"wsl: cannot run /etc/passwd: Permission denied\n", 126))
        empty = self.d.create([], shell=peer.SHELL_NONE)
        self.assertEqual(empty.name, "RESULT")

    def test_stdin_is_closed(self):
        self.assertEqual(self.out("cat; echo end", stdin=b"abc"), b"abcend\n")

    def test_long_command(self):
        word = "x" * 100000
        self.assertEqual(self.out("echo " + word), word.encode() + b"\n")

    def test_big_data_both_ways(self):
        s = self.d.start("cat")
        block, total, got = bytes(range(256)) * 4096, 64, 0

        def feed():
            for _ in range(total):
                s.write(block)
            s.close_stdin()

        feeder = threading.Thread(target=feed)
        started = time.monotonic()
        feeder.start()
        while piece := s.streams[STDOUT].recv(1 << 20):
            got += len(piece)
        feeder.join()
        seconds = time.monotonic() - started
        self.assertEqual(got, total << 20)
        self.assertEqual(s.control.wait("EXIT_STATUS")["status"], 0)
        s.close()
        print(f"\ncat: {total / seconds:.0f} MiB/s", file=sys.stderr)

    def test_all_output_arrives(self):
        self.assertEqual(len(self.out("head -c 5000000 /dev/zero")), 5000000)

    def test_closed_stdout_is_sigpipe(self):
        s = self.d.start("trap '' HUP; while echo y; do :; done 2>/dev/null; echo $? >&2")
        s.read(10)
        s.streams[STDOUT].close()
        self.assertIn(s.drain(STDERR), (b"1\n", b""))
        s.control.wait("EXIT_STATUS")
        s.close()

    def test_no_wait_for_background_writers(self):
        out, _, status = self.d.run("yes & echo $! >/tmp/writer; exit 0")
        self.assertEqual(status, 0)
        self.out("kill $(cat /tmp/writer)")

    # terminals

    def test_pty(self):
        out = self.out("tty; stty size; stat -c '%a %u %g' $(tty); stty -a | grep -o '[-]*iutf8'", flags=TTY_ALL,
                       rows=33, cols=99, user="user")
        self.assertRegex(out, rb"^/dev/pts/\d+\r\n33 99\r\n620 61000 5\r\niutf8\r\n$")

    def test_large_pty_input(self):
        s = self.d.start("stty raw -echo; echo ready; head -c 300000 | cksum", flags=TTY_ALL)
        s.read_until(b"ready\n")
        s.write(bytes(range(33, 93)) * 5000)
        self.assertIn(b" 300000", s.read_until(b"300000"))
        s.finish()

    def test_unread_stdin(self):
        s = self.d.start("exit 6")
        try:
            s.write(b"x" * (8 << 20))
        except OSError:
            pass
        self.assertEqual(s.finish()[2] >> 8, 6)

    def test_mixed_handles(self):
        out, err, _ = self.d.run("test -t 0; echo $?; test -t 1; echo $?; test -t 2; echo $? >/dev/stderr",
                                 flags=TTY_STDIN | TTY_STDERR)
        self.assertEqual(out, b"0\n1\n")
        s = self.d.start("cat >/dev/tty", flags=TTY_STDOUT | TTY_STDERR)
        s.streams[peer.STDIN].sendall(b"from pipe\n")
        s.close_stdin()
        self.assertEqual(s.drain(PTY), b"from pipe\r\n")
        s.close()

    def shell(self, **more):
        s = self.d.start([], flags=TTY_ALL, env=["TERM=dumb"], **more)
        s.write(b"PS1='pr''ompt>'; stty -echo\n")
        s.read_until(b"prompt>")
        return s

    def test_interactive_shell(self):
        s = self.shell()
        s.write(b"echo $0 $-; read -a f </proc/$$/stat; echo ${f[4]} ${f[7]}\n")
        out = s.read_until(b"prompt>").split()
        self.assertEqual(out[0], b"-bash")
        self.assertIn(b"m", out[1])
        self.assertEqual(out[2], out[3])  # the shell is the terminal's foreground
        s.write(b"\x04")
        out, _, status = s.finish()
        self.assertEqual(status, 0)

    def test_keyboard_signals(self):
        s = self.shell()
        job = b"sh -c 'echo sta''rted; exec sleep 100'\n"
        s.write(job)
        s.read_until(b"started")
        s.write(b"\x03")
        s.read_until(b"prompt>")
        s.write(b"echo $?; " + job)
        self.assertIn(b"130", s.read_until(b"started"))
        s.write(b"\x1a")
        self.assertIn(b"Stopped", s.read_until(b"prompt>"))
        s.write(b"kill %1; wait; " + job)
        s.read_until(b"started")
        s.write(b"\x1c")
        s.read_until(b"Quit")
        s.read_until(b"prompt>")
        s.write(b"exit 7\n")
        self.assertEqual(s.finish()[2] >> 8, 7)

    def test_stop_key_without_a_shell(self):
        # "ready" comes when both processes are there: a shell cannot stop while a child of its vfork()
        # has not executed its program
        s = self.d.start(["sh", "-c", "sleep 1 & echo ready; wait; echo woke"], shell=peer.SHELL_NONE, flags=TTY_ALL)
        s.read_until(b"ready")
        s.write(b"\x1a")
        s.read_until(b"woke")
        self.assertEqual(s.finish()[2], 0)

    def test_window_size_changes(self):
        s = self.d.start("trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done", flags=TTY_ALL)
        s.read_until(b"ready")
        s.control.send("WINDOW_SIZE", rows=50, cols=120)
        s.read_until(b"50 120")
        self.assertEqual(s.finish()[2], 0)

    def test_signal_message(self):
        for flags in (0, TTY_ALL):
            s = self.d.start("trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done", flags=flags)
            s.read_until(b"ready")
            s.control.send("SIGNAL", number=15)
            s.read_until(b"got")
            self.assertEqual(s.finish()[2] >> 8, 5)

    def test_large_pty_output(self):
        out, _, _ = self.d.run("seq 1 20000", flags=TTY_ALL)
        self.assertEqual(out, b"".join(b"%d\r\n" % i for i in range(1, 20001)))

    # ends

    def wait_ended(self, session):
        self.d.channel.wait("SESSION_ENDED", match={"number": session.id})

    def test_client_death_hangs_up(self):
        for flags in (0, TTY_ALL):
            s = self.d.start("echo $$ $PPID; exec sleep 1000", flags=flags)
            pid = s.read_until(b"\n").split()[0].decode()
            s.close()
            self.wait_ended(s)
            self.assertEqual(self.d.run(f"test -d /proc/{pid}")[2] >> 8, 1)

    def test_client_death_before_joining(self):
        created = self.d.create("echo never")
        s = self.d.connect(created["port"])
        s.sendall(bytes([CONTROL]))
        s.close()
        self.assertEqual(self.d.run("true")[2], 0)

    def test_daemon_survives(self):
        for flags in (0, TTY_ALL):
            s = self.d.start("(while :; do echo noise; sleep 0.02; done) & echo pid=$!", flags=flags)
            s.read_until(b"pid=")
            pid = s.read_until(b"\n").split()[0].decode()
            s.finish()
            time.sleep(0.4)
            self.assertEqual(self.d.run(f"kill -0 {pid}")[2], 0, f"flags {flags}")
            self.assertFalse([m for m in self.d.channel.kept if m.name == "SESSION_ENDED" and m["number"] == s.id])
            self.d.run(f"kill {pid}")
            self.wait_ended(s)

    def test_interactive_background_job_survives(self):
        s = self.shell()
        s.write(b"sleep 777 & echo pid $!\n")
        pid = s.read_until(b"prompt>").split(b"pid ")[1].split()[0].decode()
        s.write(b"exit\n")
        s.finish()
        time.sleep(0.2)
        self.assertEqual(self.d.run(f"kill {pid}")[2], 0)
        self.wait_ended(s)

    def test_session_end_is_reported(self):
        s = self.d.start("true")
        s.finish()
        self.wait_ended(s)

    def test_relay_killed(self):
        s = self.d.start("echo $PPID; sleep 1000")
        pid = s.read_until(b"\n").split()[0].decode()
        self.d.run(f"kill -9 {pid}; pkill -x sleep")
        self.wait_ended(s)
        s.close()

    def test_hundred_sessions(self):
        sessions = []
        started = time.monotonic()
        for i in range(100):
            sessions.append(self.d.start(f"read x; echo {i} $x", flags=TTY_ALL if i % 2 else 0))
        for s in sessions:
            s.write(b"go\n")
        for i, s in enumerate(sessions):
            self.assertIn(b"%d go" % i, s.finish()[0])
        for s in sessions:
            self.wait_ended(s)
        print(f"\n100 sessions: {time.monotonic() - started:.2f} s", file=sys.stderr)
        self.assertLess(int(self.out("set -- /proc/[0-9]*; echo $#")), 12)
