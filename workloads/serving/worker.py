"""gunicorn workers that handle requests one after the other, on persistent connections.

gunicorn's threaded worker is the only one that supports persistent connections without another library. It passes every request
to a thread and removes the connection from the poller in the meantime. That takes 0.15 ms and gains little, because most of a
request is Python code, which only one thread runs at a time.
"""

from __future__ import annotations

import time
from functools import partial
from selectors import EVENT_READ
from typing import TYPE_CHECKING, Any, Final

from gunicorn.workers.gthread import ThreadWorker
from seldon_core.gunicorn_utils import UserModelApplication

if TYPE_CHECKING:
    from socket import socket

SLOWEST_SECONDS: Final = 2.0
"""Timeout for a request that has begun to arrive and then pauses, because the worker serves nobody else in the meantime. The
router sends each request in one piece."""
NOTIFY_SECONDS: Final = 1.0
"""Interval of a worker's heartbeats to gunicorn's master. The master's timeout is thirty seconds."""


class Application(UserModelApplication):
    """seldon-core's gunicorn application, with the workers of this module."""

    def load_config(self) -> None:
        super().load_config()
        self.cfg.set("worker_class", f"{Worker.__module__}.{Worker.__name__}")


class Worker(ThreadWorker):
    """A worker with persistent connections and without threads."""

    # The type stubs are for another version of gunicorn, in which connections and deques have other types.
    _keep: Any
    _notified = 0.0

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        """Registers a new connection with the poller. To wait here for its first request would block all other connections."""
        conn.init()
        conn.sock.settimeout(SLOWEST_SECONDS)
        conn.set_timeout()
        self._keep.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.reuse_connection, conn))

    def reuse_connection(self, conn: Any, client: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        """Handles a request that has arrived on a connection, in this thread."""
        self._keep.remove(conn)
        keep_alive, _ = self.handle(conn)  # pyright: ignore[reportGeneralTypeIssues] the stubs are for another version
        if keep_alive and self.alive:
            conn.set_timeout()
            self._keep.append(conn)
            return
        self.poller.unregister(client)
        self.nr_conns -= 1
        conn.close()

    def handle_request(self, req: Any, conn: Any) -> bool:  # noqa: ANN401 - gunicorn has no types
        """Handles a request and sends its answer in one piece."""
        sock = conn.sock
        conn.sock = buffered = _BufferedSocket(sock)
        try:
            keep_alive = super().handle_request(req, conn)
            buffered.flush()
        finally:
            conn.sock = sock
        return keep_alive

    def notify(self) -> None:
        """Sends a heartbeat. gunicorn calls this in each iteration of its loop."""
        now = time.monotonic()
        if now - self._notified >= NOTIFY_SECONDS:
            self._notified = now
            super().notify()


class _BufferedSocket:
    """A socket that sends its data on `flush`.

    gunicorn sends the head and the body of an answer separately. Sent together, they take one system call and one packet less,
    and they wake the router only once.
    """

    def __init__(self, sock: socket) -> None:
        self._sock = sock
        self._parts: list[bytes] = []

    def sendall(self, part: bytes) -> None:
        self._parts.append(part)

    def flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts:
            self._sock.sendall(b"".join(parts))

    def sendfile(self, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - as in the socket
        """Sends a file, after the buffered data."""
        self.flush()
        return self._sock.sendfile(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all other attributes are those of the socket
        return getattr(self._sock, name)
