#!/usr/bin/env python3
"""terminal.py [FILE]: runs a script (stdin or FILE) that has Term, WSL and helpers of this file at hand."""
import errno
import fcntl
import os
import re
import select
import signal
import struct
import sys
import termios
import time

WSL = os.environ["WSL"]


class Term:
    """A program on a terminal of its own, seen from the keyboard."""

    def __init__(self, *argv, rows=24, cols=80, env=None, stdin=None, stdout=None, deadline=20):
        self.deadline, self.output, self.at, self.status = deadline, b"", 0, None
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        self.pid = os.fork()
        if self.pid == 0:
            os.close(master)
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            os.dup2(stdin if stdin is not None else slave, 0)
            os.dup2(stdout if stdout is not None else slave, 1)
            os.dup2(slave, 2)
            os.closerange(3, 100)
            for s in (signal.SIGINT, signal.SIGPIPE, signal.SIGQUIT):
                signal.signal(s, signal.SIG_DFL)
            os.execvpe(argv[0], argv, {**os.environ, "TERM": "xterm", **(env or {})})
        self.slave, self.master = slave, master

    def _read(self, timeout):
        ready, _, _ = select.select([self.master], [], [], max(0, timeout))
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError as e:
            if e.errno != errno.EIO:
                raise
            data = b""
        self.output += data
        return bool(data)

    def expect(self, pattern, timeout=None):
        """Waits for output that matches; what was matched before is not looked at again."""
        if isinstance(pattern, str):
            pattern = pattern.encode()
        until = time.monotonic() + (timeout or self.deadline)
        while True:
            m = re.search(pattern, self.output[self.at:])
            if m:
                self.at += m.end()
                return m
            if not self._read(until - time.monotonic()) and time.monotonic() >= until:
                raise AssertionError(f"no {pattern!r} in {self.output[self.at:]!r}")

    def send(self, data):
        os.write(self.master, data.encode() if isinstance(data, str) else data)

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def hang_up(self):
        os.close(self.slave)
        os.close(self.master)
        self.slave = self.master = -1

    def attributes(self):
        return termios.tcgetattr(self.slave)

    def stopped(self, timeout=None):
        """Waits until the program has been stopped by a signal."""
        until = time.monotonic() + (timeout or self.deadline)
        while time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                return True
            self._read(0.02)
        return False

    def wait(self, timeout=None):
        """The exit code, 128+n for a signal; drains the terminal meanwhile."""
        until = time.monotonic() + (timeout or self.deadline)
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() >= until:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"still runs; output {self.output!r}")
            if self.master >= 0:
                self._read(0.02)
            else:
                time.sleep(0.02)
        while self.master >= 0 and self._read(0.05):
            pass
        if os.WIFSIGNALED(status):
            return 128 + os.WTERMSIG(status)
        return os.WEXITSTATUS(status)

    def ends(self, code, timeout=None):
        got = self.wait(timeout)
        check(got == code, f"exit code {got}, not {code}; output {self.output!r}")


def check(condition, *what):
    if not condition:
        raise AssertionError(*what)


if __name__ == "__main__":
    source = open(sys.argv[1]).read() if len(sys.argv) > 1 else sys.stdin.read()
    exec(compile(source, "script", "exec"), globals())
