#!/usr/bin/env python3
"""Writes a newc cpio archive with /init, /dev and /dev/console: mkinitramfs.py INIT OUTPUT

Same input, same bytes: no times, no owners, fixed inode numbers.
"""
import sys

S_IFDIR, S_IFREG, S_IFCHR = 0o040000, 0o100000, 0o020000


def entry(ino, name, mode, data=b"", rdev=(0, 0)):
    nlink = 2 if mode & S_IFDIR == S_IFDIR else 1
    fields = (ino, mode, 0, 0, nlink, 0, len(data), 0, 0, *rdev, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
    return pad(head) + pad(data)


def pad(data):
    return data + b"\0" * (-len(data) % 4)


def main():
    source, target = sys.argv[1:]
    with open(source, "rb") as f:
        init = f.read()
    archive = (
        entry(1, "dev", S_IFDIR | 0o755)
        + entry(2, "dev/console", S_IFCHR | 0o600, rdev=(5, 1))
        + entry(3, "init", S_IFREG | 0o755, init)
        + entry(0, "TRAILER!!!", 0)
    )
    with open(target, "wb") as f:
        f.write(archive)


main()
