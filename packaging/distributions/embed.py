#!/usr/bin/env python3
"""Writes files as C strings: embed.py OUT NAME=FILE..."""
import sys

out, pairs = sys.argv[1], sys.argv[2:]
with open(out, "w", encoding="ascii") as c:
    c.write("/* Generated from packaging/distributions: do not edit. */\n")
    for pair in pairs:
        name, path = pair.split("=", 1)
        with open(path, "rb") as f:
            lines = f.read().split(b"\n")
        c.write(f"static const char {name}[] =\n")
        for i, line in enumerate(lines):
            text = "".join(
                chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in line
            )
            newline = "\\n" if i + 1 < len(lines) else ""
            c.write(f'\t"{text}{newline}"\n')
        c.write("\t;\n")
