"""Python's own sockets as a peer of the examples. Run as: python3 -c SCRIPT COMMAND ARGUMENT..."""

import os
import resource
import select
import socket
import struct
import sys

FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}


def make(network):
    family = socket.AF_UNIX if network.startswith("unix") else FAMILIES[network[-1]]
    is_stream = network in ("tcp4", "tcp6", "unix")
    return socket.socket(family, socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM), is_stream


def place(words):
    return words[0] if len(words) == 1 else (words[0], int(words[1]))


def pump(sock, is_stream, peer=None):
    """Standard input to the socket, the socket to standard output, until both have ended."""
    sources = [0, sock]
    while sources:
        for ready in select.select(sources, [], [])[0]:
            if ready == 0:
                data = os.read(0, 65536)
                if data:
                    sock.sendto(data, peer) if peer else sock.sendall(data)
                else:
                    sources.remove(0)
                    if is_stream:
                        sock.shutdown(socket.SHUT_WR)
            else:
                data = sock.recv(65536)
                if data or not is_stream:
                    os.write(1, data)
                else:
                    sources.remove(sock)


def connect(network, *words):
    sock, is_stream = make(network)
    if network == "unixgram":
        sock.bind("")  # An abstract name of the kernel's choice, to be answered.
    sock.connect(place(words))
    pump(sock, is_stream)


def listen(network, *words):
    sock, is_stream = make(network)
    sock.bind(place(words))
    if is_stream:
        sock.listen()
        sock = sock.accept()[0]
        pump(sock, True)
    else:
        data, peer = sock.recvfrom(65536)
        os.write(1, data)
        pump(sock, False, peer)


def message(number, length=1000):
    return struct.pack("!I", number) * (length // 4)


def exactly(sock, length):
    data = b""
    while len(data) < length:
        got = sock.recv(length - len(data))
        if not got:
            raise EOFError(f"end after {len(data)} of {length} bytes")
        data += got
    return data


def many(host, port, count):
    """All connections first, then all requests, then all answers, then all ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    socks = [socket.create_connection((host, int(port))) for _ in range(int(count))]
    print("connected", flush=True)
    for number, sock in enumerate(socks):
        sock.sendall(message(number))
    for number, sock in enumerate(socks):
        assert exactly(sock, 1000) == message(number), f"connection {number}"
    for sock in socks:
        sock.shutdown(socket.SHUT_WR)
    for sock in socks:
        assert sock.recv(1) == b"", "more than was sent"
    print("served", len(socks), flush=True)


def leave_one_by_one(host, port, count):
    """All connect and send before any is served; each is answered and leaves for the next."""
    socks = []
    for number in range(int(count)):
        sock = socket.create_connection((host, int(port)))
        sock.sendall(message(number))
        socks.append(sock)
    print("connected", flush=True)
    sys.stdin.readline()
    for number, sock in enumerate(socks):
        assert exactly(sock, 1000) == message(number), f"connection {number}"
        sock.close()
    print("served", len(socks), flush=True)


def reset(host, port, count):
    """Connections that end by RST, with echo on its way."""
    for number in range(int(count)):
        sock = socket.create_connection((host, int(port)))
        sock.sendall(message(number, 100_000))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    print("reset", count, flush=True)


def reset_after(host, port):
    """One connection, answered once, that ends by RST on command."""
    sock = socket.create_connection((host, int(port)))
    sock.sendall(message(7))
    assert exactly(sock, 1000) == message(7)
    print("answered", flush=True)
    sys.stdin.readline()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    print("reset", flush=True)


def wait_for_end(host, port):
    """Accepts one connection, answers once, and tells how it ends."""
    server = socket.create_server((host, int(port)))
    print("port", server.getsockname()[1], flush=True)
    sock = server.accept()[0]
    sock.sendall(exactly(sock, 1000))
    try:
        data = sock.recv(1)
        print("ended", "eof" if data == b"" else "data", flush=True)
    except ConnectionResetError:
        print("ended reset", flush=True)


def slow(host, port):
    """Sends until nothing more is taken; on command reads all of it, with more behind."""
    sock = socket.create_connection((host, int(port)))
    sock.setblocking(False)
    sent = 0
    stuck = 0
    block = bytes(range(251)) * 1000
    while stuck < 20:
        try:
            sent += sock.send(block[sent % 251 :][:65536])
            stuck = 0
        except BlockingIOError:
            # The server's kernel may still have room for what ours holds.
            stuck += 0 if select.select([], [sock], [], 0.05)[1] else 1
    print("stuck", sent, flush=True)
    sys.stdin.readline()
    sock.setblocking(True)
    sock.shutdown(socket.SHUT_WR)
    got = 0
    while True:
        data = sock.recv(65536)
        if not data:
            break
        assert data == block[got % 251 :][: len(data)], f"wrong after {got} bytes"
        got += len(data)
    print("read", got, flush=True)


def traffic(host, port):
    """Asks and waits for the answer until the connection ends; every request must be answered."""
    sock = socket.create_connection((host, int(port)))
    number = 0
    while True:
        try:
            sock.sendall(message(number))
        except (BrokenPipeError, ConnectionResetError):
            break
        try:
            answer = sock.recv(1000, socket.MSG_WAITALL)
        except ConnectionResetError:
            break
        if len(answer) < 1000:
            break
        assert answer == message(number)
        number += 1
        if number == 100:
            print("flowing", flush=True)
    print("ended", flush=True)


def silent(host, port):
    """Connects, sends one request, and waits for the end."""
    sock = socket.create_connection((host, int(port)))
    sock.sendall(message(1))
    assert exactly(sock, 1000) == message(1)
    print("answered", flush=True)
    print("ended", len(sock.recv(1)), flush=True)


globals()[sys.argv[1]](*sys.argv[2:])
