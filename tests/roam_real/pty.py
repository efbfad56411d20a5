"""A program on a terminal of its own. Run as: python3 -c SCRIPT ROWS COLUMNS PROGRAM ARGUMENT...

Standard output gets what the program prints on the terminal. Standard input brings messages: a
kind, a length of two octets, and so many octets. Kinds: k = keys, w = window (rows and columns, two
octets each), s = signal (its number). The end of standard input kills the program. Exits as the
program did, with 128 + N if signal N ended it.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def write_all(file, data):
    while data:
        data = data[os.write(file, data):]


def obey(kind, data, child, terminal):
    if kind == b"k":
        write_all(terminal, data)
    elif kind == b"w":
        resize(terminal, *struct.unpack("!HH", data))
    elif kind == b"s":
        os.kill(child, data[0])


def run(child, terminal):
    """Passes everything on until the program closes its terminal."""
    buffer = b""
    sources = [0, terminal]
    while True:
        ready = select.select(sources, [], [])[0]
        if terminal in ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # EIO: no program has the terminal open.
                return
            if not data:
                return
            write_all(1, data)
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                os.kill(child, signal.SIGKILL)
                sources.remove(0)
            buffer += data
            while len(buffer) >= 3 and len(buffer) >= 3 + int.from_bytes(buffer[1:3], "big"):
                end = 3 + int.from_bytes(buffer[1:3], "big")
                obey(buffer[:1], buffer[3:end], child, terminal)
                buffer = buffer[end:]


def main(rows, columns, *words):
    ready, start = os.pipe()
    child, terminal = pty.fork()
    if child == 0:
        os.close(start)
        os.read(ready, 1)  # Until the window has its size.
        os.execvp(words[0], words)
    resize(terminal, int(rows), int(columns))
    os.close(ready)
    os.close(start)
    run(child, terminal)
    status = os.waitpid(child, 0)[1]
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


main(*sys.argv[1:])
