"""Records recent answers under the ids of their requests, so that the answers of two variants can be compared.

When a shadow gets a copy of a request, the copy has the same id (`X-Request-ID`, set by the router). The slot of an answer
depends only on that id. So both variants overwrite the same answers, and both retain answers to the same requests. Half of all
requests go to the first level, a quarter to the second, and so on. With much traffic, the first level soon overwrites its
answers, while the last level retains a sample that reaches back more than a hundred times as far.

Answers are confidential business data, so they have their own port. Neither the router nor a mesh's gateway forwards it.
"""

from __future__ import annotations

import json
import mmap
import struct
import time
import zlib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, TypedDict

from common.serving import RECORDED_PATH

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVELS: Final = 8
SLOTS: Final = 512
"""Slots per level. All levels together take less than a megabyte, which the workers share."""
VALUES: Final = 16
"""Maximum number of rows of an answer that are recorded."""
_ID_BYTES: Final = 40
"""The router's ids have 32 characters, those of a mesh 36. Longer ids are truncated."""
_ODD: Final = 2654435761
"""Multiplying by this number spreads hashes that differ in a few bits only, as those of consecutive ids do."""
_HEAD: Final = struct.Struct(f"<dIB{_ID_BYTES}s")
_CHECK: Final = struct.Struct("<I")
_BODIES: Final = [struct.Struct(f"<{count}d") for count in range(VALUES + 1)]
_SLOT: Final = _CHECK.size + _HEAD.size + _BODIES[VALUES].size


class Answer(TypedDict):
    """One recorded answer."""

    request: str
    at: float
    """Time of the answer, in seconds since 1970."""
    rows: int
    """Number of rows of the answer. `values` contains at most `VALUES` of them."""
    values: list[float]
    """The first column of each row."""


class Recording:
    """Recorded answers, in memory that all processes share that are forked after its creation."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, LEVELS * SLOTS * _SLOT)

    def record(self, request: str, values: Sequence[float]) -> None:
        """Records an answer until another one overwrites it. `values` is the first column of its rows."""
        name = request.encode()
        recorded = values if len(values) <= VALUES else values[:VALUES]
        content = _HEAD.pack(time.time(), len(values), len(recorded), name) + _BODIES[len(recorded)].pack(*recorded)
        start = slot(name) * _SLOT
        # Another worker may write or read this slot at the same time. A torn entry fails its checksum and counts as empty.
        self._memory[start : start + _CHECK.size + len(content)] = _CHECK.pack(zlib.crc32(content)) + content

    def answers(self) -> list[Answer]:
        """Returns the recorded answers, in no particular order."""
        memory = bytes(self._memory)
        entries = (_read(memory[start : start + _SLOT]) for start in range(0, len(memory), _SLOT))
        return [answer for answer in entries if answer]


def slot(request: bytes) -> int:
    """Returns the number of the slot for the answer to a request."""
    code = zlib.crc32(request) * _ODD
    marked = code | 1 << LEVELS - 1
    level = (marked & -marked).bit_length() - 1  # trailing zero bits: none in half of all codes, one in a quarter
    return level * SLOTS + (code >> 16) % SLOTS


def _read(content: bytes) -> Answer | None:
    at, rows, count, name = _HEAD.unpack_from(content, _CHECK.size)
    if not at or count > VALUES:
        return None
    end = _CHECK.size + _HEAD.size + _BODIES[count].size
    if _CHECK.unpack_from(content)[0] != zlib.crc32(content[_CHECK.size : end]):
        return None
    values = _BODIES[count].unpack_from(content, _CHECK.size + _HEAD.size)
    return {"request": name.rstrip(b"\0").decode(errors="replace"), "at": at, "rows": rows, "values": list(values)}


def serve(recording: Recording, port: int) -> None:
    """Serves the recorded answers at `RECORDED_PATH`. Never returns. Its own process can answer while all workers are busy."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != RECORDED_PATH:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            body = json.dumps(recording.answers(), separators=(",", ":")).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name for it
            """Requests are not logged."""

    ThreadingHTTPServer(("0.0.0.0", port), Handler).serve_forever()  # noqa: S104 - a pod's address is not known before it runs
