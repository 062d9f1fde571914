"""How gunicorn's workers handle requests: one after the other, on connections that are kept.

gunicorn's threaded worker, the only one that keeps connections without a library more, hands every request to a thread, gets it
back, and takes its connection out of the poller meanwhile. That costs 0.15 ms and gains little: most of a request is Python,
which one thread runs at a time.
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
"""A request that has begun to arrive and then pauses for longer is given up, for meanwhile nobody else is served. The router
sends requests in one piece."""
NOTIFY_SECONDS: Final = 1.0
"""How often gunicorn's master is told that a worker lives. It waits for thirty seconds."""


class Application(UserModelApplication):
    """seldon-core's gunicorn, with these workers."""

    def load_config(self) -> None:
        super().load_config()
        self.cfg.set("worker_class", f"{Worker.__module__}.{Worker.__name__}")


class Worker(ThreadWorker):
    """A worker that keeps connections and has no threads."""

    # The stubs are another gunicorn's, whose connections and deques have other types.
    _keep: Any
    _notified = 0.0

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        """Takes a new connection. Its first request is waited for like any other, or it would keep all others waiting."""
        conn.init()
        conn.sock.settimeout(SLOWEST_SECONDS)
        conn.set_timeout()
        self._keep.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.reuse_connection, conn))

    def reuse_connection(self, conn: Any, client: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        """Handles what has arrived on a connection, here and now."""
        self._keep.remove(conn)
        again, _ = self.handle(conn)  # pyright: ignore[reportGeneralTypeIssues] the stubs are of another version
        if again and self.alive:
            conn.set_timeout()
            self._keep.append(conn)
            return
        self.poller.unregister(client)
        self.nr_conns -= 1
        conn.close()

    def handle_request(self, req: Any, conn: Any) -> bool:  # noqa: ANN401 - gunicorn has no types
        """Answers a request in one piece."""
        sock = conn.sock
        conn.sock = gathering = _Gathering(sock)
        try:
            again = super().handle_request(req, conn)
            gathering.flush()
        finally:
            conn.sock = sock
        return again

    def notify(self) -> None:
        """Called for each turn of the loop."""
        now = time.monotonic()
        if now - self._notified >= NOTIFY_SECONDS:
            self._notified = now
            super().notify()


class _Gathering:
    """A socket that sends when it is told to.

    gunicorn sends an answer's head and body by themselves. Together they cost a system call and a packet less here, and wake
    the router once.
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

    def sendfile(self, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - the socket's
        """Sends a file, after what was given before."""
        self.flush()
        return self._sock.sendfile(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the socket's
        return getattr(self._sock, name)
