#!/usr/bin/env python3
"""check-terminal.py FAAS - the progress bar of faas map: there on a terminal, gone at the end"""
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios

faas = sys.argv[1]
os.environ["FAAS_URL"] = "local:2"
CLEAR = "\r\x1b[K"


def start(lines, term="xterm", columns=60):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    infile = tempfile.TemporaryFile()
    infile.write(lines.encode())
    infile.seek(0)
    p = subprocess.Popen([faas, "map", "sleep"], stdin=infile, stdout=subprocess.DEVNULL,
                         stderr=slave, env=dict(os.environ, TERM=term))
    os.close(slave)
    return p, master


def rest(master):
    text = ""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other side is closed
            return text
        if not piece:
            return text
        text += piece.decode()


# A bar with all that it says, narrower than the terminal, and nothing of it left.
p, master = start("0.3\nx\n" + "0.3\n" * 3)
text = rest(master)
assert p.wait() == 3
assert re.search(r"\[#* *\] \d/5 done, \d+/s", text), text
assert ", 1 failed" in text, text
assert CLEAR + 'faas: line 2: "x"' in text, text
assert text.endswith(CLEAR), repr(text[-80:])
for piece in text.replace("\r\n", CLEAR).split(CLEAR):
    assert len(piece) < 60 or piece.startswith("faas: line"), piece

# A narrow terminal has no room for the bar, only for the numbers.
p, master = start("0.2\n" * 3, columns=24)
text = rest(master)
assert p.wait() == 0
assert "/3 done" in text and "#" not in text, text

# SIGINT takes it away, and ends the program as SIGINT does.
p, master = start("30\n" * 3)
text = os.read(master, 65536).decode()
while "/3 done" not in text:
    text += os.read(master, 65536).decode()
os.kill(p.pid, signal.SIGINT)
text += rest(master)
assert p.wait() == -signal.SIGINT, p.returncode
assert text.endswith(CLEAR), repr(text[-80:])

# A dumb terminal gets none.
p, master = start("0.2\n", term="dumb")
text = rest(master)
assert p.wait() == 0 and text == "", text
