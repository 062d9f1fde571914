"""Connects a node's ports with 127.0.0.1 of the machine, without a rule or an interface there.

Run with the id of a process in the node's network namespace, and the ports.
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
        # One end is gone: the other has to know.
        target.transport.abort()


async def _serve(listener: socket.socket, port: int) -> None:
    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
        for end in (writer, back):
            end.close()

    async with await asyncio.start_server(accepted, sock=listener) as server:
        await server.serve_forever()


async def _relay(ports: list[int], namespace: int) -> None:
    listeners = [socket.create_server(("127.0.0.1", port), backlog=1024) for port in ports]
    # A socket stays in the namespace it was made in: those above on the machine, those of connections from now on in the node.
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "the node's network namespace cannot be entered")
    await asyncio.gather(*(_serve(listener, port) for listener, port in zip(listeners, ports, strict=True)))


def main(pid: str, ports: list[str]) -> None:
    """Runs until it is killed."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    asyncio.run(_relay([int(port) for port in ports], namespace))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
