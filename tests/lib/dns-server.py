#!/usr/bin/env python3
"""dns-server.py ADDRESS [WORD] - a name server of the tests' own, UDP and TCP, port 53

Serves the zone below example.test. WORD is the text of the TXT record of who.example.test, which tells
several servers apart. UDP answers longer than the client takes are cut with TC set.
"""
import ipaddress
import socket
import struct
import sys
import threading

ADDRESS = sys.argv[1]
WORD = sys.argv[2] if len(sys.argv) > 2 else "first"
A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, ANY, OPT = 1, 2, 5, 6, 12, 15, 16, 28, 33, 255, 41


def name(text):
    return b"".join(bytes([len(p)]) + p.encode() for p in text.split(".") if p) + b"\0"


def text(*words):
    return b"".join(bytes([len(w)]) + w.encode() for w in words)


def ip(a):
    return ipaddress.ip_address(a).packed


ZONE = {
    "a.example.test": [(A, ip("192.0.2.1"))],
    "six.example.test": [(AAAA, ip("2001:db8::1"))],
    "mail.example.test": [(MX, struct.pack("!H", 10) + name("mx.example.test"))],
    "text.example.test": [(TXT, text("hello", "world"))],
    "who.example.test": [(TXT, text(WORD))],
    "_http._tcp.example.test": [(SRV, struct.pack("!HHH", 1, 2, 8080) + name("srv.example.test"))],
    "1.2.0.192.in-addr.arpa": [(PTR, name("pointer.example.test"))],
    "alias.example.test": [(CNAME, name("a.example.test"))],
    "example.test": [(NS, name("ns.example.test")),
                     (SOA, name("ns.example.test") + name("root.example.test") + struct.pack("!5I", 1, 2, 3, 4, 5))],
    "odd.example.test": [(65280, b"private")],
    "big.example.test": [(TXT, text("%04d" % i + "x" * 196)) for i in range(100)],
    "wide.example.test": [(TXT, text("%04d" % i + "x" * 196)) for i in range(9)],
    "short.corp.test": [(A, ip("192.0.2.99"))],
}


def parse_name(m, at):
    labels = []
    while m[at]:
        labels.append(m[at + 1:at + 1 + m[at]].decode())
        at += 1 + m[at]
    return ".".join(labels).lower(), at + 1


def answer(m, limit):
    asked, at = parse_name(m, 12)
    kind = struct.unpack("!H", m[at:at + 2])[0]
    end = at + 4
    edns = struct.unpack("!H", m[10:12])[0] and m[end:end + 3] == b"\0\0\x29"
    if limit and edns:
        limit = max(512, struct.unpack("!H", m[end + 3:end + 5])[0])
    rows = [(k, d) for k, d in ZONE.get(asked, []) if kind in (k, ANY) or k == CNAME]
    rcode = 0 if asked in ZONE else 3
    extra = b"\0\0\x29\x10\0\0\0\0\0\0\0" if edns else b""
    body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", k, 1, 60, len(d)) + d for k, d in rows)
    flags, count = 0x8580 | rcode, len(rows)
    if limit and end + len(body) + len(extra) > limit:
        flags, count, body = flags | 0x200, 0, b""
    head = m[:2] + struct.pack("!HHHHH", flags, 1, count, 0, 1 if edns else 0)
    return head + m[12:end] + body + extra


def tcp(client):
    with client:
        while True:
            head = client.recv(2, socket.MSG_WAITALL)
            if len(head) < 2:
                return
            r = answer(client.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL), 0)
            client.sendall(struct.pack("!H", len(r)) + r)


def serve_tcp(s):
    while True:
        threading.Thread(target=tcp, args=(s.accept()[0],), daemon=True).start()


udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((ADDRESS, 53))
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((ADDRESS, 53))
listener.listen(50)
threading.Thread(target=serve_tcp, args=(listener,), daemon=True).start()
print("ready", flush=True)
while True:
    query, peer = udp.recvfrom(65535)
    try:
        udp.sendto(answer(query, 512), peer)
    except Exception as e:  # a test of hostile packets must not end the server
        print(e, file=sys.stderr)
