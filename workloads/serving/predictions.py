"""A fast path: answers valid requests for predictions before they reach Flask.

Routing, contexts and headers take Flask and its extensions some 0.3 ms per request, as long as the prediction itself. Only
plain requests take this path. All other requests (other paths, forms, bodies without a length, requests that are refused or
fail) go unchanged to seldon-core's application. Both paths give the same answer to the same request. No request is predicted
twice: if a request fails here, its exception is passed on in the WSGI environment (`FAILURE`).
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
"""Key in a request's WSGI environment: the exception that the request raised on this path."""
PATHS: Final = frozenset({"/predict", "/api/v0.1/predictions", PREDICTIONS})
"""The paths on which seldon-core answers requests for predictions."""


class Predictions:
    """WSGI middleware (PEP 3333).

    Args:
        application: seldon-core's application.
        answer: returns the answer to a request's body and id (`X-Request-ID`, or empty), and the number of rows. If it raises
            an exception, `application` answers the request.
        headers: headers of every answer.
        count: called with the rows and seconds of every request that is answered on this path.
    """

    def __init__(
        self,
        application: WSGIApplication,
        *,
        answer: Callable[[bytes, str], tuple[bytes, int]],
        headers: Mapping[str, str],
        count: Callable[[int, float], None],
    ) -> None:
        self._application, self._answer, self._count = application, answer, count
        self._headers = [
            ("Content-Type", "application/json"),
            *headers.items(),
            # seldon-core uses flask-cors, which adds this header to every answer.
            ("Access-Control-Allow-Origin", "*"),
        ]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not _is_plain(environ):
            return self._application(environ, start_response)
        start = time.perf_counter()
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        try:
            answer, rows = self._answer(body, environ.get("HTTP_X_REQUEST_ID", ""))
        except Exception as error:  # noqa: BLE001 - the application reports all exceptions in the same way
            environ["wsgi.input"], environ[FAILURE] = BytesIO(body), error
            return self._application(environ, start_response)
        self._count(rows, time.perf_counter() - start)
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
