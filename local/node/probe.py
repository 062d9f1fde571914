"""Sends one query to a DNS server. It runs in the network namespace of a node, from which pods send their queries, too."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Final

_PORT: Final = 53
_RECURSIVE_QUERY: Final = 0x0100
_ADDRESS, _INTERNET = 1, 1


def query(name: str, query_id: int) -> bytes:
    """Returns a DNS query for the IPv4 address of `name`."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return struct.pack("!6H", query_id, _RECURSIVE_QUERY, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", _ADDRESS, _INTERNET)


def answers(message: bytes, query_id: int) -> bool:
    """Returns whether `message` is a response to the query `query_id`, without an error and with at least one record."""
    if len(message) < 12:  # noqa: PLR2004 - the length of a DNS header
        return False
    response_id, flags, _, count = struct.unpack("!4H", message[:8])
    return response_id == query_id and flags & 0xF == 0 and count > 0


def main(server: str, name: str) -> int:
    """Returns the exit code: 0 if the server knows the name, otherwise 1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        try:
            client.sendto(query(name, 1), (server, _PORT))
            return 0 if answers(client.recv(4096), 1) else 1
        except OSError:
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
