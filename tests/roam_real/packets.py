"""What `nft` and `ip` cannot do. Run as: python3 -c SCRIPT COMMAND ARGUMENT...

flush              forget every connection that the router translates
capture INTERFACE  a line for each datagram from or to port 60001: `up` or `down`, and the client's
                   address and port; `ready` comes first
"""

import socket
import struct
import sys

SERVER_PORT = 60001


def flush():
    # NETLINK_NETFILTER is 12; IPCTNL_MSG_CT_DELETE of NFNL_SUBSYS_CTNETLINK without attributes
    # deletes all. Flags: NLM_F_REQUEST | NLM_F_ACK.
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
        netlink.send(struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 1 | 4, 1, 0, 0, 0, 0))
        answer = netlink.recv(4096)
    # An acknowledgement is an error message, its code after the header.
    code = struct.unpack_from("=i", answer, 16)[0]
    if code:
        sys.exit(f"flush: error {code}")


def ends(frame):
    """Where the UDP datagram in an Ethernet frame comes from and goes to: addresses and ports."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and frame[23] == 17:
        start = 14 + (frame[14] & 15) * 4
        hosts = [socket.inet_ntop(socket.AF_INET, frame[at:at + 4]) for at in (26, 30)]
    elif kind == b"\x86\xdd" and frame[20] == 17:
        start = 54
        hosts = [socket.inet_ntop(socket.AF_INET6, frame[at:at + 16]) for at in (22, 38)]
    else:
        return None
    source, destination = struct.unpack_from("!HH", frame, start)
    return (hosts[0], source), (hosts[1], destination)


def capture(interface):
    every_protocol = 3
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(every_protocol)) as packets:
        packets.bind((interface, every_protocol))
        print("ready", flush=True)
        while True:
            found = ends(packets.recv(65536))
            if found is None:
                continue
            source, destination = found
            if destination[1] == SERVER_PORT:
                print("up", *source, flush=True)
            elif source[1] == SERVER_PORT:
                print("down", *destination, flush=True)


{"flush": flush, "capture": capture}[sys.argv[1]](*sys.argv[2:])
