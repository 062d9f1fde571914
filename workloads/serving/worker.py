"""How gunicorn's workers handle requests: one after the other, on connections that are kept.

gunicorn's threaded worker, the only one that keeps connections without a library more, hands every request to a thread and gets
it back. That costs 0.13 ms and gains little: most of a request is Python, which one thread runs at a time.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from selectors import EVENT_READ
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from gunicorn.workers.gthread import ThreadWorker
from seldon_core.gunicorn_utils import UserModelApplication

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

SLOWEST_SECONDS: Final = 2.0
"""A request that has begun to arrive and then pauses for longer is given up, for meanwhile nobody else is served. The router
sends requests in one piece."""


class Application(UserModelApplication):
    """seldon-core's gunicorn, with these workers."""

    def load_config(self) -> None:
        super().load_config()
        self.cfg.set("worker_class", f"{Worker.__module__}.{Worker.__name__}")


class Worker(ThreadWorker):
    """A worker that keeps connections and has no threads."""

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """The place that gunicorn names for a pool of one's own."""
        return _Here(max_workers=1)

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        """Handles a request, but of a connection that is new only when something has arrived on it, as of one that is kept."""
        if conn.timeout is not None:
            super().enqueue_req(conn)
            return
        conn.set_timeout()
        again = self.reuse_connection  # pyright: ignore[reportAttributeAccessIssue] the stubs are another version's
        self._keep.append(conn)  # pyright: ignore[reportAttributeAccessIssue] as above
        self.poller.register(conn.sock, EVENT_READ, partial(again, conn))

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 - gunicorn has no types, and those of its stubs are others
        conn.sock.settimeout(SLOWEST_SECONDS)
        return super().handle(conn)


class _Here(ThreadPoolExecutor):
    """Does what it is given at once, in the thread that gives it."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is raised where the result is asked for
            done.set_exception(error)
        return done
