"""Asks a name server for the address of a name: run in the network namespace of a node, where pods ask."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Final

_PORT: Final = 53
_QUERY: Final = 0x0100
_ADDRESS, _INTERNET = 1, 1


def question(name: str, number: int) -> bytes:
    """A DNS message that asks for the IPv4 address of `name`."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return struct.pack("!6H", number, _QUERY, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", _ADDRESS, _INTERNET)


def answers(message: bytes, number: int) -> bool:
    """Whether `message` answers question `number` with something."""
    if len(message) < 12:  # noqa: PLR2004 - the length of a header
        return False
    found, flags, _, count = struct.unpack("!4H", message[:8])
    return found == number and flags & 0xF == 0 and count > 0


def main(server: str, name: str) -> int:
    """0: it is known."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(2)
        try:
            asking.sendto(question(name, 1), (server, _PORT))
            return 0 if answers(asking.recv(4096), 1) else 1
        except OSError:
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
