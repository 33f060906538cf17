#!/usr/bin/env python3
"""small.py DIR PROBE: writes small.tar and oobe.tar"""
import io
import subprocess
import sys
import tarfile

out, probe = sys.argv[1:]
GROUPS = "".join(f"group{n}:x:{2000 + n}:user\n" for n in range(40))
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:User:/home/user:/bin/sh\n"
                  "nobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\nuser:x:1000:\nnogroup:x:65534:\n" + GROUPS,
    "etc/shadow": "root:*:::::::\nuser:*:::::::\n",
    "etc/os-release": 'ID=small\nVERSION_ID="1.0"\nPRETTY_NAME="Small"\n',
    "etc/profile": "export PROFILE_READ=yes\nPS1='box$ '\n",
    "usr/share/zoneinfo/Europe/Oslo": "TZif2\n",
}
DIRS = ["bin", "dev", "etc", "home", "home/user", "lib", "mnt", "proc", "root", "run", "sbin", "sys", "tmp", "usr",
        "usr/bin", "usr/sbin", "usr/share", "usr/share/zoneinfo", "usr/share/zoneinfo/Europe", "var", "var/tmp"]


class Root:
    def __init__(self, path):
        self.tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)

    def add(self, name, data=None, mode=0o644, uid=0, **more):
        info = tarfile.TarInfo(name)
        info.mode, info.uid, info.gid, info.mtime = mode, uid, uid, 1700000000
        for key, value in more.items():
            setattr(info, key, value)
        if data is not None:
            data = data.encode() if isinstance(data, str) else data
            info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data) if data is not None else None)

    def base(self):
        for name in DIRS:
            mode = {"root": 0o700, "tmp": 0o1777, "var/tmp": 0o1777}.get(name, 0o755)
            self.add(name, mode=mode, uid=1000 if name == "home/user" else 0, type=tarfile.DIRTYPE)
        for name, text in FILES.items():
            self.add(name, text, mode=0o640 if name == "etc/shadow" else 0o644)
        with open("/bin/busybox", "rb") as f:
            self.add("bin/busybox", f.read(), mode=0o755)
        with open(probe, "rb") as f:
            self.add("usr/bin/probe", f.read(), mode=0o755)
        for applet in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
            if applet != "busybox" and applet not in ("init", "linuxrc"):
                self.add("bin/" + applet, type=tarfile.SYMTYPE, linkname="busybox", mode=0o777)


small = Root(f"{out}/small.tar")
small.base()
small.tar.close()

oobe = Root(f"{out}/oobe.tar")
oobe.base()
oobe.add("etc/wsl-distribution.conf",
         "[oobe]\ncommand = /etc/oobe.sh\ndefaultUid = 1000\ndefaultName = Oobe\n")
oobe.add("etc/oobe.sh", "#!/bin/sh\necho \"setting up as $(id -u)\"\n[ ! -e /etc/oobe-fails ] || exit 3\n"
         "echo done >>/etc/oobe-ran\n", mode=0o755)
oobe.tar.close()
