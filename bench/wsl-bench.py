#!/usr/bin/env python3
"""wsl-bench.py [--quick] --rootfs DIR --out FILE: called by bench/run.sh in a sandbox of its own"""
import argparse
import json
import os
import re
import select
import shutil
import statistics
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true")
parser.add_argument("--rootfs", required=True)
parser.add_argument("--out", required=True)
options = parser.parse_args()
WSL, SANDBOX = os.environ["WSL"], os.environ["SANDBOX"]
SMALL = options.rootfs + "/small.tar"
DEBIAN = options.rootfs + "/debian.tar"
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if not os.path.exists(DEBIAN):
    DEBIAN = None
N = 3 if options.quick else 7
results = {}


def run(*argv, **more):
    return subprocess.run(argv, check=True, stdin=more.pop("stdin", subprocess.DEVNULL), **more)


def quiet(*argv, **more):
    return run(*argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)


def timed(f, *args):
    t = time.perf_counter()
    f(*args)
    return time.perf_counter() - t


def median(f, n=None, before=None):
    times = []
    for _ in range(n or N):
        if before:
            before()
        times.append(timed(f))
    return statistics.median(times)


def record(name, ours, unit="ms", native=None, note=""):
    results[name] = {"value": ours, "unit": unit}
    if native is not None:
        results[name].update(native=native, ratio=ours / native if native else None)
    if note:
        results[name]["note"] = note
    beside = f"{native:12.2f} {ours / native:8.2f}" if native else " " * 21
    print(f"{name:34} {ours:12.2f} {unit:5}{beside}  {note}", flush=True)


def shutdown():
    quiet(WSL, "--shutdown")


def start_times():
    """Cold: no service, no machine. Then the machine without the distribution. Then everything warm."""
    def stop_all():
        shutdown()
        subprocess.run([TOP + "/tests/lib/leftovers", "--kill", SANDBOX], stdout=subprocess.DEVNULL)

    name = "debian" if DEBIAN else "small"
    quiet(WSL, "-d", name, "--", "true")
    words, times = {}, []
    for _ in range(N):
        stop_all()
        t = time.perf_counter()
        p = run(WSL, "-d", name, "-e", "true", env={**os.environ, "WSL_TIMING": "1"}, stderr=subprocess.PIPE, text=True)
        times.append(time.perf_counter() - t)
        for word, ms in re.findall(r"(?:timing: |, )([a-z_-]+) ([0-9.]+) ms", p.stderr):
            words.setdefault(word, []).append(float(ms))
    record("cold start", statistics.median(times) * 1000, note=name)
    for word, values in words.items():
        if word != "total":
            record("  of that " + word, statistics.median(values))
    record("machine runs, distribution stopped",
           median(lambda: quiet(WSL, "-d", name, "-e", "true"), before=lambda: quiet(WSL, "-t", name)) * 1000)
    native = median(lambda: quiet("/bin/true"), 30) * 1000
    record("warm wsl -- true", median(lambda: quiet(WSL, "-d", name, "-e", "true"), 30) * 1000, native=native)

    def hundred(command):
        children = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for _ in range(100)]
        assert all(p.wait() == 0 for p in children)
    record("100 x wsl -- true at once", median(lambda: hundred([WSL, "-d", name, "-e", "true"]), 3) * 1000,
           native=median(lambda: hundred(["/bin/true"]), 3) * 1000)


def streams():
    size = 256 if options.quick else 1024
    command = f"head -c {size}M /dev/zero | {{}} >/dev/null"

    def through(program):
        return lambda: run("sh", "-c", command.format(program))
    ours = median(through(f"{WSL} -d small -e cat"), 3)
    native = median(through("cat"), 3)
    record(f"wsl -- cat, {size} MiB", size / ours, "MiB/s", size / native)
    ours = median(lambda: run("sh", "-c", f"{WSL} -d small -e dd if=/dev/zero bs=1M count={size} >/dev/null 2>&1"), 3)
    record("guest to host", size / ours, "MiB/s")


def echo_latency():
    """Time from a typed byte to its echo: a terminal's line discipline here, and there."""
    def measure(argv, n=300):
        master, slave = os.openpty()
        p = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        seen = b""
        while b"ready" not in seen:
            seen += os.read(master, 1000)
        time.sleep(0.2)
        while select.select([master], [], [], 0.1)[0]:
            os.read(master, 1000)
        times = []
        for _ in range(n):
            t = time.perf_counter()
            os.write(master, b"x")
            os.read(master, 100)
            times.append(time.perf_counter() - t)
            time.sleep(0.002)
        p.kill()
        p.wait()
        os.close(master)
        return statistics.median(times) * 1000
    script = "stty raw -echo; echo ready; exec cat"
    native = measure(["sh", "-c", script])
    record("echo of a key", measure([WSL, "-d", "small", "-e", "sh", "-c", script]), native=native)


def import_export():
    if not DEBIAN:
        return
    tree, out = SANDBOX + "/tree", SANDBOX + "/out.tar"

    def clear():
        shutil.rmtree(tree, ignore_errors=True)
        os.mkdir(tree)

    def clear_import():
        subprocess.run([WSL, "--unregister", "again"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    n = 3
    untar = median(lambda: (quiet("tar", "xpf", DEBIAN, "-C", tree, "--numeric-owner"), quiet("sync", "-f", tree)), n, clear)
    ours = median(lambda: quiet(WSL, "--import", "again", SANDBOX + "/again", DEBIAN), n, clear_import)
    record("import of Debian", ours * 1000, native=untar * 1000, note="beside tar xf; sync")
    pack = median(lambda: quiet("tar", "cf", out, "-C", tree, "."), n)
    ours = median(lambda: quiet(WSL, "--export", "again", out), n)
    record("export of Debian", ours * 1000, native=pack * 1000, note="beside tar cf")
    clear_import()
    os.unlink(out)
    shutil.rmtree(tree)


def pss(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M)[1])
    except (OSError, TypeError):
        return 0


def memory():
    by_name = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/environ", "rb") as f:
                ours = SANDBOX.encode() in f.read() or SANDBOX in os.readlink(f"/proc/{entry}/cwd")
            name = os.path.basename(os.readlink(f"/proc/{entry}/exe"))
        except OSError:
            continue
        if ours and name in ("linux", "wslservice", "wslrelay", "wslresolver"):
            by_name[name] = by_name.get(name, 0) + pss(entry)
    return by_name


def idle_memory():
    record("memory after that work", sum(memory().values()) / 1024, "MiB", note="the guest's page cache with it")
    shutdown()
    quiet(WSL, "-d", "debian" if DEBIAN else "small", "-e", "true")
    time.sleep(3)
    by_name = memory()
    for name, kib in sorted(by_name.items()):
        record("idle memory of " + name, kib / 1024, "MiB")
    record("idle memory, all", sum(by_name.values()) / 1024, "MiB")


def kernel_table():
    if options.quick or not DEBIAN:
        return
    script = open(TOP + "/bench/kernel-bench.sh").read()

    def table(argv):
        p = subprocess.run(argv, input=script, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=900)
        rows = re.findall(r"^(\S+)\s+([0-9.]+)\s*$", p.stdout, re.M)
        return {name: float(seconds) for name, seconds in rows}
    native = table(["bash", "-s", "--", "-n", "3"])
    guest = table([WSL, "-d", "debian", "-e", "bash", "-s", "--", "-n", "3"])
    for name in native:
        if name in guest and native[name]:
            record("kernel: " + name, guest[name] * 1000, native=native[name] * 1000)


print(f"{'':34} {'lxss':>12} {'':5}{'native':>12} {'ratio':>8}")
quiet(WSL, "--import", "small", SANDBOX + "/small", SMALL)
if DEBIAN:
    quiet(WSL, "--import", "debian", SANDBOX + "/debian", DEBIAN)
for part in (start_times, streams, echo_latency, import_export, idle_memory, kernel_table):
    try:
        part()
    except (subprocess.SubprocessError, OSError, AssertionError) as e:
        print(f"{part.__name__} failed: {e}", file=sys.stderr)
        results[part.__name__] = {"failed": str(e)}
shutdown()
os.makedirs(os.path.dirname(options.out), exist_ok=True)
with open(options.out, "w") as f:
    json.dump({"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cpus": os.cpu_count(),
               "host": os.uname().release, "results": results}, f, indent=1)
sys.exit(any("failed" in r for r in results.values()))
