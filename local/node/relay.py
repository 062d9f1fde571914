"""Forwards connections from ports on 127.0.0.1 of the machine to the same ports in a node's network namespace.

The machine needs no firewall rule and no network interface for this. The arguments are the id of a process in the node's
network namespace, and the ports.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import sys
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_BUFFER: Final = 1 << 16


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(_BUFFER):
            target.write(data)
            await target.drain()
        target.write_eof()
    except OSError:
        # One end has closed its connection: close the other end, too.
        target.transport.abort()


async def _serve(listener: socket.socket, port: int) -> None:
    async def handle_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            node_reader, node_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_copy(reader, node_writer), _copy(node_reader, writer))
        for end in (writer, node_writer):
            end.close()

    async with await asyncio.start_server(handle_connection, sock=listener) as server:
        await server.serve_forever()


async def _relay(ports: list[int], namespace: int) -> None:
    listeners = [socket.create_server(("127.0.0.1", port), backlog=1024) for port in ports]
    # A socket stays in the network namespace in which it was created. The listeners above belong to the machine's namespace;
    # the connections that are opened after this call belong to the node's.
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter the node's network namespace")
    await asyncio.gather(*(_serve(listener, port) for listener, port in zip(listeners, ports, strict=True)))


def main(pid: str, ports: list[str]) -> None:
    """Forwards connections until the process is killed. `pid` is a process in the node's network namespace."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    asyncio.run(_relay([int(port) for port in ports], namespace))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
