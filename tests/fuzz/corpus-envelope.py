#!/usr/bin/env python3
"""corpus-envelope.py VECTORS FOLDER - the golden vectors as inputs of fuzz-envelope.c

Made anew with each build, so that what is fuzzed is the protocol of today.  The largest ones would
only make each run longer.
"""
import pathlib
import re
import shutil
import struct
import sys

ROLES = {"client": 0, "worker": 1, "dispatcher": 2}
MAX = 50000


def read(path):
    """The role and the frames of a vector, as its sender has them"""
    role, frames = None, [b""]
    for line in path.read_bytes().decode(errors="replace").splitlines():
        role = role or (re.match(r"# role: (\w+)", line) or [None, None])[1]
        line = line.split("#")[0].strip()
        if line == "==":
            break
        if line == "--":
            frames.append(b"")
        for byte, times in re.findall(r"\b([0-9a-f]{2})(?:\*(\d+))?(?!\S)", line):
            frames[-1] += bytes.fromhex(byte) * int(times or 1)
    return role, frames


def main():
    vectors, folder = map(pathlib.Path, sys.argv[1:])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in vectors.glob("*.hex"):
        role, frames = read(path)
        data = bytes([ROLES[role]]) + b"".join(struct.pack("<I", len(f)) + f for f in frames)
        if len(data) <= MAX:
            (folder / path.stem).write_bytes(data)
    assert len(list(folder.iterdir())) > 100


main()
