#!/usr/bin/env python3
"""The guest programs in a real VM: boots the UML kernel once per class and plays the service.

Needs  LXSS_KERNEL     the linux program
       LXSS_INITRAMFS  initramfs.cpio
       LXSS_RELAY      wslrelay
       LXSS_ROOTFS     a tar archive of a Debian root file system
Without them the tests are skipped; with WSL_TESTS_MUST_RUN=1 that is a failure.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peer  # noqa: E402
from peer import STDOUT, TTY_ALL  # noqa: E402
from sessions import SessionTests  # noqa: E402

ENV = {k: os.environ.get("LXSS_" + k) for k in ("KERNEL", "INITRAMFS", "RELAY", "ROOTFS")}
work = None
base_image = None


def setUpModule():
    global work, base_image
    work = tempfile.mkdtemp(prefix="lxss-guest-")
    tree = os.path.join(work, "tree")
    os.mkdir(tree)
    subprocess.run(["tar", "-xf", ENV["ROOTFS"], "-C", tree, "--exclude=./dev/*"], check=True)
    with open(f"{tree}/etc/passwd", "a") as f:
        f.write("user:x:61000:61000:User,,,:/home/user:/bin/bash\n")
        f.write("nohome:x:61001:61001::/home/none:/bin/sh\n")
    with open(f"{tree}/etc/group", "a") as f:
        f.write("user:x:61000:\n" + "".join(f"g{i}:x:{2000 + i}:root,user\n" for i in range(40)))
    os.makedirs(f"{tree}/home/user/sub")
    os.chown(f"{tree}/home/user", 61000, 61000)
    base_image = os.path.join(work, "base.img")
    make_image(tree, base_image)


def tearDownModule():
    if work:
        shutil.rmtree(work)


def make_image(tree, image):
    with open(image, "wb") as f:
        f.truncate(2 << 30)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", tree, image], check=True)


def write_into(image, path, text):
    """Puts a file into an unmounted image."""
    source = os.path.join(work, "file")
    with open(source, "w") as f:
        f.write(text)
    script = f"rm {path}\nwrite {source} {path}\n"
    subprocess.run(["debugfs", "-w", "-f", "-", image], input=script, text=True, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class VMTest(unittest.TestCase):
    files = {}
    disks = 1

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="vm-", dir=work)
        cls.images = [os.path.join(cls.dir, f"disk{i}.img") for i in range(cls.disks)]
        for image in cls.images:
            subprocess.run(["cp", "--sparse=always", base_image, image], check=True)
            for path, text in cls.files.items():
                write_into(image, path, text)
        cls.boot()

    @classmethod
    def boot(cls, **more):
        cls.vm = peer.VM(cls.dir, ENV["KERNEL"], ENV["INITRAMFS"], ENV["RELAY"], cls.images, **more)
        cls.addClassCleanup(cls.vm.kill)

    @classmethod
    def tearDownClass(cls):
        cls.vm.power_off()
        for image in cls.images:
            check = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True)
            assert check.returncode == 0, check.stdout


class SessionTest(SessionTests, VMTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.d = cls.vm.launch(name="Test", hostname="test host.example")

    def test_ready_tells_the_flavor(self):
        self.assertEqual(self.d.ready["flavor"], "debian")
        self.assertEqual(self.d.warnings, [])

    def test_terminal_limit(self):
        self.out("echo 0 > /proc/sys/kernel/pty/max")
        refused = self.d.create("true", flags=TTY_ALL)
        self.out("echo 4096 > /proc/sys/kernel/pty/max")
        self.assertEqual(refused.name, "RESULT")
        self.assertEqual(self.d.run("true", flags=TTY_ALL)[2], 0)

    # files

    def test_files_of_init(self):
        self.assertEqual(self.out("hostname; cat /etc/hostname"), b"testhost.example\ntesthost.example\n")
        self.assertIn(b"\n127.0.1.1\ttesthost.example.localdomain\ttesthost.example\n", self.out("cat /etc/hosts"))
        self.assertEqual(self.out("stat -c %a /init; grep ' /init ' /proc/self/mountinfo | grep -c ' ro,'"),
                         b"755\n1\n")
        out = self.out("stat -c %a /tmp /dev/fuse /dev/net/tun; readlink /dev/fd; ls /dev/shm /mnt/wsl")
        self.assertTrue(out.startswith(b"1777\n666\n666\n/proc/self/fd\n"), out)

    def test_first_run_without_a_command(self):
        s = self.d.start([], flags=TTY_ALL | peer.RUN_OOBE)
        self.assertEqual(self.d.channel.wait("OOBE_DONE")["default_uid"], 0xFFFFFFFF)
        s.write(b"exit 5\n")
        self.assertEqual(s.finish()[2] >> 8, 5)

    def test_control_groups(self):
        out = self.out("cat /proc/self/cgroup; mkdir /sys/fs/cgroup/x; cat /sys/fs/cgroup/x/cgroup.controllers;"
                       "rmdir /sys/fs/cgroup/x")
        self.assertEqual(out, b"0::/init\ncpu io memory pids\n")

    def test_limits(self):
        self.assertEqual(self.out("ulimit -Sn; ulimit -Hn; ulimit -l; umask"), b"10240\n1048576\n65536\n0022\n")


class SettingsTest(VMTest):
    files = {
        "/etc/wsl.conf": "[user]\ndefault=user\n[filesystem]\numask=077\n[network]\nhostname=-my_box.\n"
                         "generateHosts=false\n[boot]\ncommand=id -u >/booted\nunknown=1\n"
                         "[automount]\nroot=/media\n",
        "/etc/hosts": "mine\n",
        "/etc/fstab": "# comment\ntmpfs /srv tmpfs defaults 0 0\n",
        "/etc/default/locale": "LANG=C.UTF-8\nLANG='de_DE.UTF-8'\n",
    }

    def test_settings(self):
        d = self.vm.launch(hostname="host", timezone="Europe/Berlin")
        self.assertEqual(d.warnings, ["Unknown key 'boot.unknown' in /etc/wsl.conf:10"])
        out, _, _ = d.run("id -un; umask; hostname; cat /etc/hosts; stat -fc %T /srv /media/wsl; echo $LANG")
        self.assertEqual(out, b"user\n0077\nmybox\nmine\ntmpfs\ntmpfs\nde_DE.UTF-8\n")
        out, _, _ = d.run("until test -s /booted; do sleep 0.05; done; cat /booted; cat /etc/timezone; readlink /etc/localtime",
                          user="root")
        self.assertEqual(out, b"0\nEurope/Berlin\n/usr/share/zoneinfo/Europe/Berlin\n")
        d.channel.send("TIMEZONE", text="Asia/Tokyo")
        d.channel.send("TIMEZONE", text="../../etc/passwd")
        d.channel.send("TIMEZONE", text="No/Where")
        self.assertEqual(d.run("readlink /etc/localtime")[0], b"/usr/share/zoneinfo/Asia/Tokyo\n")
        self.assertEqual(self.vm.stop(d)["status"], 0)


class FirstRunTest(VMTest):
    files = {"/etc/wsl-distribution.conf": "[oobe]\ncommand = /oobe.sh\ndefaultUid = 61000\n",
             "/oobe.sh": "#!/bin/sh\nid -u; read answer; test \"$answer\" = yes\n"}

    def test_first_run(self):
        d = self.vm.launch()
        d.run("chmod 755 /oobe.sh")
        s = d.start([], flags=TTY_ALL | peer.RUN_OOBE)
        s.write(b"no\n")
        out, _, status = s.finish()
        self.assertIn(b'OOBE command "/oobe.sh" failed, exiting', out)
        self.assertEqual(status >> 8, 1)
        s = d.start([], flags=TTY_ALL | peer.RUN_OOBE)
        s.read_until(b"0\r\n")
        s.write(b"yes\n")
        done = d.channel.wait("OOBE_DONE")
        self.assertEqual((done["session"], done["default_uid"]), (s.id, 61000))
        s.write(b"id -un; tty >/dev/null && echo tty; exit 4\n")
        out, _, status = s.finish()
        self.assertIn(b"user\r\ntty\r\n", out)
        self.assertEqual(status >> 8, 4)


class LifeTest(VMTest):
    disks = 3

    def test_two_instances_are_apart(self):
        a = self.vm.launch("/dev/ubda", name="A", hostname="a")
        b = self.vm.launch("/dev/ubdb", name="B", hostname="b")
        a.run("echo shared >/mnt/wsl/file; mkdir /mnt/wsl/m; mount -t tmpfs x /mnt/wsl/m; touch /mnt/wsl/m/y; touch /only-a")
        self.assertEqual(b.run("cat /mnt/wsl/file; ls /mnt/wsl/m; ls /only-a 2>/dev/null; hostname")[0],
                         b"shared\ny\nb\n")
        self.assertEqual(a.run("ps ax | grep -c init")[0] > b"0", True)
        b.run("mkdir -p /mnt/wsl/root-of-b; mount --bind / /mnt/wsl/root-of-b")
        self.assertEqual(self.vm.stop(b)["status"], 0)
        self.assertEqual(a.run("ls /mnt/wsl/root-of-b; ls -d /sys/fs/cgroup")[0], b"/sys/fs/cgroup\n")
        self.vm.stop(a)

    def test_stop_is_quick_and_thorough(self):
        d = self.vm.launch("/dev/ubda")
        shell = d.start([], flags=TTY_ALL)
        stopped = d.start("kill -STOP $$")
        job = d.start("trap '' TERM HUP; echo ready; while :; do sleep 0.1; done")
        job.read_until(b"ready")
        d.run("echo data >/file")
        started = time.monotonic()
        self.assertEqual(self.vm.stop(d)["status"], 0)
        self.assertLess(time.monotonic() - started, 3)
        for s in (shell, job, stopped):
            s.close()
        d = self.vm.launch("/dev/ubda")
        self.assertEqual(d.run("cat /file")[0], b"data\n")
        d.start([], flags=TTY_ALL)
        started = time.monotonic()
        self.vm.stop(d)
        self.assertLess(time.monotonic() - started, 0.5)

    def test_forced_stop(self):
        d = self.vm.launch("/dev/ubda")
        d.start("trap '' TERM; sleep 1000")
        seq = self.vm.init.request("STOP_DISTRO", number=d.instance)
        exited = self.vm.init.wait("DISTRO_EXITED", match={"instance": d.instance})
        self.assertEqual(exited["status"], 9)
        self.assertEqual(self.vm.init.wait("RESULT", seq=seq)["errnum"], 0)
        seq = self.vm.init.request("STOP_DISTRO", number=d.instance)
        self.assertEqual(self.vm.init.wait("RESULT", seq=seq)["errnum"], 0)

    def test_reboot_inside(self):
        d = self.vm.launch("/dev/ubda")
        s = d.start(["/usr/bin/perl", "-e", "syscall(169, 0xfee1dead, 672274793, 0x1234567, 0)"],
                    shell=peer.SHELL_NONE)
        self.vm.init.wait("DISTRO_EXITED", match={"instance": d.instance})
        s.close()

    def test_lost_channel_ends_the_instance(self):
        d = self.vm.launch("/dev/ubda")
        d.channel.close()
        self.assertEqual(self.vm.init.wait("DISTRO_EXITED", match={"instance": d.instance})["status"], 0)

    def test_freeze(self):
        d = self.vm.launch("/dev/ubda")
        seq = self.vm.init.request("FREEZE_DISTRO", number=d.instance)
        self.assertEqual(self.vm.init.wait("RESULT", seq=seq)["errnum"], 0)
        s = d.start("echo x >/frozen; echo written")
        time.sleep(0.3)
        s.streams[STDOUT].setblocking(False)
        with self.assertRaises(BlockingIOError):
            s.read()
        s.streams[STDOUT].setblocking(True)
        seq = self.vm.init.request("THAW_DISTRO", number=d.instance)
        self.assertEqual(self.vm.init.wait("RESULT", seq=seq)["errnum"], 0)
        self.assertEqual(s.finish()[0], b"written\n")
        self.vm.init.request("FREEZE_DISTRO", number=d.instance)
        self.vm.init.request("STOP_DISTRO", number=d.instance)
        self.vm.init.wait("DISTRO_EXITED", match={"instance": d.instance})

    def test_odd_roots(self):
        write_into(self.images[2], "/etc/os-release", 'ID="a b"\n')
        subprocess.run(["debugfs", "-w", "-R", "symlink /init sbin/init", self.images[2]], check=True,
                       stderr=subprocess.DEVNULL)
        d = self.vm.launch("/dev/ubdc")
        self.assertEqual(d.ready["flavor"], "")
        self.assertEqual(d.run("stat -c %F /init")[0], b"regular file\n")
        self.vm.stop(d)

    def test_full_disk_gets_a_layer_in_memory(self):
        d = self.vm.launch("/dev/ubdc")
        d.run("i=0; for s in 1G 100M 10M 1M 64K 4K; do while fallocate -l $s /fill$i; do i=$((i+1)); done; done")
        self.vm.stop(d)
        d = self.vm.launch("/dev/ubdc")
        self.assertIn("An error occurred mounting the distribution disk, it was mounted read-only as a fallback.",
                      d.warnings)
        self.assertEqual(d.run("echo x >/new && cat /new && ls /fill0")[0], b"x\n/fill0\n")
        self.vm.stop(d)
        subprocess.run(["cp", "--sparse=always", base_image, self.images[2]], check=True)

    def test_launch_failures(self):
        result = self.vm.launch_raw("/dev/ubdx", timeout=100)
        self.assertRegex(result["text"], "^The distribution failed to start. Error code: 110, failure step: WaitDisk")
        with open(self.images[2], "r+b") as f:
            f.write(b"\0" * 8192)
        result = self.vm.launch_raw("/dev/ubdc")
        self.assertRegex(result["text"], "damaged")
        subprocess.run(["cp", "--sparse=always", base_image, self.images[2]], check=True)

    def test_unknown_messages(self):
        self.vm.init.send("LIST", 77)
        self.assertNotEqual(self.vm.init.wait("RESULT", seq=77)["errnum"], 0)
        for _ in range(3):
            d = self.vm.launch("/dev/ubdb")
            self.vm.stop(d)


class PowerTest(VMTest):
    @classmethod
    def tearDownClass(cls):
        pass

    def check(self):
        self.vm.kernel.wait(15)
        check = subprocess.run(["e2fsck", "-fn", self.images[0]], capture_output=True, text=True)
        self.assertEqual(check.returncode, 0, check.stdout)

    def test_power_off_with_sessions(self):
        d = self.vm.launch()
        d.run("echo data >/file")
        d.start("trap '' TERM; while :; do sleep 1; done")
        self.vm.power_off()
        self.check()

    def test_service_dies(self):
        self.boot()
        d = self.vm.launch()
        d.run("echo data >/file")
        s = d.start([], flags=TTY_ALL)
        d.channel.close()
        self.vm.init.close()
        self.check()
        s.close()


class SwapTest(VMTest):
    disks = 1

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="vm-", dir=work)
        cls.images = [os.path.join(cls.dir, "disk.img")]
        subprocess.run(["cp", "--sparse=always", base_image, cls.images[0]], check=True)
        swap = os.path.join(cls.dir, "swap")
        with open(swap, "wb") as f:
            f.truncate(256 << 20)
        images = cls.images
        cls.images = images + [swap]
        cls.boot(swap="/dev/ubdb")
        cls.images = images

    def test_swap_is_on(self):
        d = self.vm.launch()
        for _ in range(50):
            out = d.run("cat /proc/swaps")[0]
            if b"/dev/ubdb" in out:
                return
            time.sleep(0.1)
        self.fail(out)


if __name__ == "__main__":
    missing = ["LXSS_" + k for k, v in ENV.items() if not v]
    if missing:
        print("not set:", *missing, file=sys.stderr)
        sys.exit(1 if os.environ.get("WSL_TESTS_MUST_RUN") == "1" else 77)
    unittest.main(verbosity=2, warnings="ignore")
