"""Whether the ports of a node are free, and who has them if not."""

from __future__ import annotations

import contextlib
import errno
import socket

import psutil

from common.errors import UserError


def require_free(ports: list[int]) -> None:
    """Refuses ports that something else listens at on 127.0.0.1.

    Raises:
        UserError: names the first one taken and the process that has it.
    """
    for port in ports:
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            # Connections that have ended a moment ago do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                raise UserError(
                    "A port that the node needs is taken.",
                    where=f"127.0.0.1:{port}",
                    found=holder(port),
                    fix="end that process, or give the node other ports (--api-port, --registry-port, --node-ports; apiPort, "
                    "registryPort, nodePorts in the stack file)",
                ) from None


def holder(port: int) -> str:
    """The process that listens at a port, in words."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port and connection.pid:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(connection.pid)
                return f"process {process.pid}: {' '.join(process.cmdline())[:120] or process.name()}"
    return "a process that this one may not see"
