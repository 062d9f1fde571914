"""A proxy on the loopback address between the commands and one outside thing, which can break the connection in many ways."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HELD_SECONDS = 5.0
"""How long a slow answer is held back. Longer than every timeout of the tests (see `hurry`)."""
PORTAL = b"<!DOCTYPE html><html><head><title>Sign in to the network</title></head><body><form></form></body></html>"
NONSENSE = b"%PDF-1.7 this is no answer to that question"


class Fault(StrEnum):
    """What can happen to a request."""

    refused = "refused"
    reset = "reset"
    slow = "slow"
    unauthorized = "401"
    forbidden = "403"
    not_found = "404"
    too_many = "429"
    broken = "500"
    half = "half a body"
    nonsense = "not JSON"
    portal = "captive portal"


STATUSES = {fault: int(fault) for fault in Fault if fault.isdigit()}


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as an upstream gets it."""

    method: str
    path: str
    """Without the query."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    target: str = ""
    """Path and query, as the client sent them."""

    @property
    def json(self):
        return json.loads(self.body or b"{}")


@dataclass(frozen=True)
class Response:
    """What an upstream answers. A body that is no bytes is sent as JSON."""

    content: object = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


Upstream = Callable[[Request], Response]
"""Answers requests: a fake server in this process, or `forward_to`."""


def forward_to(address: str) -> Upstream:
    """Returns an upstream that passes each request on to a server at `host:port`."""

    def forward(request: Request) -> Response:
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            connection.request(request.method, request.target, request.body or None, dict(request.headers))
            response = connection.getresponse()
            return Response(response.read(), response.status, dict(response.getheaders()))
        finally:
            connection.close()

    return forward


def plain_refusal(status: int) -> Response:
    """The answer of a gateway that knows nothing of the protocol behind it."""
    return Response(f"{status} {HTTPStatus(status).phrase}".encode(), status, {"Content-Type": "text/plain"})


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Which requests a fault hits: those whose method and path match the pattern, from the `first` such request on."""

    fault: Fault
    pattern: str = ""
    """A regular expression for `METHOD path?query`."""
    first: int = 1

    def matches(self, request: Request) -> bool:
        return re.search(self.pattern, f"{request.method} {request.target}") is not None


class Proxy:
    """Passes requests on to an upstream, records them, and hits them with the fault of its rule, if it has one.

    Args:
        name: the outside thing.
        upstream: answers the requests that no fault hits.
        refusal: the answer of the outside thing itself with an HTTP status; by default that of a gateway.
    """

    def __init__(self, name: str, upstream: Upstream, refusal: Callable[[int], Response] = plain_refusal) -> None:
        self.name, self.upstream, self.refusal = name, upstream, refusal
        self.requests: list[Request] = []
        self.seen: Callable[[Request], None] = lambda _request: None
        """Called with each request before it is answered."""
        self._rule: Rule | None = None
        self._hits, self._lock = 0, threading.Lock()
        self._released = threading.Event()
        self.port = 0
        self._open()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @contextmanager
    def failing(self, rule: Rule) -> Iterator[None]:
        """Hits the requests that match the rule, as long as the context lasts."""
        self._rule, self._hits = rule, 0
        self._released.clear()
        if rule.fault is Fault.refused and rule.first == 1 and not rule.pattern:
            self._refuse()
        try:
            yield
        finally:
            self._rule = None
            self._released.set()
            if self._server is None:
                self._open()

    @property
    def hits(self) -> int:
        """The number of requests that the last rule has hit. Refused connections are not seen, so they do not count."""
        return self._hits

    def close(self) -> None:
        self._released.set()
        if self._server is not None:
            self._refuse()
        self._placeholder.close()

    def hold(self) -> None:
        """Waits until the rule ends, or for `HELD_SECONDS`."""
        self._released.wait(HELD_SECONDS)

    def _open(self) -> None:
        if self.port:
            self._placeholder.close()
        self._server: ThreadingHTTPServer | None = _Server(self.port, self)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _refuse(self) -> None:
        """Closes the port. A socket that is bound and does not listen keeps other programs from taking it."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        self._placeholder = socket.socket()
        self._placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._placeholder.bind(("127.0.0.1", self.port))

    def fault_of(self, request: Request) -> Fault | None:
        """Returns the fault that hits a request, and counts it; None if no rule is set or matches."""
        rule = self._rule
        if rule is None or not rule.matches(request):
            return None
        with self._lock:
            self._hits += 1
            hit = self._hits >= rule.first
        return rule.fault if hit else None


class _Handler(BaseHTTPRequestHandler):
    """Answers one request of a proxy. Each connection has one request (HTTP/1.0), so that each meets its own fault."""

    server: _Server

    def answer(self) -> None:
        proxy, request = self.server.proxy, self._request()
        proxy.requests.append(request)
        proxy.seen(request)
        with suppress(BrokenPipeError, ConnectionResetError):
            self._hit(proxy.fault_of(request), request)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 the names of the base class

    def _request(self) -> Request:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = dict(self.headers)
        return Request(method=self.command, path=url.path, query=query, headers=headers, body=body, target=self.path)

    def _hit(self, fault: Fault | None, request: Request) -> None:
        proxy = self.server.proxy
        match fault:
            case None:
                self._send(proxy.upstream(request))
            case Fault.reset | Fault.refused:
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                os.close(self.connection.detach())  # `close` would wait for the files that the handler has open
            case Fault.slow:
                proxy.hold()
                self._send(self._answer_without_change(request))
            case Fault.half:
                self._send_half(self._answer_without_change(request))
            case Fault.nonsense:
                self._send(Response(NONSENSE, 200, {"Content-Type": "application/json"}))
            case Fault.portal:
                self._send(Response(PORTAL, 200, {"Content-Type": "text/html; charset=utf-8"}))
            case _:
                self._send(proxy.refusal(STATUSES[fault]))

    def _answer_without_change(self, request: Request) -> Response:
        """What a fault hits must not change the upstream, or nobody could tell that the command changed nothing."""
        return Response({}) if changes(request) else self.server.proxy.upstream(request)

    def _header(self, response: Response) -> None:
        self.send_response(response.status)
        for key, value in response.headers.items():
            if key.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                self.send_header(key, value)
        length = response.headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(response.body)))

    def _send(self, response: Response) -> None:
        self._header(response)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def _send_half(self, response: Response) -> None:
        self._header(response)
        if self.command == "HEAD" or not response.body:  # without a body, half of the header arrives
            header = b"".join(self._headers_buffer)
            self._headers_buffer = []
            self.wfile.write(header[: len(header) // 2])
            return
        self.end_headers()
        self.wfile.write(response.body[: len(response.body) // 2])

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, port: int, proxy: Proxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, *_: object) -> None:
        """Prints nothing: a client that has gone away is what the tests want."""


def changes(request: Request) -> bool:
    """Whether a request may change the upstream. Searches of MLflow are POST requests that change nothing."""
    return request.method not in {"GET", "HEAD"} and not request.path.endswith("/search")
