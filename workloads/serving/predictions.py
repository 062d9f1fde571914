"""Answers good requests for predictions before Flask sees them.

Routing, contexts and headers cost Flask and its extensions some 0.3 ms a request, as much as the prediction. Only what is plain
goes this way: everything else (other paths, forms, bodies without a length, whatever is refused or fails) goes on to
seldon-core's application as it came, which answers it in full. What it would answer to the same request, this answers too.
Nothing is predicted twice: a request that failed here takes its failure along (`FAILURE`).
"""

from __future__ import annotations

import time
from io import BytesIO
from typing import TYPE_CHECKING, Final

from common.serving import MAX_BODY_BYTES, PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

FAILURE: Final = "modelstack.failure"
"""In a request's WSGI environment: the exception that it met here."""
PATHS: Final = frozenset({"/predict", "/api/v0.1/predictions", PREDICTIONS})
"""Where seldon-core answers predictions."""


class Predictions:
    """WSGI middleware (PEP 3333).

    Args:
        rest: seldon-core's application.
        answer: the answer to a request's body and id (`X-Request-ID`, else empty), and its number of rows. Whatever it raises,
            `rest` is asked instead.
        headers: of every answer.
        note: told of every request answered here, as `RequestMetrics.note`.
    """

    def __init__(
        self,
        rest: WSGIApplication,
        *,
        answer: Callable[[bytes, str], tuple[bytes, int]],
        headers: Mapping[str, str],
        note: Callable[[int, float], None],
    ) -> None:
        self._rest, self._answer, self._note = rest, answer, note
        self._headers = [
            ("Content-Type", "application/json"),
            *headers.items(),
            # Of flask-cors, which seldon-core puts on every answer.
            ("Access-Control-Allow-Origin", "*"),
        ]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not _is_plain(environ):
            return self._rest(environ, start_response)
        start = time.perf_counter()
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        try:
            answer, rows = self._answer(body, environ.get("HTTP_X_REQUEST_ID", ""))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told as all others are
            environ["wsgi.input"], environ[FAILURE] = BytesIO(body), error
            return self._rest(environ, start_response)
        self._note(rows, time.perf_counter() - start)
        start_response("200 OK", [*self._headers, ("Content-Length", str(len(answer)))])
        return [answer]


def _is_plain(environ: WSGIEnvironment) -> bool:
    length = environ.get("CONTENT_LENGTH", "")
    return (
        environ["REQUEST_METHOD"] == "POST"
        and environ["PATH_INFO"] in PATHS
        and not environ.get("QUERY_STRING")
        and length.isascii()
        and length.isdigit()
        and int(length) <= MAX_BODY_BYTES
        and not environ.get("CONTENT_TYPE", "").startswith("multipart/")
    )
