"""A scripted host for the guest's programs: the service's side of every control channel.

The codec reads its tables from shared/protocol, so that it cannot fall behind them.
"""
import os
import re
import socket
import struct
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROTOCOL = os.path.join(ROOT, "shared", "protocol")
ROLE_SERVICE, ROLE_MINI_INIT, ROLE_DISTRO_INIT = 2, 3, 4
SHELL_INTERACTIVE, SHELL_STANDARD, SHELL_LOGIN, SHELL_NONE = range(4)
TTY_STDIN, TTY_STDOUT, TTY_STDERR, RUN_OOBE, CWD_HOME = 1, 2, 4, 8, 16
TTY_ALL = 7
CONTROL, STDIN, STDOUT, STDERR, PTY = range(5)
RELAY_MAGIC = 0x4B53564C


def load_tables():
    with open(os.path.join(PROTOCOL, "message.h")) as f:
        header = f.read()
    with open(os.path.join(PROTOCOL, "message.c")) as f:
        source = f.read()
    fields = {}
    for tag, body in re.findall(r"(msg_\w+)_fields\[\] = \{(.*?)\};", source, re.S):
        fields[tag] = re.findall(r"\b(U32|U64|STRV|STR)\(\w+,\s*(\w+)\)", body)
    types = {}
    for name, number, tag in re.findall(r"X\((\w+), (0x\w+|\d+), (\w+)\)", header):
        types[name] = (int(number, 0), fields.get(tag, []))
    return types


TYPES = load_tables()
NAMES = {number: (name, fields) for name, (number, fields) in TYPES.items()}


def encode(message, seq=0, /, **values):
    number, fields = TYPES[message]
    out = b""
    for kind, field in fields:
        v = values.pop(field, None)
        if kind == "U32":
            out += struct.pack("<I", v or 0)
        elif kind == "U64":
            out += struct.pack("<Q", v or 0)
        elif kind == "STR":
            raw = (v or "").encode()
            out += struct.pack("<I", len(raw)) + raw + b"\0"
        else:
            raw = b"".join(s.encode() + b"\0" for s in v or [])
            out += struct.pack("<II", len(v or []), len(raw)) + raw
    assert not values, values
    return struct.pack("<IHHI", len(out) + 12, number, 0, seq) + out


def decode(number, data):
    name, fields = NAMES[number]
    values, at = {}, 0
    for kind, field in fields:
        if kind == "U32":
            values[field] = struct.unpack_from("<I", data, at)[0]
            at += 4
        elif kind == "U64":
            values[field] = struct.unpack_from("<Q", data, at)[0]
            at += 8
        elif kind == "STR":
            n = struct.unpack_from("<I", data, at)[0]
            values[field] = data[at + 4 : at + 4 + n].decode()
            at += 5 + n
        else:
            n, size = struct.unpack_from("<II", data, at)
            values[field] = data[at + 8 : at + 8 + size].split(b"\0")[:n]
            at += 8 + size
    assert at == len(data), (name, at, len(data))
    return name, values


def recv_exact(sock, n):
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


class Message(dict):
    def __init__(self, name, seq, values):
        super().__init__(values)
        self.name, self.seq = name, seq

    def __repr__(self):
        return f"{self.name}#{self.seq}{dict(self)}"


class Channel:
    """Blocking; messages that nobody waits for yet are kept."""

    def __init__(self, sock, timeout=20):
        self.sock = sock
        sock.settimeout(timeout)
        self.kept = []
        self.seq = 0

    def send(self, message, seq=0, /, **values):
        self.sock.sendall(encode(message, seq, **values))

    def request(self, message, /, **values):
        self.seq += 1
        self.send(message, self.seq, **values)
        return self.seq

    def recv(self):
        length, number, _fds, seq = struct.unpack("<IHHI", recv_exact(self.sock, 12))
        name, values = decode(number, recv_exact(self.sock, length - 12))
        return Message(name, seq, values)

    def wait(self, *names, seq=None, match=None):
        def fits(m):
            return (
                m.name in names
                and (seq is None or m.seq == seq)
                and (match is None or all(m[k] == v for k, v in match.items()))
            )

        for m in self.kept:
            if fits(m):
                self.kept.remove(m)
                return m
        while True:
            m = self.recv()
            if fits(m):
                return m
            self.kept.append(m)

    def close(self):
        self.sock.close()


class Session:
    """One client of a session; output is read until its end by finish()."""

    def __init__(self, connect, created, flags):
        self.id, self.flags, self.streams = created["session"], flags, {}
        self.rest = b""
        for stream in range(5):
            if created["streams"] & 1 << stream:
                self.streams[stream] = connect(created["port"])
                self.streams[stream].sendall(bytes([stream]))
                self.streams[stream].settimeout(60)
        self.control = Channel(self.streams[CONTROL], 60)

    def write(self, data):
        self.streams.get(PTY, self.streams.get(STDIN)).sendall(data)

    def read(self, n=65536):
        return self.streams.get(PTY, self.streams.get(STDOUT)).recv(n)

    def read_until(self, mark, timeout=20):
        """Returns what came, with the mark; what follows is kept for the next call."""
        end = time.monotonic() + timeout
        while mark not in self.rest:
            assert time.monotonic() < end, f"no {mark!r} in {self.rest!r}"
            piece = self.read()
            assert piece, f"end before {mark!r}: {self.rest!r}"
            self.rest += piece
        out, _, self.rest = self.rest.partition(mark)
        return out + mark

    def close_stdin(self):
        self.streams[STDIN].shutdown(socket.SHUT_WR)

    def drain(self, stream):
        out = b""
        while piece := self.streams[stream].recv(1 << 20):
            out += piece
        return out

    def finish(self):
        out = self.rest + self.drain(PTY if self.flags & TTY_STDOUT else STDOUT)
        err = b"" if self.flags & TTY_STDERR else self.drain(STDERR)
        status = self.control.wait("EXIT_STATUS")["status"]
        self.close()
        return out, err, status

    def close(self):
        for s in self.streams.values():
            s.close()


class Distro:
    def __init__(self, channel, instance, connect):
        self.channel, self.instance, self.connect = channel, instance, connect
        self.warnings, self.sessions = [], 0

    def configure(self, name="Test", hostname="testhost", **more):
        self.channel.send("HELLO", version=1, role=ROLE_SERVICE, release="test")
        self.channel.send("DISTRO_CONFIG", name=name, hostname=hostname, **more)
        self.ready = self.channel.wait("DISTRO_READY")
        self.warnings = [m["text"] for m in self.channel.kept if m.name == "WARNING"]
        return self.ready

    def create(self, argv=(), user="", cwd="", env=(), shell=None, flags=0, rows=24, cols=80, uid=0):
        if shell is None:
            shell = SHELL_STANDARD if argv else SHELL_INTERACTIVE
        if isinstance(argv, str):
            argv = [argv]
        self.sessions += 1
        seq = self.channel.request(
            "CREATE_SESSION", session=self.sessions, user=user, cwd=cwd, argv=list(argv),
            env=list(env), shell=shell, flags=flags, rows=rows, cols=cols, default_uid=uid)
        return self.channel.wait("SESSION_CREATED", "RESULT", seq=seq)

    def start(self, argv=(), flags=0, **more):
        created = self.create(argv, flags=flags, **more)
        assert created.name == "SESSION_CREATED", created
        return Session(self.connect, created, flags)

    def run(self, argv, stdin=b"", **more):
        s = self.start(argv, **more)
        if STDIN in s.streams:
            try:
                s.write(stdin)
                s.close_stdin()
            except BrokenPipeError:  # it does not read, and is gone already
                pass
        return s.finish()


class Twin:
    """A distribution's init in namespaces of this machine, reached over UNIX sockets."""

    def __init__(self, program, directory):
        self.dir = directory
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(f"{directory}/init")
            s.listen(8)
            s.settimeout(10)
            env = dict(os.environ, LXSS_TEST_DIR=directory, ASAN_OPTIONS="detect_leaks=0:abort_on_error=1")
            self.process = subprocess.Popen([program], env=env, stdin=subprocess.DEVNULL)
            try:
                channel = Channel(s.accept()[0])
            except TimeoutError:
                raise OSError(f"the twin did not connect, exit status {self.process.poll()}")
        channel.hello = channel.wait("HELLO")
        self.distro = Distro(channel, 1, self.connect)

    def connect(self, port):
        s = socket.socket(socket.AF_UNIX)
        s.connect(f"{self.dir}/port-{port}")
        return s

    def stop(self):
        self.distro.channel.send("STOP")
        return self.process.wait(10)

    def kill(self):
        self.process.kill()
        self.process.wait()


class VM:
    """A User-Mode-Linux guest with a relay; every guest connection becomes a channel."""

    def __init__(self, directory, kernel, initramfs, relay, disks, memory="1G", cpus=2, extra=(), swap=None):
        self.dir = directory
        os.makedirs(directory, exist_ok=True)
        for name in ("vhost", "connect"):
            if os.path.exists(f"{directory}/{name}"):
                os.unlink(f"{directory}/{name}")
        vhost, connect = self.listen("vhost"), self.listen("connect")
        self.control, theirs = socket.socketpair()
        fds = [vhost.fileno(), connect.fileno(), theirs.fileno()]
        self.relay = subprocess.Popen(
            [relay, "--vhost-fd", str(fds[0]), "--connect-fd", str(fds[1]), "--control-fd", str(fds[2])],
            pass_fds=fds)
        for s in (vhost, connect, theirs):
            s.close()
        self.control.settimeout(30)
        self.log = open(f"{directory}/console.log", "wb")
        self.control.sendall(encode("HELLO", version=1, role=ROLE_SERVICE, release="test"))
        ubd = [f"ubd{i}={d}" for i, d in enumerate(disks)]
        self.start_time = time.monotonic()
        self.kernel = subprocess.Popen(
            [kernel, f"mem={memory}", f"ncpus={cpus}", f"initrd={initramfs}", "seccomp=on", f"uml_dir={directory}/",
             "umid=uml", "con=null", "con0=null,fd:1", "noreboot", "panic=-1", "WSL_ROOT_INIT=1",
             f"virtio_uml.device={directory}/vhost:19", *ubd, *extra],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.pending = {}
        try:
            self.init = self.guest(ROLE_MINI_INIT)
        except BaseException:
            self.kill()
            raise
        self.hello_time = time.monotonic()
        self.init.send("HELLO", version=1, role=ROLE_SERVICE, release="test")
        self.init.send("VM_CONFIG", hostname="vmhost", timezone="UTC", swap_device=swap or "", release="test")
        self.instances = 0

    def listen(self, name):
        s = socket.socket(socket.AF_UNIX)
        s.bind(f"{self.dir}/{name}")
        s.listen(128)
        return s

    def accept(self):
        head, fds, _flags, _addr = socket.recv_fds(self.control, 12, 1)
        length, number, _n, _seq = struct.unpack("<IHHI", head)
        name, values = decode(number, recv_exact(self.control, length - 12))
        if name == "HELLO":
            return self.accept()
        assert name == "RELAY_ACCEPT" and values["number"] == 50000, (name, values)
        return Channel(socket.socket(fileno=fds[0]))

    def guest(self, role, ident=0):
        while (role, ident) not in self.pending:
            c = self.accept()
            try:
                c.hello = c.wait("HELLO")
            except EOFError:  # of a launch that failed
                c.close()
                continue
            self.pending[(c.hello["role"], c.hello["id"])] = c
        return self.pending.pop((role, ident))

    def connect(self, port):
        s = socket.socket(socket.AF_UNIX)
        s.connect(f"{self.dir}/connect")
        s.sendall(struct.pack("<II", RELAY_MAGIC, port))
        error = struct.unpack("<I", recv_exact(s, 4))[0]
        if error:
            raise OSError(error, os.strerror(error))
        return s

    def launch_raw(self, device="/dev/ubda", timeout=5000):
        self.instances += 1
        seq = self.init.request("LAUNCH_DISTRO", instance=self.instances, device=device,
                                hostname="vmhost", device_timeout_ms=timeout)
        return self.init.wait("RESULT", seq=seq)

    def launch(self, device="/dev/ubda", **config):
        result = self.launch_raw(device)
        assert result["errnum"] == 0, result
        d = Distro(self.guest(ROLE_DISTRO_INIT, self.instances), self.instances, self.connect)
        d.configure(**config)
        return d

    def stop(self, distro):
        distro.channel.send("STOP")
        return self.init.wait("DISTRO_EXITED", match={"instance": distro.instance})

    def power_off(self):
        seq = self.init.request("POWER_OFF")
        try:
            self.init.wait("RESULT", seq=seq)
        except (EOFError, OSError):
            pass
        self.kernel.wait(20)
        self.relay.wait(20)

    def kill(self):
        for p in (self.kernel, self.relay):
            if p.poll() is None:
                p.kill()
            p.wait()
        self.log.close()
        self.control.close()
