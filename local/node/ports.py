"""Checks that the ports of a node are free, and names the process that uses a port."""

from __future__ import annotations

import contextlib
import errno
import socket

import psutil

from common.errors import UserError


def require_free(ports: list[int]) -> None:
    """Checks that no process listens at these ports on 127.0.0.1.

    Raises:
        UserError: a port is in use. The error names the first such port and the process that listens at it.
    """
    for port in ports:
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            # Without this option, connections that have just ended would still block the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                raise UserError(
                    "A port that the node needs is already in use.",
                    where=f"127.0.0.1:{port}",
                    found=describe_listener(port),
                    fix="end that process, or choose other ports for the node (--api-port, --registry-port, --node-ports; in "
                    "the stack file apiPort, registryPort, nodePorts)",
                ) from None


def describe_listener(port: int) -> str:
    """Returns a description of the process that listens at a port: its id and the start of its command line."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port and connection.pid:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(connection.pid)
                return f"process {process.pid}: {' '.join(process.cmdline())[:120] or process.name()}"
    return "a process that this user may not inspect"
