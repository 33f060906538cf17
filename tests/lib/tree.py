#!/usr/bin/env python3
"""tree.py make BASE OUT        BASE plus a directory /t with everything an archive can carry
   tree.py list ARCHIVE [DIR]   what it holds below DIR, one normalised line per file, for diff
   tree.py hostile KIND BASE OUT  an archive that tries something"""
import base64
import hashlib
import io
import struct
import sys
import tarfile

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)  # cap_net_raw, permitted, effective
ACL = "user::rw-,user:1000:rwx,group::r--,mask::rwx,other::r--"
DEFAULT_ACL = "user::rwx,group::r-x,group:1000:rwx,mask::rwx,other::---"


def copy_base(base, out):
    source = tarfile.open(base)
    target = tarfile.open(out, "w", format=tarfile.PAX_FORMAT)
    for member in source:
        target.addfile(member, source.extractfile(member) if member.isreg() else None)
    return target


def add(tar, name, data=None, **more):
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = 0o644, 1600000000
    pax = more.pop("pax", None)
    for key, value in more.items():
        setattr(info, key, value)
    if pax:
        info.pax_headers = pax
    if data is not None:
        info.size = len(data)
    tar.addfile(info, io.BytesIO(data) if data is not None else None)


def make(base, out):
    tar = copy_base(base, out)
    add(tar, "t", type=tarfile.DIRTYPE, mode=0o755)
    add(tar, "t/empty", b"")
    add(tar, "t/small", b"content\n", uid=12345, gid=54321, mode=0o4751)
    add(tar, "t/big", bytes(range(256)) * 16384)
    add(tar, "t/ids", b"x", uid=4000000000, gid=3999999999)
    add(tar, "t/link", type=tarfile.SYMTYPE, linkname="small", mode=0o777)
    add(tar, "t/dangling", type=tarfile.SYMTYPE, linkname="/no/where/" + "x" * 200, mode=0o777)
    add(tar, "t/long-link", type=tarfile.SYMTYPE, linkname="y" * 1000, mode=0o777)
    add(tar, "t/hard", type=tarfile.LNKTYPE, linkname="t/small")
    add(tar, "t/hard2", type=tarfile.LNKTYPE, linkname="t/small")
    add(tar, "t/fifo", type=tarfile.FIFOTYPE, mode=0o600)
    add(tar, "t/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    add(tar, "t/disk", type=tarfile.BLKTYPE, devmajor=259, devminor=300, mode=0o660)
    add(tar, "t/caps", b"#!/bin/sh\n", mode=0o755,
        pax={"SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape")})
    add(tar, "t/xattrs", b"x", pax={"SCHILY.xattr.user.colour": "blue", "SCHILY.xattr.user.empty": "",
                                    "SCHILY.xattr.trusted.note": "n" * 3000})
    add(tar, "t/acl", b"x", mode=0o674, pax={"SCHILY.acl.access": ACL})
    add(tar, "t/acl-dir", type=tarfile.DIRTYPE, mode=0o750, pax={"SCHILY.acl.default": DEFAULT_ACL})
    add(tar, "t/sticky", type=tarfile.DIRTYPE, mode=0o1777)
    add(tar, "t/setgid", type=tarfile.DIRTYPE, mode=0o2775, gid=1000)
    add(tar, "t/nothing", b"secret", mode=0)
    add(tar, "t/" + "n" * 255, b"long name")
    add(tar, "t/sp ace\nline\ttab\\back", b"odd name")
    add(tar, "t/\u00e6\u00f8\u00e5-\U0001f427", b"unicode")
    add(tar, "t/raw-\udcff\udcfe", b"not utf-8")
    add(tar, "t/old", b"old", mtime=1)
    add(tar, "t/new", b"new", mtime=4102444800)
    add(tar, "t/fraction", b"f", mtime=1600000000, pax={"mtime": "1600000000.123456789"})
    deep = "t/deep"
    for n in range(60):
        add(tar, deep, type=tarfile.DIRTYPE, mode=0o755)
        deep += f"/directory-number-{n:03}"
    add(tar, "t/many", type=tarfile.DIRTYPE, mode=0o755)
    for n in range(3000):
        add(tar, f"t/many/file-with-a-longish-name-{n:05}", b"%d" % n)
    sparse(tar, "t/sparse")
    tar.close()


def sparse(tar, name):
    """1 GiB that holds two pieces of data, as GNU tar writes it (PAX 1.0)."""
    pieces = [(0, b"begin" + bytes(4091)), (512 << 20, b"middle" + bytes(4090)), (1 << 30, b"")]
    table = f"{len(pieces)}\n" + "".join(f"{at}\n{len(data)}\n" for at, data in pieces)
    head = table.encode().ljust(512, b"\0")
    add(tar, "t/GNUSparseFile.0/sparse", head + b"".join(data for _, data in pieces),
        pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name,
             "GNU.sparse.realsize": str(1 << 30)})


def acl(text):
    out = []
    for entry in text.replace("\n", ",").split(","):
        entry = entry.split("#")[0].strip()
        if not entry:
            continue
        words = entry.split(":")
        number = words[3] if len(words) > 3 else words[1]
        out.append(f"{words[0].removeprefix('default')[:1]}:{number}:{words[2]}")
    return ",".join(sorted(out))


def pax_words(member):
    words = {}
    for key, value in member.pax_headers.items():
        if key.startswith("SCHILY.xattr."):
            words[key[13:]] = value.encode("utf-8", "surrogateescape").hex()
        elif key.startswith("LIBARCHIVE.xattr."):
            words.setdefault(key[17:], base64.b64decode(value + "==").hex())
        elif key in ("SCHILY.acl.access", "SCHILY.acl.default"):
            words[key] = acl(value)
    words.pop("system.posix_acl_access", None)
    words.pop("system.posix_acl_default", None)
    return " ".join(f"{k}={v}" for k, v in sorted(words.items()))


def digest(tar, member):
    h = hashlib.sha256()
    f = tar.extractfile(member)
    while chunk := f.read(1 << 20):
        h.update(chunk)
    return h.hexdigest()[:16]


def listing(path, below):
    tar = tarfile.open(path, errorlevel=2)
    names, groups, lines = {}, {}, {}
    for m in tar:
        name = m.name.removeprefix("./").strip("/")
        if m.islnk():
            groups.setdefault(m.linkname.removeprefix("./"), []).append(name)
            continue
        kind = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.FIFOTYPE: "p", tarfile.CHRTYPE: "c",
                tarfile.BLKTYPE: "b"}.get(m.type, "f")
        mode = m.mode & 0o7777
        if "SCHILY.acl.access" in m.pax_headers:  # the group's bits are the mask's, whatever the header says
            mask = [e[3:] for e in acl(m.pax_headers["SCHILY.acl.access"]).split(",") if e.startswith("m:")][0].strip(":")
            mode = mode & ~0o070 | sum(bit << 3 for c, bit in zip("rwx", (4, 2, 1)) if c in mask)
        text = f"{kind} {mode:04o} {m.uid} {m.gid}"
        if kind == "f":
            text += f" {m.size} {digest(tar, m)}"
        if kind in "cb":
            text += f" {m.devmajor},{m.devminor}"
        if kind == "l":
            text = f"l {m.uid} {m.gid} -> {m.linkname}"
        if kind != "d":
            text += f" {float(m.pax_headers.get('mtime', m.mtime)):.6f}"
        lines[name] = f"{text} {pax_words(m)}".rstrip()
    for first, others in groups.items():
        family = sorted([first] + others)
        for name in family:
            lines[name] = lines[first].split(" =")[0] + " = " + " ".join(family)
    for name in sorted(lines):
        if not below or name == below or name.startswith(below + "/"):
            print(repr(name)[1:-1], lines[name])


def hostile(kind, base, out):
    tar = copy_base(base, out)
    if kind == "dotdot":
        add(tar, "../../escape-dotdot", b"escaped")
        add(tar, "etc/../../../escape-dotdot", b"escaped")
    elif kind == "absolute":
        add(tar, "/tmp/escape-absolute", b"escaped")
    elif kind == "symlink":
        add(tar, "way", type=tarfile.SYMTYPE, linkname="/tmp")
        add(tar, "way/escape-symlink", b"escaped")
    elif kind == "hardlink":
        add(tar, "shadow", type=tarfile.LNKTYPE, linkname="../../../../etc/shadow")
    elif kind == "device-over":
        add(tar, "bin/sh", type=tarfile.DIRTYPE, mode=0o755)
    tar.close()


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="surrogateescape")
    command, *rest = sys.argv[1:]
    if command == "make":
        make(*rest)
    elif command == "list":
        listing(rest[0], rest[1] if len(rest) > 1 else "")
    elif command == "hostile":
        hostile(*rest)
